import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { BrokerError, type ErrorCode, type Random, type Sealed, type SecretId, SecretValue } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Keyring } from './keyring.ts'
import { payloadOverheadBytes } from './payload.ts'
import { kindOf, readValue } from './plaintext.ts'
import { EnvelopeSealer, type ValueSlot } from './sealer.ts'

const random: Random = { bytes: count => randomBytes(count), uuid: () => randomUUID() }
const secretId = 'sec_0123456789ABCDEFGHJKMNPQRS' as SecretId
const otherId = 'sec_0123456789ABCDEFGHJKMNPQRT' as SecretId
const keks = new Map(['k1', 'k2', 'k3'].map(id => [id, createSecretKey(randomBytes(32))]))
const keyring = new Keyring({ keks, current: 'k1' })
const sealer = new EnvelopeSealer({ keyring, random, store: 'one', meter: null })
const slot: ValueSlot = { secretId, number: 7, kind: 'pending' }
const value = SecretValue.fields({ username: 'app', password: 'correct horse' })

function failure(run: () => unknown): BrokerError {
  try {
    run()
  } catch (error) {
    if (error instanceof BrokerError) return error
    throw error
  }
  throw new Error('it opened')
}

const codeOf = (run: () => unknown): ErrorCode => failure(run).code

describe('what was sealed', () => {
  const field = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array({ maxLength: 200 }),
    fc.bigInt().map(n => ({ json: `${n}` })),
  )
  const anyValue = fc.oneof(
    fc
      .string({ unit: 'binary' })
      .filter(text => text.isWellFormed())
      .map(SecretValue.text),
    fc.uint8Array({ maxLength: 2000 }).map(SecretValue.bytes),
    fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1 }), field, { minKeys: 1, maxKeys: 6 }).map(SecretValue.fields),
  )

  test('opens as it was, before and after any number of re-wraps', () => {
    fc.assert(
      fc.property(
        anyValue,
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        fc.array(fc.constantFrom('k1', 'k2', 'k3')),
        (value, number, route) => {
          for (const kind of [kindOf(value), 'pending', 'previous'] as const) {
            const slot = { secretId, number, kind }
            const sealed = sealer.seal(slot, value)
            const rewrapped = route.reduce((from, to) => sealer.rewrapped(slot, from, to), sealed)
            expect(rewrapped.kekId).toBe(route.at(-1) ?? 'k1')
            expect(rewrapped.payload).toBe(sealed.payload)
            expect(sealer.open(slot, rewrapped).equals(value)).toBe(true)
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  test('is left as it is by a re-wrap to the KEK it is under', () => {
    const sealed = sealer.seal(slot, value)
    expect(sealer.rewrapped(slot, sealed, 'k1')).toBe(sealed)
  })

  test('is longer than the plaintext by the overhead and nothing else', () => {
    const sealed = sealer.seal({ secretId, number: 1, kind: 'text' }, SecretValue.text('x'.repeat(1000)))
    expect(sealed.payload.byteLength).toBe(1000 + payloadOverheadBytes)
    expect(sealed.wrap.byteLength).toBe(61)
  })

  test('never looks the same twice, in any of its random parts', () => {
    const all = Array.from({ length: 50 }, () => sealer.seal(slot, value))
    const parts = (cut: (sealed: Sealed) => Uint8Array) => new Set(all.map(sealed => Buffer.from(cut(sealed)).toString('hex'))).size
    expect(parts(({ payload }) => payload.subarray(1, 33))).toBe(50)
    expect(parts(({ payload }) => payload.subarray(65, 77))).toBe(50)
    expect(parts(({ wrap }) => wrap.subarray(1, 13))).toBe(50)
    expect(parts(({ wrap }) => wrap.subarray(13))).toBe(50)
  })

  test('is closed by the current KEK, and stays readable when another becomes current', () => {
    const ring = new Keyring({ keks, current: 'k1' })
    const sealer = new EnvelopeSealer({ keyring: ring, random, store: 'one', meter: null })
    const old = sealer.seal(slot, value)
    ring.load({ keks, current: 'k2' })
    expect(sealer.seal(slot, value).kekId).toBe('k2')
    expect(sealer.open(slot, old).equals(value)).toBe(true)
  })

  test('does not open without its KEK, says which, and opens again when it is back', () => {
    const ring = new Keyring({ keks, current: 'k1' })
    const sealer = new EnvelopeSealer({ keyring: ring, random, store: 'one', meter: null })
    const sealed = sealer.seal(slot, value)
    ring.load({ keks: new Map([...keks].filter(([id]) => id !== 'k1')), current: 'k2' })
    const error = failure(() => sealer.open(slot, sealed))
    expect([error.code, error.detail?.kekId]).toEqual(['unavailable', 'k1'])
    expect(error.hint).toContain('k1')
    expect(codeOf(() => sealer.rewrapped(slot, sealed, 'k2'))).toBe('unavailable')
    ring.load({ keks, current: 'k2' })
    expect(sealer.open(slot, sealed).equals(value)).toBe(true)
  })

  test('costs no memory that stays', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const usedAfter = async (rounds: number) => {
      for (let at = 0; at < rounds; at++) sealer.open(slot, sealer.rewrapped(slot, sealer.seal(slot, value), 'k2'))
      await new Promise(resolve => setImmediate(resolve))
      collect()
      const { used_heap_size, external_memory } = getHeapStatistics()
      return used_heap_size + external_memory
    }
    const used: number[] = []
    for (let window = 0; window < 6; window++) used.push(await usedAfter(800))
    // what leaks grows in every window; what merely warms up does not
    const growth = used.slice(1).map((bytes, at) => bytes - used[at]!)
    expect(Math.min(...growth)).toBeLessThan(800 * 32)
  })
})

describe('a changed value never opens', () => {
  const kinds: readonly [ValueSlot['kind'], SecretValue][] = [
    ['text', SecretValue.text('secret')],
    ['text', SecretValue.text('')],
    ['bytes', SecretValue.bytes(Buffer.of(0, 255))],
    ['fields', value],
    ['pending', value],
  ]

  test.each(kinds)('any single bit of payload or wrap of %s', (kind, value) => {
    const slot = { secretId, number: 7, kind }
    const sealed = sealer.seal(slot, value)
    let flips = 0
    for (const part of ['payload', 'wrap'] as const) {
      for (let bit = 0; bit < sealed[part].byteLength * 8; bit++) {
        const changed = Buffer.from(sealed[part])
        changed[bit >> 3]! ^= 1 << (bit & 7)
        expect(codeOf(() => sealer.open(slot, { ...sealed, [part]: changed }))).toBe('corrupt')
        flips++
      }
    }
    expect(flips).toBe((sealed.payload.byteLength + 61) * 8)
    expect(sealer.open(slot, sealed).equals(value)).toBe(true)
  })

  test('any single bit of the KEK id: another loaded KEK is corrupt, one that is not loaded unavailable', () => {
    const sealed = sealer.seal(slot, value)
    const codes = new Set<ErrorCode>()
    for (let bit = 0; bit < 16; bit++) {
      const id = Buffer.from(sealed.kekId)
      id[bit >> 3]! ^= 1 << (bit & 7)
      codes.add(codeOf(() => sealer.open(slot, { ...sealed, kekId: id.toString('latin1') })))
    }
    expect([...codes].sort()).toEqual(['corrupt', 'unavailable'])
  })

  test('a payload or wrap cut at any length, tags of 0 to 15 bytes among them, or made longer', () => {
    const sealed = sealer.seal(slot, value)
    for (const part of ['payload', 'wrap'] as const) {
      for (let length = 0; length < sealed[part].byteLength; length++) {
        expect(codeOf(() => sealer.open(slot, { ...sealed, [part]: sealed[part].subarray(0, length) }))).toBe('corrupt')
      }
      expect(codeOf(() => sealer.open(slot, { ...sealed, [part]: Buffer.concat([sealed[part], Buffer.of(0)]) }))).toBe('corrupt')
    }
  })

  test('moved to another secret, number, kind or store', () => {
    const sealed = sealer.seal(slot, value)
    const elsewhere: readonly ValueSlot[] = [
      { ...slot, secretId: otherId },
      { ...slot, number: 8 },
      { ...slot, number: 77 },
      { ...slot, kind: 'previous' },
      { ...slot, kind: 'fields' },
      { ...slot, kind: 'text' },
    ]
    for (const place of elsewhere) expect(codeOf(() => sealer.open(place, sealed))).toBe('corrupt')
    const otherStore = new EnvelopeSealer({ keyring, random, store: 'two', meter: null })
    expect(codeOf(() => otherStore.open(slot, sealed))).toBe('corrupt')
    expect(codeOf(() => sealer.rewrapped({ secretId, number: 8 }, sealed, 'k2'))).toBe('corrupt')
  })

  test('any part swapped between any two rows', () => {
    const rows = Array.from({ length: 12 }, (_, at) => {
      const place: ValueSlot = { secretId: at % 2 ? secretId : otherId, number: 1 + (at >> 1), kind: 'pending' }
      const sealed = sealer.seal(place, value)
      return { place, sealed: at % 3 ? sealed : sealer.rewrapped(place, sealed, 'k2') }
    })
    for (const { place, sealed } of rows) {
      for (const other of rows) {
        if (other.place === place) continue
        const { payload, wrap, kekId } = other.sealed
        expect(codeOf(() => sealer.open(place, other.sealed))).toBe('corrupt')
        expect(codeOf(() => sealer.open(place, { ...sealed, payload }))).toBe('corrupt')
        expect(codeOf(() => sealer.open(place, { ...sealed, wrap }))).toBe('corrupt')
        expect(codeOf(() => sealer.open(place, { ...sealed, wrap, kekId }))).toBe('corrupt')
        if (kekId !== sealed.kekId) expect(codeOf(() => sealer.open(place, { ...sealed, kekId }))).toBe('corrupt')
      }
    }
  })

  test('a commitment that does not fit is refused though the tag would', () => {
    // the tag does not cover the commitment: only the comparison stands here
    const sealed = sealer.seal(slot, value)
    const payload = Buffer.from(sealed.payload)
    payload.fill(0, 33, 65)
    expect(failure(() => sealer.open(slot, { ...sealed, payload })).detail).toEqual({ secretId, number: 7, part: 'payload' })
  })

  test('the error names place and part, and neither value nor key', () => {
    const canary = 'CANARY-3f9a'
    const sealed = sealer.seal(slot, SecretValue.text(canary))
    const error = failure(() => sealer.open({ ...slot, number: 8 }, sealed))
    expect(error.message).toContain('version 8')
    expect(JSON.stringify(error) + String(error.stack)).not.toContain(canary)
  })
})

describe('what cannot be sealed', () => {
  test.each([0, -1, 1.5, Number.NaN, 2 ** 53])('a version numbered %s', number => {
    expect(codeOf(() => sealer.seal({ ...slot, number }, value))).toBe('invalid_argument')
  })

  test('a value under the kind of another form', () => {
    expect(codeOf(() => sealer.seal({ ...slot, kind: 'text' }, value))).toBe('invalid_argument')
    expect(codeOf(() => sealer.seal({ ...slot, kind: 'fields' }, SecretValue.text('x')))).toBe('invalid_argument')
    expect(codeOf(() => sealer.seal({ ...slot, kind: 'bytes' }, SecretValue.text('x')))).toBe('invalid_argument')
    const member = SecretValue.decode(Buffer.from('{"j":"12"}'))
    expect(codeOf(() => sealer.seal({ ...slot, kind: 'text' }, member))).toBe('invalid_argument')
  })

  test('under a database without an id', () => {
    expect(codeOf(() => new EnvelopeSealer({ keyring, random, store: '', meter: null }))).toBe('invalid_argument')
  })
})

test('bytes that are none of their kind are corrupt, though they opened', () => {
  const encoded = SecretValue.text('a').encode()
  for (const [kind, bytes] of [
    ['text', Buffer.of(255)],
    ['bytes', Buffer.from('a')],
    ['fields', encoded],
    ['pending', Buffer.from('a')],
  ] as const) {
    expect(codeOf(() => readValue(kind, bytes))).toBe('corrupt')
  }
  expect(readValue('text', Buffer.alloc(0)).equals(SecretValue.text(''))).toBe(true)
})

describe('the root secret', () => {
  test('is 32 bytes, opens under its number only, and survives a re-wrap', () => {
    const root = randomBytes(32)
    const sealed = sealer.sealRoot(1, root)
    expect(Buffer.from(sealer.openRoot(1, sealed)).equals(root)).toBe(true)
    expect(Buffer.from(sealer.openRoot(1, sealer.rewrapRoot(1, sealed, 'k2'))).equals(root)).toBe(true)
    expect(codeOf(() => sealer.openRoot(2, sealed))).toBe('corrupt')
    expect(codeOf(() => sealer.sealRoot(1, root.subarray(1)))).toBe('invalid_argument')
  })
})
