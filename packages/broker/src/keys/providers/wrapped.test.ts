import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import type { KekWrapper, WrapContext } from '@keyturn/envelope'
import { MemoryLedger } from '@keyturn/ledger'
import { beforeEach, describe, expect, test } from 'vitest'
import { SimulatedClock } from '../../../../../test/simulation/clock.ts'
import { pooledRandom } from '../../random.ts'
import { leaveKekCopy, readKekCopy } from '../kek-copy.ts'
import { type WrappedKeysParts, wrappedKeys } from './wrapped.ts'

const random = pooledRandom()
const live = () => new AbortController().signal

/** A provider in memory with real ciphers: keys by version, and what it does wrong. */
class Place implements KekWrapper {
  readonly kind = 'place'
  readonly versions = new Map([['v1', randomBytes(32)]])
  /** Fails a call, or changes what it gives. */
  spoil: (call: 'wrap' | 'unwrap', kekId: string) => void | Promise<void> = () => undefined
  /** Opens to something else than what was closed. */
  lies = false
  calls = 0

  async newest(): Promise<string> {
    return [...this.versions.keys()].at(-1) ?? ''
  }

  async wrap(kek: Uint8Array, context: WrapContext): Promise<{ key: string; bytes: Uint8Array }> {
    this.calls += 1
    await this.spoil('wrap', context.kekId)
    const [key, iv] = [await this.newest(), randomBytes(12)]
    const cipher = createCipheriv('aes-256-gcm', this.versions.get(key) ?? '', iv).setAAD(aad(context))
    return { key, bytes: Buffer.concat([iv, cipher.update(kek), cipher.final(), cipher.getAuthTag()]) }
  }

  async unwrap({ key, bytes }: { key: string; bytes: Uint8Array }, context: WrapContext): Promise<Uint8Array> {
    this.calls += 1
    await this.spoil('unwrap', context.kekId)
    const version = this.versions.get(key)
    if (version === undefined) throw new BrokerError('not_found', `no ${key}`, { hint: 'x' })
    const decipher = createDecipheriv('aes-256-gcm', version, bytes.subarray(0, 12)).setAAD(aad(context)).setAuthTag(bytes.subarray(-16))
    const kek = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
    if (this.lies) kek[0] = (kek[0] ?? 0) ^ 1
    return kek
  }

  async examine() {
    return []
  }

  async close() {}
}

const aad = ({ ledgerId, kekId }: WrapContext) => Buffer.from(JSON.stringify([ledgerId, kekId]))

let clock: SimulatedClock
let ledger: MemoryLedger
let place: Place
let troubles: unknown[]
beforeEach(() => {
  clock = new SimulatedClock()
  ledger = new MemoryLedger(clock, random)
  place = new Place()
  troubles = []
})

const parts = (more: Partial<WrappedKeysParts> = {}): WrappedKeysParts => ({
  wrapper: place,
  ledgerId: ledger.id,
  keks: ledger.keks,
  random,
  clock,
  maxAgeMs: 3_600_000,
  fresh: true,
  writes: true,
  trouble: error => troubles.push(error),
  ...more,
})
const failing = (code: 'unavailable' | 'permission_denied' | 'not_found' | 'precondition_failed') => () => {
  throw new BrokerError(code, `place: ${code}`, { hint: 'x' })
}
const material = async (more: Partial<WrappedKeysParts> = {}) => {
  const { keks } = await wrappedKeys(parts(more)).load(live())
  return Object.fromEntries([...keks].map(([id, key]) => [id, key.export().toString('hex')]))
}

describe('the first start', () => {
  test('makes k1, which the ledger holds closed and nothing holds open', async () => {
    const made = await material()
    const [record] = await ledger.keks.all()
    expect([Object.keys(made), record?.id, record?.wrapped?.provider, record?.wrapped?.key]).toEqual([['k1'], 'k1', 'place', 'v1'])
    expect(Buffer.from(record?.wrapped?.bytes ?? []).toString('hex')).not.toContain(made.k1)
    expect(await material({ fresh: false })).toEqual(made)
  })

  test('of several at once gives all the same key', async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => material()))
    expect(new Set(all.map(({ k1 }) => k1)).size).toBe(1)
    expect(await ledger.keks.all()).toHaveLength(1)
  })

  test('without the provider fails, and makes nothing', async () => {
    place.spoil = failing('unavailable')
    await expect(material()).rejects.toMatchObject({ code: 'unavailable', message: 'place: unavailable' })
    expect(await ledger.keks.all()).toEqual([])
  })

  test('uses no key that does not open again', async () => {
    place.lies = true
    await expect(material()).rejects.toMatchObject({ code: 'corrupt' })
    expect(await ledger.keks.all()).toEqual([])
  })

  test('makes nothing where something was closed before', async () => {
    await expect(material({ fresh: false })).rejects.toMatchObject({ code: 'precondition_failed' })
    await ledger.keks.meet([{ id: 'of-a-file', fingerprint: '00' }])
    await expect(material()).rejects.toMatchObject({ code: 'precondition_failed' })
  })
})

describe('a new key', () => {
  test('is wanted from then on, and an id is never used twice', async () => {
    const provider = wrappedKeys(parts())
    await provider.load(live())
    clock.advance(1_000)
    await provider.make?.('k2', live())
    const { keks, current } = await provider.load(live())
    expect([[...keks.keys()], current]).toEqual([['k1', 'k2'], 'k2'])
    await expect(provider.make?.('k2', live())).rejects.toMatchObject({ code: 'conflict' })
    await expect(provider.make?.('a b', live())).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  test('is destroyed with its closed form, but never the newest', async () => {
    const provider = wrappedKeys(parts())
    await provider.load(live())
    clock.advance(1_000)
    await provider.make?.('k2', live())
    await expect(provider.destroy?.('k2', live())).rejects.toMatchObject({ code: 'conflict' })
    await ledger.keks.move('k1', 'retired')
    await provider.destroy?.('k1', live())
    await provider.destroy?.('k1', live())
    expect((await ledger.keks.all()).find(({ id }) => id === 'k1')).toMatchObject({ state: 'destroyed', wrapped: null })
    expect([...(await provider.load(live())).keks.keys()]).toEqual(['k2'])
  })
})

describe('loading', () => {
  beforeEach(async () => {
    const provider = wrappedKeys(parts())
    await provider.load(live())
    clock.advance(1_000)
    await provider.make?.('k2', live())
  })

  test.each(['not_found', 'precondition_failed'] as const)(
    'serves the others when one is refused for good (%s), and names it',
    async code => {
      place.spoil = (_call, kekId) => (kekId === 'k1' ? failing(code)() : undefined)
      const { keks, missing } = await wrappedKeys(parts()).load(live())
      expect([[...keks.keys()], missing.map(({ id, why }) => [id, why.code])]).toEqual([['k2'], [['k1', code]]])
    },
  )

  test.each(['unavailable', 'permission_denied'] as const)('gives nothing when one cannot be had now (%s)', async code => {
    place.spoil = (_call, kekId) => (kekId === 'k1' ? failing(code)() : undefined)
    await expect(wrappedKeys(parts()).load(live())).rejects.toMatchObject({ code })
  })

  test('fails when the newest is refused', async () => {
    place.spoil = (_call, kekId) => (kekId === 'k2' ? failing('not_found')() : undefined)
    await expect(wrappedKeys(parts()).load(live())).rejects.toMatchObject({ code: 'not_found' })
  })

  test('takes no other key than the one that was met', async () => {
    place.lies = true
    await expect(wrappedKeys(parts()).load(live())).rejects.toMatchObject({ code: 'corrupt' })
  })

  test('waits 3 seconds for a call, and ends when it is told to', async () => {
    place.spoil = () => new Promise(() => undefined)
    const late = wrappedKeys(parts()).load(live())
    const stop = new AbortController()
    const ended = wrappedKeys(parts()).load(stop.signal)
    await new Promise(resolve => setImmediate(resolve))
    stop.abort()
    await expect(ended).rejects.toMatchObject({ code: 'cancelled' })
    clock.advance(3_000)
    await expect(late).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('within 3 s') })
  })

  test('passes over what another provider closed', async () => {
    const { keks } = await wrappedKeys(parts({ wrapper: Object.assign(new Place(), { kind: 'elsewhere' }), fresh: false }))
      .load(live())
      .then(
        given => given,
        (error: unknown) => ({ keks: error }),
      )
    expect(keks).toMatchObject({ code: 'precondition_failed' })
  })
})

describe('after the key of the provider was rotated', () => {
  test('every wrap is renewed, and the KEKs stay what they were', async () => {
    const before = await material()
    place.versions.set('v2', randomBytes(32))
    expect(await material()).toEqual(before)
    expect((await ledger.keks.all()).map(({ wrapped }) => wrapped?.key)).toEqual(['v2'])
    place.versions.delete('v1')
    expect(await material()).toEqual(before)
  })

  test('a wrap that cannot be renewed is told, kept, and tried again', async () => {
    const before = await material()
    place.versions.set('v2', randomBytes(32))
    place.spoil = call => (call === 'wrap' ? failing('unavailable')() : undefined)
    expect(await material()).toEqual(before)
    expect([troubles.length, (await ledger.keks.all())[0]?.wrapped?.key]).toEqual([1, 'v1'])
    place.spoil = () => undefined
    await material()
    expect((await ledger.keks.all())[0]?.wrapped?.key).toBe('v2')
  })
})

describe('the copy beside the ledger', () => {
  test('opens the same KEKs without it, changes nothing, and holds no destroyed one', async () => {
    const data = mkdtempSync(join(tmpdir(), 'keyturn-keks-'))
    try {
      expect(readKekCopy(data)).toBeNull()
      const before = await material()
      leaveKekCopy(data, { ledger: ledger.id, current: 'k1', keks: await ledger.keks.all() })
      const copy = readKekCopy(data)
      const refuse = () => Promise.reject(new Error('it writes'))
      place.versions.set('v2', randomBytes(32))
      const keks = { all: async () => copy?.keks ?? [], meet: refuse, move: refuse }
      expect(await material({ keks, ledgerId: copy?.ledger ?? '', fresh: false, writes: false })).toEqual(before)
      const [record] = await ledger.keks.all()
      if (record === undefined) throw new Error('no record')
      leaveKekCopy(data, { ledger: ledger.id, current: 'k2', keks: [{ ...record, state: 'destroyed' }] })
      expect(readKekCopy(data)?.keks).toEqual([])
    } finally {
      rmSync(data, { recursive: true })
    }
  })
})
