import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { BrokerError, type ErrorCode, type Sealed, type SecretId, SecretValue } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import type { Kind, Slot } from './binding.ts'
import { Keyring } from './keyring.ts'
import { EnvelopeSealer } from './sealer.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const keks = new Map(['k1', 'k2', 'k3', 'm1'].map(id => [id, createSecretKey(randomBytes(32))]))
const keyring = new Keyring({ keks, current: 'k1' })
const sealerOf = (store: string) => new EnvelopeSealer({ keyring, random, store, meter: null })
const sealer = sealerOf('store-a')
const value = SecretValue.text('correct horse')

/** What opening ends with; `opened` is what must never come. */
function ending(slot: Slot, sealed: Sealed, by = sealer): ErrorCode | 'opened' {
  try {
    by.proves(slot, sealed)
    return 'opened'
  } catch (error) {
    if (error instanceof BrokerError) return error.code
    throw error
  }
}

const flipped = (bytes: Uint8Array, at: number, by = 1) => {
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] ?? 0) ^ by
  return changed
}

const kinds: readonly Kind[] = ['text', 'bytes', 'fields', 'pending', 'previous', 'root']
const slot: Slot = { secretId: 'sec_0123456789ABCDEFGHJKMNPQRS' as SecretId, number: 7, kind: 'text' }
const sealed = sealer.seal({ ...slot, kind: 'text' }, value)

describe('every byte of every field', () => {
  test.each(['payload', 'wrap'] as const)('of the %s', part => {
    for (let at = 0; at < sealed[part].byteLength; at += 1) {
      for (const by of [1, 0x80, 0xff]) expect(ending(slot, { ...sealed, [part]: flipped(sealed[part], at, by) })).toBe('corrupt')
    }
  })

  test('of the KEK id: another loaded one is corrupt, one that is not loaded unavailable', () => {
    const codes = new Map<string, string>()
    for (let at = 0; at < sealed.kekId.length; at += 1) {
      for (let by = 1; by < 256; by += 1) {
        const kekId = flipped(Buffer.from(sealed.kekId), at, by).toString('latin1')
        codes.set(kekId, ending(slot, { ...sealed, kekId }))
      }
    }
    for (const [id, code] of codes) {
      expect([id, code]).toEqual([id, keyring.has(id) || !/^[A-Za-z0-9_-]+$/.test(id) ? 'corrupt' : 'unavailable'])
    }
    expect([codes.get('k2'), codes.get('m1'), codes.get('k9')]).toEqual(['corrupt', 'corrupt', 'unavailable'])
  })

  test('of the secret id, the number, the kind and the store', () => {
    for (let at = 0; at < slot.secretId.length; at += 1) {
      const secretId = flipped(Buffer.from(slot.secretId), at).toString('latin1') as SecretId
      expect(ending({ ...slot, secretId }, sealed)).toBe('corrupt')
    }
    for (const number of [1, 6, 8, 17, 70, 77, 700]) expect(ending({ ...slot, number }, sealed)).toBe('corrupt')
    for (const kind of kinds) expect(ending({ ...slot, kind }, sealed)).toBe(kind === 'text' ? 'opened' : 'corrupt')
    for (let at = 0; at < 'store-a'.length; at += 1) {
      const store = flipped(Buffer.from('store-a'), at).toString('latin1')
      expect(ending(slot, sealed, sealerOf(store))).toBe('corrupt')
    }
  })

  test('shifted from one field into the next', () => {
    expect(ending({ ...slot, secretId: `${slot.secretId}7` as SecretId }, sealed)).toBe('corrupt')
    expect(ending({ ...slot, secretId: slot.secretId.slice(0, -1) as SecretId, number: 7 }, sealed)).toBe('corrupt')
    expect(ending({ ...slot, secretId: `a${slot.secretId}` as SecretId }, sealed, sealerOf('store-'))).toBe('corrupt')
  })
})

describe('other lengths', () => {
  const tag = 16
  const [ivAt, ivEnd] = [1, 13]

  test.each(['payload', 'wrap'] as const)('of the tag of the %s: 0 to 15 bytes, 4 among them, and 17', part => {
    const whole = Buffer.from(sealed[part])
    for (let length = 0; length < tag; length += 1) {
      expect(ending(slot, { ...sealed, [part]: whole.subarray(0, whole.byteLength - tag + length) })).toBe('corrupt')
    }
    expect(ending(slot, { ...sealed, [part]: Buffer.concat([whole, Buffer.of(0)]) })).toBe('corrupt')
  })

  test.each([0, 1, 8, 11, 13, 16])('of the vector of the wrap: %i bytes', length => {
    const whole = Buffer.from(sealed.wrap)
    const vector = Buffer.concat([whole.subarray(ivAt, ivEnd), randomBytes(8)]).subarray(0, length)
    expect(ending(slot, { ...sealed, wrap: Buffer.concat([whole.subarray(0, 1), vector, whole.subarray(ivEnd)]) })).toBe('corrupt')
  })

  test.each([0, 1, 8, 11, 13, 16])('of the vector of the payload: %i bytes', length => {
    const whole = Buffer.from(sealed.payload)
    const vector = Buffer.concat([whole.subarray(65, 77), randomBytes(8)]).subarray(0, length)
    expect(ending(slot, { ...sealed, payload: Buffer.concat([whole.subarray(0, 65), vector, whole.subarray(77)]) })).toBe('corrupt')
  })

  test('of everything else: empty, and every other first byte', () => {
    for (const part of ['payload', 'wrap'] as const) {
      expect(ending(slot, { ...sealed, [part]: Buffer.alloc(0) })).toBe('corrupt')
      for (let format = 0; format < 256; format += 1) {
        if (format === 1) continue
        expect(ending(slot, { ...sealed, [part]: Buffer.concat([Buffer.of(format), sealed[part].subarray(1)]) })).toBe('corrupt')
      }
    }
  })
})

test('six fields exchanged between any two of fifty rows', () => {
  const elsewhere = sealerOf('store-b')
  const values: Readonly<Record<string, SecretValue>> = {
    text: value,
    bytes: SecretValue.bytes(Buffer.of(0, 255)),
    fields: SecretValue.fields({ a: 'b' }),
  }
  const rows = Array.from({ length: 50 }, (_, at) => {
    const kind = (['text', 'bytes', 'fields', 'pending', 'previous'] as const)[at % 5] ?? 'text'
    const place = { secretId: `sec_${String(at % 10).padStart(26, '0')}` as SecretId, number: 1 + Math.floor(at / 10), kind }
    const by = at % 2 === 0 ? sealer : elsewhere
    const first = by.seal(place, values[kind] ?? value)
    return { by, place, sealed: by.rewrapped(place, first, ['k1', 'k2', 'k3'][at % 3] ?? 'k1') }
  })
  const opened: unknown[] = []
  let pairs = 0
  for (const row of rows) {
    for (const other of rows) {
      if (row === other) continue
      pairs += 1
      const { place, sealed: mine, by } = row
      const exchanged: readonly (readonly [Slot, Sealed, EnvelopeSealer, isSame: boolean])[] = [
        [place, { ...mine, payload: other.sealed.payload }, by, false],
        [place, { ...mine, wrap: other.sealed.wrap }, by, false],
        [place, { ...mine, kekId: other.sealed.kekId }, by, mine.kekId === other.sealed.kekId],
        [{ ...place, secretId: other.place.secretId }, mine, by, place.secretId === other.place.secretId],
        [{ ...place, number: other.place.number }, mine, by, place.number === other.place.number],
        [{ ...place, kind: other.place.kind }, mine, by, place.kind === other.place.kind],
        [place, mine, other.by, other.by === by],
        [place, other.sealed, by, false],
      ]
      for (const [at, [where, what, by, isSame]] of exchanged.entries()) {
        const end = ending(where, what, by)
        if (end !== (isSame ? 'opened' : 'corrupt')) opened.push([at, place, other.place, end])
      }
    }
  }
  expect(opened).toEqual([])
  expect(pairs).toBe(2_450)
})
