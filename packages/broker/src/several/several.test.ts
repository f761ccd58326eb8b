import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import type { SecretConfig } from '@keyturn/config'
import {
  BrokerError,
  type Etag,
  SecretValue,
  type SecretVersion,
  type StoreAdapter,
  type StorePath,
  secretName,
  type VersionId,
} from '@keyturn/core'
import { EnvelopeSealer, Keyring } from '@keyturn/envelope'
import { MemoryLedger } from '@keyturn/ledger'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Granted } from '../access.ts'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { settleWrites } from '../schedule.ts'
import { Section } from '../section.ts'
import { deleteSecret } from '../writes/delete.ts'
import { Turns } from '../writes/turns.ts'
import { writeSecret } from '../writes/write.ts'
import { deliver } from './deliver.ts'
import { Floors } from './floors.ts'
import { readSeveral } from './read-several.ts'

const name = secretName('app/key')
const path = 'app/key' as StorePath
const none = { ifMatch: undefined, ifNoneMatch: undefined }
const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const keyring = new Keyring({ keks: new Map([['k', createSecretKey(randomBytes(32))]]), current: 'k' })

/** The process is dead: whatever it does next does not happen. */
class Death extends Error {}

/** A process that dies at its nth call of a store or the ledger from now, before the call takes effect or after. */
class Life {
  #left = Number.POSITIVE_INFINITY
  #after = false
  dead = false

  arm(calls: number, after: boolean): void {
    this.#left = calls
    this.#after = after
  }

  restart(): void {
    this.#left = Number.POSITIVE_INFINITY
    this.dead = false
  }

  async call<T>(act: () => Promise<T>): Promise<T> {
    if (this.dead) throw new Death()
    this.#left -= 1
    if (this.#left > 0) return act()
    if (this.#after) await act()
    this.dead = true
    throw new Death()
  }

  /** The same object, mortal. */
  of<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (from, key) => {
        const member: unknown = Reflect.get(from, key)
        if (typeof member !== 'function') return member
        return (...args: unknown[]) => this.call(async () => member.apply(from, args))
      },
    })
  }
}

/** A store of one secret: it is there or not, and can be away. */
class Backend {
  readonly name: string
  readonly life: Life
  value: number | null = 0
  /** Whether the broker made it so. */
  ours = false
  writes = 0
  away = false

  constructor(name: string, life: Life) {
    this.name = name
    this.life = life
  }

  set(value: number | null, ours: boolean): void {
    this.value = value
    this.ours = ours
    this.writes += 1
  }

  open(): StoreAdapter {
    const info = () => ({
      version: `${this.name}-${this.writes}` as VersionId,
      state: 'current' as const,
      createdAt: new Date(this.writes),
      etag: `${this.writes}` as Etag,
    })
    const call = <T>(act: () => T): Promise<T> =>
      this.life.call(async () => {
        if (this.away) throw new BrokerError('unavailable', 'away')
        return act()
      })
    const expected = (ifMatch: Etag | null | undefined) => {
      const now = this.value === null ? null : info().etag
      if (ifMatch !== undefined && ifMatch !== now) throw new BrokerError('conflict', 'another version is current')
    }
    const absent = () => new BrokerError('not_found', 'absent')
    return {
      kind: 'toy',
      guarantees: { cas: true, idempotent: false, valueBytesMax: 1_000 },
      read: () =>
        call((): SecretVersion => {
          if (this.value === null) throw absent()
          return { ...info(), value: SecretValue.text(String(this.value)) }
        }),
      write: (_, value, { ifMatch }) =>
        call(() => {
          expected(ifMatch)
          this.set(numberIn(value), true)
          return info()
        }),
      delete: (_, { ifMatch }) =>
        call(() => {
          expected(ifMatch)
          if (this.value === null) throw absent()
          this.set(null, true)
        }),
      async *list() {},
      refuses: () => undefined,
      examine: async () => [],
      classify: () => ({ code: 'internal' }),
      async close() {},
    }
  }
}

function numberIn(value: SecretValue): number {
  const content = value.reveal()
  return 'field' in content ? Number(Buffer.from(content.field.bytes).toString()) : Number.NaN
}

class World {
  readonly life = new Life()
  nowMs = 1_000_000_000_000
  readonly stores = ['a', 'b', 'c'].map(each => new Backend(each, this.life))
  readonly #clock = { now: () => new Date(this.nowMs), after: () => () => undefined }
  readonly #ledger = new MemoryLedger(this.#clock, random)
  readonly entry: Entry
  readonly broker: Broker
  /** The newest that somebody was told of: a reader, or whoever wrote or deleted it. */
  known = 0
  #last = 0

  constructor() {
    const [first, ...others] = this.stores.map(backend => {
      const section = new Section({
        name: backend.name,
        kind: 'toy',
        clock: this.#clock,
        timeoutMs: 1_000,
        load: async () => backend.open(),
      })
      return { section, path, keys: null }
    })
    if (first === undefined) throw new Error('no store')
    // as much of a row as these acts look at
    const config = { maxStaleMs: null, grace: { ms: 0 }, strategy: null, built: true, every: null } as unknown as SecretConfig
    this.entry = { ...first, others, name, config, named: true }
    const { journal, secrets, sealed } = this.#ledger
    const sealer = new EnvelopeSealer({ keyring, random, store: this.#ledger.id, meter: null })
    const parts = {
      clock: this.#clock,
      random,
      sealer,
      journal: this.life.of(journal),
      ledger: { secrets: this.life.of(secrets), now: () => this.#ledger.now() },
      floors: new Floors({ records: this.life.of(sealed), sealer, key: createSecretKey(Buffer.alloc(32, 1)) }),
      turns: new Turns(),
      catalog: { find: () => this.entry },
      deliveries: { look() {}, notice() {} },
      settleLater() {},
      materials: { drop() {} },
      audit: { append: async () => undefined },
      log: { warn() {} },
    }
    this.broker = parts as unknown as Broker // these are all that the acts below use
  }

  get first(): Backend {
    const [first] = this.stores
    if (first === undefined) throw new Error('no store')
    return first
  }

  next(): number {
    this.#last += 1
    return this.#last
  }

  /** One act of a process that may die in it: then another one begins. */
  async act(run: () => Promise<void>): Promise<void> {
    this.nowMs += 120_000
    try {
      await run()
    } catch (error) {
      if (!(error instanceof Death) && !(error instanceof BrokerError) && !this.life.dead) throw error
    } finally {
      if (this.life.dead) this.#ledger.restart()
      this.life.restart()
    }
  }

  async put(): Promise<void> {
    const value = this.next()
    await writeSecret(this.broker, this.entry, { value: SecretValue.text(String(value)), condition: none })
    this.known = value
  }

  async remove(): Promise<void> {
    await deleteSecret(this.broker, { entry: this.entry } as Granted, none)
    this.known = this.next()
  }

  async read(): Promise<void> {
    const { id } = await this.#ledger.secrets.ensure(name)
    const { first } = this
    try {
      const { read, source } = await readSeveral(this.broker, this.entry, id)
      const value = numberIn(read.value)
      if (source === 'a') expect(value).toBe(first.value)
      else {
        // never behind what anybody was told of
        expect([source, value, value >= this.known]).toEqual([source, value, true])
        expect(read.version.startsWith('a-') || this.known === 0).toBe(true)
      }
      this.known = Math.max(this.known, value)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      if (error.code === 'not_found') {
        expect(first.away).toBe(false)
        this.known = Math.max(this.known, this.#last)
      } else expect([error.code, first.away]).toEqual(['unavailable', true])
    }
  }
}

const acts: Readonly<Record<string, (world: World, pick: number) => Promise<void>>> = {
  put: world => world.put(),
  remove: world => world.remove(),
  read: world => world.read(),
  bring: async world => void (await deliver(world.broker, world.entry)),
  settle: async world => void (await settleWrites(world.broker)),
  outside: async world => world.first.set(world.next(), false),
  'outside takes': async world => {
    world.next()
    world.first.set(null, false)
  },
  away: async (world, pick) => {
    const store = world.stores[pick % 3]
    if (store !== undefined) store.away = !store.away
  },
}

const calm = { act: 'read', pick: 0, thenRead: false, death: null as { calls: number; after: boolean } | null }

const step = fc.record({
  act: fc.constantFrom('put', 'put', 'read', 'read', 'bring', 'settle', 'away', 'away', 'outside', 'outside takes', 'remove', 'remove'),
  pick: fc.nat(2),
  thenRead: fc.boolean(),
  death: fc.option(fc.record({ calls: fc.integer({ min: 1, max: 24 }), after: fc.boolean() }), { freq: 2, nil: null }),
})

/** Every place to die in a deletion of what is still on its way to the other stores. */
const deaths = Array.from({ length: 24 }, (_, index): [(typeof calm)[]] => {
  const death = { calls: (index >> 1) + 1, after: index % 2 === 1 }
  return [[{ ...calm, act: 'put' }, { ...calm, act: 'remove', death }, calm]]
})

test('no reader is taken back in time, and in the end every store has what the broker wrote, whoever is away and wherever it dies', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async steps => {
      const world = new World()
      for (const { act, pick, thenRead, death } of steps) {
        if (death !== null && act !== 'read') world.life.arm(death.calls, death.after)
        await world.act(() => acts[act]?.(world, pick) ?? Promise.resolve())
        if (thenRead) await world.act(() => world.read())
      }
      for (const store of world.stores) store.away = false
      for (const act of ['settle', 'bring', 'read', 'bring']) await world.act(() => acts[act]?.(world, 0) ?? Promise.resolve())
      const { value } = world.first
      if (world.first.ours) expect(world.stores.map(store => store.value)).toEqual([value, value, value])
    }),
    { numRuns: 500, seed: 4, examples: deaths },
  )
})
