import { createSecretKey } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BrokerError, type SecretId, SecretValue } from '@keyturn/core'
import { EnvelopeSealer, type KekProvider, type KeyringContent, wrapsHard } from '@keyturn/envelope'
import { MemoryLedger } from '@keyturn/ledger'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { StillClock } from '../../test/still-clock.ts'
import { pooledRandom } from '../random.ts'
import { KeyLife } from './key-life.ts'
import { derivedKeys, rootRecord } from './root.ts'
import { readRootCopy } from './root-copy.ts'

const random = pooledRandom()
const keys = new Map(['v1', 'v2', 'v3', 'other'].map(id => [id, createSecretKey(random.bytes(32))]))
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** Keys as a test gives them. */
class GivenKeys implements KekProvider {
  readonly kind: string
  readonly maxAgeMs = null
  readonly destroyed: string[] = []
  content: KeyringContent
  /** Why nothing can be destroyed; null: it can. */
  locked: string | null = null
  #changed: () => void = () => undefined

  constructor(ids: readonly string[], current: string, kind = 'file') {
    this.kind = kind
    this.content = contentOf(ids, current)
  }

  give(ids: readonly string[], current: string): void {
    this.content = contentOf(ids, current)
    this.#changed()
  }

  async load() {
    return { ...this.content, missing: [] }
  }

  watch(changed: () => void): () => void {
    this.#changed = changed
    return () => undefined
  }

  async destroy(id: string): Promise<void> {
    if (this.locked !== null) throw new BrokerError('precondition_failed', this.locked)
    this.destroyed.push(id)
  }

  async examine() {
    return []
  }

  async close() {}
}

function contentOf(ids: readonly string[], current: string): KeyringContent {
  return { keks: new Map(ids.map(id => [id.split('=')[0] ?? id, keyOf(id)])), current }
}

/** `v1=other`: another key under the id v1. */
function keyOf(id: string) {
  const key = keys.get(id.split('=').at(-1) ?? id)
  if (key === undefined) throw new Error(`no key ${id}`)
  return key
}

let clock: StillClock
let ledger: MemoryLedger
let folder: string
let lives: KeyLife[]

beforeEach(() => {
  clock = new StillClock()
  ledger = new MemoryLedger(clock, random)
  folder = mkdtempSync(join(tmpdir(), 'keyturn-life-'))
  lives = []
})
afterEach(async () => {
  for (const life of lives) await life.stop()
  rmSync(folder, { recursive: true, force: true })
})

const events = { promoted: async () => undefined, changed: () => undefined, beat: () => undefined }

async function open(provider: KekProvider, alone = false): Promise<KeyLife> {
  return KeyLife.open({ provider, ledger, clock, random, log: silent, data: folder, alone, version: '0' })
}

async function start(provider: KekProvider, alone = false): Promise<KeyLife> {
  const life = await open(provider, alone)
  const sealer = new EnvelopeSealer({ keyring: life.keyring, random, store: ledger.id, meter: life.meter })
  await derivedKeys(ledger.sealed, sealer, random)
  await life.join(sealer)
  life.start(events)
  lives.push(life)
  return life
}

const stateOf = async (id: string) => (await ledger.keks.all()).find(record => record.id === id)?.state

test('the first KEK is current at once', async () => {
  const life = await start(new GivenKeys(['v1'], 'v1'))
  expect([life.keyring.currentId, await stateOf('v1')]).toEqual(['v1', 'active'])
})

test('three brokers that start again one by one: the new KEK is current with the last, and the others learn it', async () => {
  const old = [await start(new GivenKeys(['v1'], 'v1')), await start(new GivenKeys(['v1'], 'v1')), await start(new GivenKeys(['v1'], 'v1'))]
  const fresh: KeyLife[] = []
  for (const life of old) {
    await life.stop()
    fresh.push(await start(new GivenKeys(['v1', 'v2'], 'v2')))
    expect(await stateOf('v2')).toBe(fresh.length < 3 ? 'pre-active' : 'active')
  }
  expect(fresh.map(life => life.keyring.currentId)).toEqual(['v1', 'v1', 'v2'])
  await clock.pass(20)
  expect(fresh.map(life => life.keyring.currentId)).toEqual(['v2', 'v2', 'v2'])
})

test('a broker that died is waited for until its heartbeat is a minute old', async () => {
  const dead = await start(new GivenKeys(['v1'], 'v1'))
  // its end without a word: no heartbeat comes from it any more
  Object.assign(dead, { beat: () => Promise.resolve() })
  await start(new GivenKeys(['v1', 'v2'], 'v2'))
  await clock.pass(40)
  expect(await stateOf('v2')).toBe('pre-active')
  await clock.pass(40)
  expect(await stateOf('v2')).toBe('active')
})

test('an embedded broker has nobody to wait for, whoever died before it', async () => {
  await open(new GivenKeys(['v1'], 'v1'))
  await ledger.instances.beat({ id: 'dead', loaded: ['v1'], wanted: 'v1', using: 'v1', version: '0' })
  const life = await start(new GivenKeys(['v1', 'v2'], 'v2'), true)
  expect([await stateOf('v2'), life.live.length]).toEqual(['active', 1])
})

test('the root is wrapped anew before the promotion, so that the new KEK alone starts a broker', async () => {
  const provider = new GivenKeys(['v1'], 'v1')
  const life = await start(provider, true)
  expect((await ledger.sealed.get(rootRecord))?.kekId).toBe('v1')
  provider.give(['v1', 'v2'], 'v2')
  await clock.pass(2)
  expect((await ledger.sealed.get(rootRecord))?.kekId).toBe('v2')
  expect(readRootCopy(folder).sealed.kekId).toBe('v2')
  await life.stop()
  expect((await start(new GivenKeys(['v2'], 'v2'), true)).keyring.currentId).toBe('v2')
})

test('keys without the one that is in use are not taken over', async () => {
  const provider = new GivenKeys(['v1'], 'v1')
  const life = await start(provider, true)
  await ledger.keks.meet([{ id: 'v3', fingerprint: 'x' }])
  provider.give(['v2'], 'v2')
  await clock.pass(2)
  expect(life.keyring.ids).toEqual(['v1'])
  expect(life.keys.health.error?.message).toContain('KEK v1 closes new values here')
  provider.give(['v1', 'v2'], 'v1')
  await clock.pass(12)
  expect([life.keyring.ids, life.keys.health.error]).toEqual([['v1', 'v2'], null])
})

test('two first starts with a key each: the second is refused, told what to do, and has changed nothing', async () => {
  await start(new GivenKeys(['v1'], 'v1'))
  const root = await ledger.sealed.get(rootRecord)
  await expect(open(new GivenKeys(['v1=other'], 'v1'))).rejects.toMatchObject({
    code: 'precondition_failed',
    hint: expect.stringContaining('share one folder of keys'),
  })
  expect(await ledger.sealed.get(rootRecord)).toEqual(root)
  expect(await ledger.keks.all()).toHaveLength(1)
})

test('what was destroyed by one broker is let go of by the others, with what they keep of it', async () => {
  const provider = new GivenKeys(['v1', 'v2'], 'v2')
  const life = await start(new GivenKeys(['v1'], 'v1'))
  await life.stop()
  const other = await start(provider)
  expect(await stateOf('v1')).toBe('deactivated')
  await ledger.keks.move('v1', 'compromised')
  await ledger.keks.move('v1', 'destroyed')
  await clock.pass(20)
  expect([other.keyring.ids, provider.destroyed]).toEqual([['v2'], ['v1']])
  expect(() => other.keyring.kek('v1')).toThrow(/was destroyed on .* cannot be recovered/)
})

test('a copy of a destroyed KEK that is left keeps no broker from starting, is never loaded, and is destroyed when that can be done', async () => {
  await (await start(new GivenKeys(['v1'], 'v1'))).stop()
  await (await start(new GivenKeys(['v1', 'v2'], 'v2'))).stop()
  await ledger.keks.move('v1', 'destroyed')
  const provider = new GivenKeys(['v1', 'v2'], 'v2')
  provider.locked = 'the folder is read-only'
  const life = await start(provider)
  expect([life.keyring.ids, [...life.copies.left.values()].map(({ message }) => message)]).toEqual([['v2'], ['the folder is read-only']])
  expect(() => life.keyring.kek('v1')).toThrow(/was destroyed on/)
  provider.locked = null
  await clock.pass(16)
  expect([provider.destroyed, life.copies.left.size]).toEqual([['v1'], 0])
  // as the wanted one, or under another id, it is refused all the same
  await expect(open(new GivenKeys(['v1', 'v2'], 'v1'))).rejects.toMatchObject({
    message: expect.stringContaining('KEK v1 is destroyed since'),
  })
  await expect(open(new GivenKeys(['v2', 'v9=v1'], 'v2'))).rejects.toMatchObject({ code: 'precondition_failed' })
})

test('a KEK at the limit of its use opens, closes nothing, and does not keep a broker from starting with the next one', async () => {
  const slot = { secretId: 'sec_0123456789ABCDEFGHJKMNPQRS' as SecretId, number: 1, kind: 'text' } as const
  const sealerOf = ({ keyring, meter }: KeyLife) => new EnvelopeSealer({ keyring, random, store: ledger.id, meter })
  const first = await start(new GivenKeys(['v1'], 'v1'), true)
  const sealed = sealerOf(first).seal(slot, SecretValue.text('a'))
  await first.stop()
  await ledger.keks.reserve('v1', wrapsHard)
  const worn = await start(new GivenKeys(['v1'], 'v1'), true)
  expect(sealerOf(worn).open(slot, sealed).equals(SecretValue.text('a'))).toBe(true)
  expect(() => sealerOf(worn).seal(slot, SecretValue.text('b'))).toThrow(/as many values as one key may/)
  await clock.pass(31)
  expect(worn.live).toHaveLength(1)
  await worn.stop()
  const next = await start(new GivenKeys(['v1', 'v2'], 'v2'), true)
  expect([next.keyring.currentId, sealerOf(next).seal(slot, SecretValue.text('b')).kekId]).toEqual(['v2', 'v2'])
})

test('a promotion at the start is told as soon as somebody listens, once', async () => {
  const told: string[] = []
  await (await start(new GivenKeys(['v1'], 'v1'), true)).stop()
  const life = await open(new GivenKeys(['v1', 'v2'], 'v2'), true)
  lives.push(life)
  await life.join(new EnvelopeSealer({ keyring: life.keyring, random, store: ledger.id, meter: life.meter }))
  life.start({ ...events, promoted: async (to, from) => void told.push(`${from} ${to}`) })
  await clock.pass(20)
  expect(told).toEqual(['v1 v2'])
})

test.each(['compromised', 'retired'] as const)('a %s KEK may be there, and not be the wanted one', async state => {
  const first = await start(new GivenKeys(['v1'], 'v1'))
  await first.stop()
  const second = await start(new GivenKeys(['v1', 'v2'], 'v2'))
  await second.stop()
  await ledger.keks.move('v1', state)
  expect((await open(new GivenKeys(['v1', 'v2'], 'v2'))).keyring.ids).toEqual(['v1', 'v2'])
  await expect(open(new GivenKeys(['v1', 'v2'], 'v1'))).rejects.toMatchObject({ message: expect.stringContaining(`KEK v1 is ${state}`) })
})

test('uses are counted in the ledger, and go on after a restart', async () => {
  const first = await start(new GivenKeys(['v1'], 'v1'))
  await first.stop()
  const before = await ledger.keks.reserve('v1', 1)
  const second = await open(new GivenKeys(['v1'], 'v1'))
  await second.meter.ready('v1')
  expect(await ledger.keks.reserve('v1', 1)).toBeGreaterThan(before + 1)
})
