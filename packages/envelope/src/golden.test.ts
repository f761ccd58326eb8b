import { createDecipheriv, createHash, createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Random, type SecretId, SecretValue } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import type { Slot } from './binding.ts'
import { Keyring } from './keyring.ts'
import { EnvelopeSealer, type ValueSlot } from './sealer.ts'

interface Vector {
  readonly slot: Slot
  /** What is closed, as `encode` gives it; of the root its bytes. */
  readonly value: string
  readonly plaintext: string
  readonly payload: string
  readonly wrap: string
}

interface Golden {
  readonly store: string
  readonly seed: string
  readonly kekId: string
  readonly kek: string
  readonly vectors: readonly Vector[]
  readonly rewrapped: { readonly kekId: string; readonly kek: string; readonly wrap: string }
}

// The file was written once by the code under test: one sealer on the random bytes of `seededRandom(seed)`, the vectors in their order,
// then the first of them re-wrapped. It is never written again: what it holds must open for ever. All binary members are hex.
const golden = JSON.parse(readFileSync(new URL('envelope.golden.json', import.meta.url), 'utf8')) as Golden
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => Buffer.from(text, 'hex')

/** SHA-256 of the seed and a counter, block after block. */
function seededRandom(seed: string): Random {
  let counter = 0
  let pool = Buffer.alloc(0)
  const bytes = (count: number) => {
    while (pool.length < count) pool = Buffer.concat([pool, createHash('sha256').update(`${seed}/${counter++}`).digest()])
    const taken = Buffer.from(pool.subarray(0, count))
    pool = pool.subarray(count)
    return taken
  }
  return { bytes, uuid: () => '00000000-0000-4000-8000-000000000000' }
}

function goldenSealer(): EnvelopeSealer {
  const keks = new Map([
    [golden.kekId, createSecretKey(unhex(golden.kek))],
    [golden.rewrapped.kekId, createSecretKey(unhex(golden.rewrapped.kek))],
  ])
  const keyring = new Keyring({ keks, current: golden.kekId })
  return new EnvelopeSealer({ keyring, random: seededRandom(golden.seed), store: golden.store, meter: null })
}

const isValue = (slot: Slot): slot is ValueSlot => slot.kind !== 'root'

describe('the format, for ever', () => {
  test('closes the golden values to the golden bytes', () => {
    const sealer = goldenSealer()
    const sealed = golden.vectors.map(({ slot, value }) =>
      isValue(slot) ? sealer.seal(slot, SecretValue.decode(unhex(value))) : sealer.sealRoot(slot.number, unhex(value)),
    )
    expect(sealed.map(({ payload, wrap }) => [hex(payload), hex(wrap)])).toEqual(golden.vectors.map(({ payload, wrap }) => [payload, wrap]))
    const first = golden.vectors[0]!
    const rewrapped = sealer.rewrapped(first.slot, sealed[0]!, golden.rewrapped.kekId)
    expect([rewrapped.kekId, hex(rewrapped.payload), hex(rewrapped.wrap)]).toEqual(['k2', first.payload, golden.rewrapped.wrap])
  })

  test.each(golden.vectors)('opens the golden bytes of $slot.kind $slot.number', ({ slot, value, payload, wrap }) => {
    const sealed = { kekId: golden.kekId, payload: unhex(payload), wrap: unhex(wrap) }
    const sealer = goldenSealer()
    const opened = isValue(slot) ? sealer.open(slot, sealed).encode() : sealer.openRoot(slot.number, sealed)
    expect(hex(opened)).toBe(value)
  })

  test.each(golden.vectors)('is what the design says, recomputed from primitives: $slot.kind $slot.number', vector => {
    expect(hex(openByHand(vector, unhex(vector.wrap), golden.kekId, unhex(golden.kek)))).toBe(vector.plaintext)
  })

  test('a re-wrapped value is, recomputed from primitives, the same plaintext', () => {
    const { kekId, kek, wrap } = golden.rewrapped
    const first = golden.vectors[0]!
    expect(hex(openByHand(first, unhex(wrap), kekId, unhex(kek)))).toBe(first.plaintext)
  })
})

/** Everything that `EnvelopeSealer.open` does, written a second time with nothing but node:crypto. */
function openByHand({ slot, payload: text }: Vector, wrap: Buffer, kekId: string, kek: Buffer): Buffer {
  const lp = (...fields: string[]) =>
    Buffer.concat(fields.map(field => Buffer.concat([unhex(Buffer.byteLength(field).toString(16).padStart(8, '0')), Buffer.from(field)])))
  const gcm = (key: Buffer, iv: Buffer, aad: Buffer, sealed: Buffer) => {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 }).setAAD(aad).setAuthTag(sealed.subarray(-16))
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
  }
  const hmac = (key: Buffer, ...parts: (Buffer | string)[]) => {
    const mac = createHmac('sha256', key)
    for (const part of parts) mac.update(part)
    return mac.digest()
  }
  const place = [golden.store, slot.secretId, String(slot.number)] as const
  const payload = unhex(text)
  expect([wrap[0], wrap.length, payload[0]]).toEqual([1, 61, 1])
  const dek = gcm(kek, wrap.subarray(1, 13), lp('keyturn/w/1', 'A256GCM', ...place, kekId), wrap.subarray(13))
  // RFC 5869, extract and two steps of expand
  const prk = hmac(payload.subarray(1, 33), dek)
  const encryption = hmac(prk, 'keyturn/v1/payload', Buffer.of(1))
  const commitment = hmac(prk, encryption, 'keyturn/v1/payload', Buffer.of(2))
  expect(timingSafeEqual(commitment, payload.subarray(33, 65))).toBe(true)
  return gcm(encryption, payload.subarray(65, 77), lp('keyturn/p/1', 'A256GCM', ...place, slot.kind), payload.subarray(77))
}

test('the golden file has every kind of plaintext', () => {
  const kinds = new Set(golden.vectors.map(({ slot }) => slot.kind))
  expect([...kinds].sort()).toEqual(['bytes', 'fields', 'pending', 'previous', 'root', 'text'])
  expect(golden.vectors.every(({ slot }) => (slot.secretId as SecretId) !== '')).toBe(true)
})
