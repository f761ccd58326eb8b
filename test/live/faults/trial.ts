import { wallClock } from '@keyturn/conformance'
import { BrokerError, type ErrorCode, Store, type StoreAdapter } from '@keyturn/core'
import { expect } from 'vitest'
import type { Passage } from '../../servers/toxiproxy.ts'
import { deadlineMs, type Fault, type Scene, valueBytes } from './fault.ts'
import { canary, Eavesdropper, facesOf, sightings, singing } from './sighting.ts'
import type { Subject, Upstream } from './subject.ts'
import { startWrongGrpc } from './wrong-grpc.ts'
import { startWrongServer, type WrongServer } from './wrong-server.ts'

/** Two busy cores may be late, but not by much more than a deadline. */
const marginMs = 5_000
const healMs = 20_000
const atOnce = 4
/** So that connections that were ended are known to be, before the calls. */
const settleMs = 100

/** What a trial is made of. `adapter` was opened through `passage`. */
export interface Bench {
  readonly subject: Subject
  readonly at: Upstream
  readonly passage: Passage
  readonly adapter: StoreAdapter
  /** Opens another adapter like it. */
  open(): Promise<StoreAdapter>
}

/** The canaries of one trial: what is in the backend, and what is being written. */
interface Canaries {
  readonly stored: string
  readonly written: string
}

/** One adapter on which one fault after the other is tried; each trial throws what is wrong with it. */
export class Trial {
  readonly #bench: Bench
  readonly #patient: Store
  readonly #bounded: Store
  #tried = 0

  constructor(bench: Bench) {
    this.#bench = bench
    this.#patient = new Store(bench.adapter, { name: 'patient', clock: wallClock, timeoutMs: 30_000 })
    this.#bounded = new Store(bench.adapter, { name: 'bounded', clock: wallClock, timeoutMs: deadlineMs })
  }

  async of(fault: Fault): Promise<void> {
    this.#tried += 1
    // a late request of one fault must not be taken for that of another
    const name = `f${this.#tried}`
    const canaries: Canaries = { stored: canary(), written: canary() }
    await this.#prepare(name, canaries)
    const fresh = await this.#bench.open()
    const cold = new Store(fresh, { name: 'cold', clock: wallClock, timeoutMs: deadlineMs })
    try {
      const { ended, heard } = await this.#during(fault, name, cold, canaries)
      for (const { operation, expected, error, tookMs } of ended) {
        expect(error, `${operation} ended well`).toBeInstanceOf(BrokerError)
        expect(expected, `${operation}: ${String(error)}`).toContain((error as BrokerError).code)
        expect(tookMs, `${operation} went on beyond its deadline`).toBeLessThan(deadlineMs + marginMs)
      }
      const texts = [...heard, ...ended.flatMap(({ error }) => facesOf(error))]
      expect(sightings(texts, [canaries.stored, canaries.written]), 'a value is shown').toEqual([])
      await this.#afterwards(cold)
      await this.#truth(fault, name, ended, canaries)
    } finally {
      await fresh.close()
    }
  }

  /** A server that was given is left as it was found. */
  async clear(): Promise<void> {
    for (const path of await Array.fromAsync(this.#patient.list(this.#bench.at.prefix))) await this.#patient.delete(path, intent())
  }

  async #prepare(name: string, { stored }: Canaries): Promise<void> {
    const { at } = this.#bench
    await this.#patient.write(at.path('read'), this.#value(stored), intent())
    await this.#patient.write(at.path(name), this.#value(stored), intent())
    await Array.fromAsync(this.#patient.list(at.prefix))
    // so that there is an open connection for each call below
    await Promise.all(Array.from({ length: 2 * atOnce + 1 }, () => this.#patient.read(at.path('read'))))
  }

  async #during(fault: Fault, name: string, cold: Store, { stored, written }: Canaries) {
    const { at, passage } = this.#bench
    const wrong: WrongServer[] = []
    const ear = new Eavesdropper()
    try {
      await fault.apply(sceneOf(this.#bench, singing(stored, valueBytes), wrong))
      await settled()
      const ended = await Promise.all([
        ...repeated('read', fault.read, () => this.#bounded.read(at.path('read'))),
        ...repeated('list', fault.list, () => Array.fromAsync(this.#bounded.list(at.prefix))),
        ...repeated('write', fault.write, () => this.#bounded.write(at.path(name), this.#value(written), intent()), 1),
        ...repeated('cold read', fault.read, () => cold.read(at.path('read')), 1),
        ...repeated('cold list', fault.list, () => Array.fromAsync(cold.list(at.prefix)), 1),
        ...repeated('cold write', coldCodes(fault.write), () => cold.write(at.path(name), this.#value(written), intent()), 1),
      ])
      // what runs on behind an ended call would speak up now
      await settled()
      return { ended, heard: ear.texts }
    } finally {
      ear.stop()
      await passage.heal()
      for (const each of wrong) await each.stop()
      await settled()
    }
  }

  /** What was there before works, and what was opened into the fault does too. */
  async #afterwards(cold: Store): Promise<void> {
    const { at } = this.#bench
    for (const store of [this.#bounded, cold]) await healed(store, at)
    await Promise.all(Array.from({ length: 2 * atOnce }, () => this.#bounded.read(at.path('read'))))
    expect(await Array.fromAsync(this.#bounded.list(at.prefix))).toContain(at.path('read'))
  }

  /** Only a write that says `outcome_unknown` may have acted. */
  async #truth(fault: Fault, name: string, ended: readonly Ended[], { stored, written }: Canaries): Promise<void> {
    const { at, subject } = this.#bench
    const writes = ended.filter(({ operation }) => operation.endsWith('write'))
    if (writes.length === 0) return
    const found = at.textOf((await this.#patient.read(at.path(name))).value)
    const mayHaveActed = writes.some(({ error }) => (error as BrokerError).code === 'outcome_unknown')
    const possible = fault.acted === true && subject.writesAtOnce ? [written] : mayHaveActed ? [stored, written] : [stored]
    const which = found === singing(written, valueBytes) ? written : found === singing(stored, valueBytes) ? stored : 'neither'
    expect(possible, 'what a failed write says of itself is not true').toContain(which)
    await this.#bounded.write(at.path(name), this.#value(stored), intent())
  }

  #value(text: string) {
    return this.#bench.at.value(singing(text, valueBytes))
  }
}

const intent = () => ({ idempotencyKey: crypto.randomUUID() })

/** A channel may wait before it tries again, but not for long, and says nothing else than that it could not. */
async function healed(store: Store, at: Upstream): Promise<void> {
  const until = Date.now() + healMs
  for (;;) {
    const error = await store.read(at.path('read')).then(
      () => undefined,
      (thrown: BrokerError) => thrown,
    )
    if (error === undefined) return
    expect(error.code, 'after the fault').toBe('unavailable')
    if (Date.now() > until) throw error
    await settled()
  }
}

const settled = () => new Promise(resolve => setTimeout(resolve, settleMs))

/** How one call ended. */
interface Ended {
  readonly operation: string
  readonly expected: readonly ErrorCode[]
  readonly error: unknown
  readonly tookMs: number
}

function repeated(
  operation: string,
  expected: readonly ErrorCode[] | undefined,
  call: () => Promise<unknown>,
  times = atOnce,
): readonly Promise<Ended>[] {
  if (expected === undefined) return []
  return Array.from({ length: times }, async () => {
    const began = performance.now()
    const error: unknown = await call().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    return { operation, expected, error, tookMs: performance.now() - began }
  })
}

/** What a first call needs (a connection, a login) may fail before it goes out. */
function coldCodes(codes: Fault['write']): Fault['write'] {
  return codes?.includes('outcome_unknown') === true ? [...codes, 'unavailable'] : codes
}

function sceneOf({ passage, subject: { speaks }, at }: Bench, value: string, wrong: WrongServer[]): Scene {
  return {
    passage,
    async mislead(how, as = 'backend') {
      const certificate = as === 'plain' ? undefined : as === 'impostor' ? at.tls?.impostor : at.tls?.own
      const server = speaks === 'grpc' ? await startWrongGrpc(how, value, certificate) : await startWrongServer(how, value, certificate)
      wrong.push(server)
      await passage.lead(server.port)
    },
  }
}
