import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { BrokerError, type SecretId, SecretValue } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseKek } from './kek-text.ts'
import { Keyring } from './keyring.ts'
import { EnvelopeSealer } from './sealer.ts'
import { usedUp, wrapsHard } from './wrap-meter.ts'

const good = randomBytes(32).toString('base64url')
const key = () => createSecretKey(randomBytes(32))

function refusal(run: () => unknown): BrokerError {
  try {
    run()
  } catch (error) {
    if (error instanceof BrokerError) return error
    throw error
  }
  throw new Error('it was taken')
}

/** Everything a log or a person could see of an error. */
const seen = (error: BrokerError) => [error.message, error.hint, error.stack, JSON.stringify(error), inspect(error)].join('\n')

describe('the text of a KEK', () => {
  test('32 bytes in base64url are taken, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), bytes => {
        fc.pre(new Set(bytes).size >= 12 && bytes.some(byte => byte < 0x20 || byte >= 0x7f))
        expect(parseKek('k1', Buffer.from(bytes).toString('base64url')).export().equals(bytes)).toBe(true)
      }),
    )
  })

  const canary = Buffer.from(Array.from({ length: 32 }, (_, at) => 0x80 + at * 3)).toString('base64url')
  test.each([
    ['', 'empty'],
    [`"${canary}"`, 'quotes'],
    [`'${canary}'`, 'quotes'],
    [`${canary}\n`, 'white space'],
    [` ${canary}`, 'white space'],
    [`${canary}=`, 'padded'],
    [`+${canary.slice(1)}`, 'base64url'],
    [`/${canary.slice(1)}`, 'base64url'],
    [`${canary.slice(0, 20)}ä${canary.slice(21)}`, 'alphabet'],
    [`${canary.slice(0, 20)}\0${canary.slice(21)}`, 'alphabet'],
    [canary.slice(0, 42), '42 characters, not 43'],
    [`${canary}A`, '44 characters, not 43'],
    [Buffer.from(canary, 'base64url').toString('hex'), '64 characters, not 43'],
    [`${canary.slice(0, 42)}B`, 'last character'],
    [Buffer.alloc(32).toString('base64url'), 'repeat'],
    [Buffer.from('0123456789abcdef0123456789ABCDEF').toString('base64url'), 'typed text'],
  ])('is refused with its reason and never shown (%#)', (text, reason) => {
    const error = refusal(() => parseKek('k1', text))
    expect(error.code).toBe('invalid_argument')
    expect(error.message).toContain('KEK k1')
    expect(error.message).toContain(reason)
    for (const part of [text.slice(0, 12), text.slice(-12)]) if (part !== '') expect(seen(error)).not.toContain(part)
  })

  test('no text throws anything but the refusal, and none is echoed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 24, maxLength: 100 }), text => {
        const error = refusal(() => parseKek('k1', text))
        expect(error.code).toBe('invalid_argument')
        expect(seen(error)).not.toContain(text)
      }),
    )
  })
})

describe('the keyring', () => {
  test.each(['', 'a b', 'k/1', 'ä', 'k1\n', 'x'.repeat(65)])('refuses the id %j', id => {
    expect(refusal(() => parseKek(id, good)).code).toBe('invalid_argument')
    expect(refusal(() => new Keyring({ keks: new Map([[id, key()]]), current: id })).code).toBe('invalid_argument')
  })

  test('takes ids of 1 to 64 letters, digits, - and _', () => {
    for (const id of ['1', 'k_1-B', 'x'.repeat(64)]) expect(new Keyring({ keks: new Map([[id, key()]]), current: id }).currentId).toBe(id)
  })

  test('refuses one key under two ids, naming both', () => {
    const material = randomBytes(32)
    const keks = new Map([
      ['old', createSecretKey(material)],
      ['new', createSecretKey(material)],
    ])
    expect(refusal(() => new Keyring({ keks, current: 'new' })).message).toBe('KEKs old and new are the same key')
  })

  test('refuses a current id that is not loaded, naming it and what is', () => {
    const keks = new Map([
      ['k2', key()],
      ['k1', key()],
    ])
    const error = refusal(() => new Keyring({ keks, current: 'k9' }))
    expect(error.message).toContain('k9')
    expect(error.hint).toContain('k1, k2')
  })

  test('refuses no KEK at all, and a key of another length', () => {
    expect(refusal(() => new Keyring({ keks: new Map(), current: 'k1' })).message).toBe('no KEK is given')
    expect(refusal(() => new Keyring({ keks: new Map([['k1', createSecretKey(randomBytes(16))]]), current: 'k1' })).message).toContain(
      '32 bytes',
    )
  })

  test('keeps what it has when the new content is bad, and is not changed by changes of the map', () => {
    const keks = new Map([['k1', key()]])
    const ring = new Keyring({ keks, current: 'k1' })
    refusal(() => ring.load({ keks: new Map([['k2', key()]]), current: 'k1' }))
    keks.clear()
    expect([ring.currentId, ring.ids, ring.has('k1'), ring.has('k2')]).toEqual(['k1', ['k1'], true, false])
  })

  test('an id keeps its key, also when it was away in between', () => {
    const first = new Map([['k1', key()]])
    const ring = new Keyring({ keks: first, current: 'k1' })
    ring.load({ keks: new Map([['k2', key()]]), current: 'k2' })
    const error = refusal(() => ring.load({ keks: new Map([['k1', key()]]), current: 'k1' }))
    expect([error.code, error.message, ring.currentId]).toEqual(['invalid_argument', 'KEK k1 is another key than before', 'k2'])
    ring.load({ keks: first, current: 'k1' })
    expect(ring.currentId).toBe('k1')
  })

  test('fingerprints tell keys apart, stay the same, and hold nothing of the key', () => {
    const material = randomBytes(32)
    const ring = new Keyring({
      keks: new Map([
        ['a', createSecretKey(material)],
        ['b', key()],
      ]),
      current: 'a',
    })
    const again = new Keyring({ keks: new Map([['other', createSecretKey(material)]]), current: 'other' })
    expect(ring.fingerprint('a')).toMatch(/^[0-9a-f]{32}$/)
    expect(ring.fingerprint('a')).toBe(again.fingerprint('other'))
    expect(ring.fingerprint('a')).not.toBe(ring.fingerprint('b'))
    expect(material.toString('hex')).not.toContain(ring.fingerprint('a'))
  })

  test('a KEK that is spent opens, and closes nothing', () => {
    const ring = new Keyring({ keks: new Map([['a', key()]]), current: 'a' })
    const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
    const sealer = new EnvelopeSealer({ keyring: ring, random, store: 's', meter: null })
    const slot = { secretId: 'sec_0123456789ABCDEFGHJKMNPQRS' as SecretId, number: 1, kind: 'text' } as const
    const sealed = sealer.seal(slot, SecretValue.text('a'))
    ring.spend('a', usedUp('a', wrapsHard))
    for (const close of [
      () => sealer.seal(slot, SecretValue.text('a')),
      () => sealer.rewrapped(slot, sealed, 'a'),
      () => sealer.reseal(slot, sealed, 'a'),
    ])
      expect(refusal(close)).toMatchObject({ code: 'precondition_failed', detail: { kekId: 'a', wraps: wrapsHard } })
    expect(sealer.open(slot, sealed).equals(SecretValue.text('a'))).toBe(true)
  })

  test('prints ids and no key', () => {
    const material = randomBytes(32)
    const ring = new Keyring({ keks: new Map([['a', createSecretKey(material)]]), current: 'a' })
    const printed = inspect(ring, { showHidden: true, depth: 9 }) + JSON.stringify(ring)
    expect(printed).toContain('current: a')
    for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const) expect(printed).not.toContain(material.toString(form))
  })
})
