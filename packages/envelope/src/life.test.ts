import { createSecretKey, type KeyObject, randomBytes, randomUUID } from 'node:crypto'
import { BrokerError, type Sealed, type SecretId, SecretValue } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Keyring } from './keyring.ts'
import { EnvelopeSealer, type ValueSlot } from './sealer.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const ids = ['a', 'b', 'c', 'd'] as const
const brokers = 3

/** Several brokers of one deployment, and what they sealed. */
class World {
  readonly material = new Map<string, KeyObject>(ids.map(id => [id, createSecretKey(randomBytes(32))]))
  /** What was promoted, in its order. */
  readonly promoted = ['a']
  readonly retired = new Set<string>()
  readonly brokers = Array.from({ length: brokers }, () => {
    const keyring = new Keyring({ keks: new Map([['a', this.#key('a')]]), current: 'a' })
    keyring.use('a')
    return { keyring, sealer: new EnvelopeSealer({ keyring, random, store: 's', meter: null }) }
  })
  readonly rows: { readonly slot: ValueSlot; readonly text: string; sealed: Sealed; copies: Sealed[] }[] = []

  #key(id: string): KeyObject {
    const key = this.material.get(id)
    if (key === undefined) throw new Error(`no KEK ${id}`)
    return key
  }

  broker(at: number) {
    const broker = this.brokers[at % brokers]
    if (broker === undefined) throw new Error('no broker')
    return broker
  }

  /** Loads these on one broker; the one in use stays, as a provider without it is not taken. */
  load(at: number, loaded: readonly string[]): void {
    const { keyring } = this.broker(at)
    const wanted = loaded.at(-1)
    if (wanted !== undefined) keyring.load({ keks: new Map(loaded.map(id => [id, this.#key(id)])), current: wanted })
  }

  get active(): string {
    return this.promoted.at(-1) ?? 'a'
  }

  /** All at once, if all hold it. */
  promote(id: string): void {
    if (this.retired.has(id) || !this.brokers.every(({ keyring }) => keyring.has(id))) return
    for (const { keyring } of this.brokers) keyring.use(id)
    this.promoted.push(id)
  }

  retire(id: string): void {
    if (id !== this.active && !this.rows.some(({ sealed }) => sealed.kekId === id)) this.retired.add(id)
  }

  seal(at: number): void {
    const { keyring, sealer } = this.broker(at)
    const slot = { secretId: `sec_${this.rows.length}` as SecretId, number: 1, kind: 'text' } as const
    const text = randomUUID()
    if (!keyring.has(keyring.currentId)) {
      expect(() => sealer.seal(slot, SecretValue.text(text))).toThrow(
        expect.objectContaining({ code: 'unavailable', detail: expect.objectContaining({ kekId: keyring.currentId }) }),
      )
      return
    }
    const sealed = sealer.seal(slot, SecretValue.text(text))
    // never one that no promotion named, whatever a provider wants
    expect(sealed.kekId).toBe(this.active)
    this.rows.push({ slot, text, sealed, copies: [sealed] })
  }

  rewrap(at: number): void {
    const { keyring, sealer } = this.broker(at)
    for (const row of this.rows) {
      if (!keyring.has(row.sealed.kekId) || !keyring.has(this.active)) continue
      row.sealed = sealer.rewrapped(row.slot, row.sealed, this.active)
      row.copies.push(row.sealed)
    }
  }

  /** Every row, and every copy of it that a backup may hold, at every broker. */
  check(): void {
    for (const { keyring, sealer } of this.brokers) {
      for (const { slot, text, copies } of this.rows) {
        for (const sealed of copies.slice(-4)) {
          if (keyring.has(sealed.kekId)) expect(sealer.open(slot, sealed).equals(SecretValue.text(text))).toBe(true)
          else expect(failure(() => sealer.open(slot, sealed))).toMatchObject({ code: 'unavailable', detail: { kekId: sealed.kekId } })
        }
      }
    }
  }
}

function failure(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return 'it opened'
}

const loaded = fc.uniqueArray(fc.constantFrom(...ids), { minLength: 1, maxLength: 4 })
const act = fc.oneof(
  fc.record({ do: fc.constant('load'), at: fc.nat(2), loaded }),
  fc.record({ do: fc.constant('loadAll'), at: fc.nat(2), loaded }),
  fc.record({ do: fc.constant('promote'), id: fc.constantFrom(...ids) }),
  fc.record({ do: fc.constant('retire'), id: fc.constantFrom(...ids) }),
  fc.record({ do: fc.constant('seal'), at: fc.nat(2) }),
  fc.record({ do: fc.constant('rewrap'), at: fc.nat(2) }),
  fc.record({ do: fc.constant('unload'), at: fc.nat(2) }),
)

describe('the life of KEKs, whatever comes and goes at several brokers', () => {
  test('a value opens whenever its KEK is loaded, and else is unavailable by the name of that KEK', () => {
    let sealed = 0
    fc.assert(
      fc.property(fc.array(act, { minLength: 10, maxLength: 40 }), acts => {
        const world = new World()
        for (const each of acts) {
          if (each.do === 'load' && 'loaded' in each) world.load(each.at, each.loaded)
          else if (each.do === 'loadAll' && 'loaded' in each) for (let at = 0; at < brokers; at += 1) world.load(at, each.loaded)
          else if ('id' in each) each.do === 'promote' ? world.promote(each.id) : world.retire(each.id)
          else if (each.do === 'seal') world.seal(each.at)
          else if (each.do === 'unload') world.broker(each.at).keyring.unload('the provider is away')
          else world.rewrap(each.at)
        }
        sealed += world.rows.length
        world.check()
      }),
      { numRuns: 150 },
    )
    expect(sealed).toBeGreaterThan(200)
  })
})

describe('a backup across two generations of KEKs', () => {
  const keks = new Map(['v1', 'v2'].map(id => [id, createSecretKey(randomBytes(32))]))
  const only = (...some: readonly string[]) => new Map([...keks].filter(([id]) => some.includes(id)))
  const at = (current: string, ...some: readonly string[]) =>
    new EnvelopeSealer({ keyring: new Keyring({ keks: only(...some), current }), random, store: 's', meter: null })
  const slot = { secretId: 'sec_1' as SecretId, number: 1, kind: 'text' } as const

  test('its copy opens by its own KEK, the live row by the new one, and each names what it lacks', () => {
    const backup = at('v1', 'v1').seal(slot, SecretValue.text('x'))
    const row = at('v2', 'v1', 'v2').rewrapped(slot, backup, 'v2')
    expect(at('v2', 'v2').open(slot, row).equals(SecretValue.text('x'))).toBe(true)
    expect(failure(() => at('v2', 'v2').open(slot, backup))).toMatchObject({ code: 'unavailable', detail: { kekId: 'v1' } })
    expect(at('v2', 'v1', 'v2').open(slot, backup).equals(SecretValue.text('x'))).toBe(true)
    // put back over the live row, its wrap and its KEK go together
    expect(failure(() => at('v2', 'v1', 'v2').open(slot, { ...row, wrap: backup.wrap }))).toMatchObject({ code: 'corrupt' })
    expect(
      at('v2', 'v1', 'v2')
        .open(slot, { ...backup, payload: row.payload })
        .equals(SecretValue.text('x')),
    ).toBe(true)
  })

  test('of before a re-encryption opens no new payload', () => {
    const both = at('v2', 'v1', 'v2')
    const backup = at('v1', 'v1').seal(slot, SecretValue.text('x'))
    const row = both.reseal(slot, backup, 'v2')
    expect(both.open(slot, row).equals(SecretValue.text('x'))).toBe(true)
    expect(Buffer.from(row.payload).equals(Buffer.from(backup.payload))).toBe(false)
    expect(failure(() => both.open(slot, { ...row, wrap: backup.wrap, kekId: 'v1' }))).toMatchObject({ code: 'corrupt' })
  })

  test('a re-encryption keeps the bytes of every kind, the root too', () => {
    const both = at('v1', 'v1', 'v2')
    const root = randomBytes(32)
    const sealed = both.reseal({ secretId: 'root' as SecretId, number: 1, kind: 'root' }, both.sealRoot(1, root), 'v2')
    expect([sealed.kekId, Buffer.from(both.openRoot(1, sealed)).equals(root)]).toEqual(['v2', true])
    const value = SecretValue.fields({ a: 'b', n: { json: '12345678901234567890' } })
    for (const kind of ['fields', 'pending', 'previous'] as const) {
      const place = { ...slot, kind }
      expect(both.open(place, both.reseal(place, both.seal(place, value), 'v2')).equals(value)).toBe(true)
    }
  })

  test('proving opens and gives nothing, and says what opening says', () => {
    const both = at('v1', 'v1', 'v2')
    const sealed = both.seal(slot, SecretValue.text('x'))
    expect(both.proves(slot, sealed)).toBeUndefined()
    expect(failure(() => both.proves({ ...slot, number: 2 }, sealed))).toMatchObject({ code: 'corrupt' })
    expect(failure(() => at('v2', 'v2').proves(slot, sealed))).toBeInstanceOf(BrokerError)
  })
})
