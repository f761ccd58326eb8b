import { BrokerError, backoffMs, type Delivery, type SecretName } from '@keyturn/core'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { named } from '../exchange.ts'
import { Turns } from '../writes/turns.ts'
import { deliver, type Reach } from './deliver.ts'

const atOnce = 8
/** How often every name is looked at: another broker may have promoted it and died. */
const sweepMs = 60_000
/** How long a rotation waits for its copies before it says how many it reached; they are brought on without it. */
const publishMs = 10_000

/** What keeps a name from its other stores, and when that is tried again. */
interface Undelivered {
  readonly failures: number
  readonly error: BrokerError
  readonly cancel: () => void
}

/**
 * Keeps the other stores of names `from` several in step with the first. What is to be done is in the ledger; here is only when to look: at the start, after every
 * change through this broker, once a minute, and after a failure with growing pauses.
 */
export class Deliveries {
  readonly #broker: Broker
  readonly #turns = new Turns()
  readonly #undelivered = new Map<SecretName, Undelivered>()
  readonly #waiting = new Set<SecretName>()
  readonly #running = new Set<Promise<void>>()
  #cancelSweep: () => void = () => undefined
  #stopped = false

  constructor(broker: Broker) {
    this.#broker = broker
  }

  start(): void {
    if (this.#entries().length === 0) return
    for (const { name } of this.#entries()) this.notice(name)
    if (!this.#stopped) this.#cancelSweep = this.#broker.clock.after(sweepMs, () => this.start())
  }

  /** Something changed, or may have. */
  look(name: SecretName): void {
    this.#undelivered.get(name)?.cancel()
    this.#waiting.add(name)
    this.#fill()
  }

  /** The same, in passing: what failed keeps its pause. */
  notice(name: SecretName): void {
    if (!this.#undelivered.has(name)) this.look(name)
  }

  /** Brings one name to its stores, for its rotation: how many have it after a while. */
  async publish(name: SecretName): Promise<Delivery> {
    const entry = this.#broker.catalog.find(name)
    if (entry === null || entry.others.length === 0) return { kind: 'complete' }
    const delivered = this.#deliver(entry)
    let cancel: () => void = () => undefined
    const late = new Promise<undefined>(resolve => {
      cancel = this.#broker.clock.after(publishMs, () => resolve(undefined))
    })
    const reach = await Promise.race([delivered, late]).finally(cancel)
    const of = entry.others.length
    if (reach === undefined) void delivered.catch(() => undefined)
    return reach?.reached === of ? { kind: 'complete' } : { kind: 'degraded', reached: reach?.reached ?? 0, of }
  }

  /** What keeps a name from its other stores now; null: nothing. */
  failure(name: SecretName): BrokerError | null {
    return this.#undelivered.get(name)?.error ?? null
  }

  /** Begins nothing more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelSweep()
    for (const { cancel } of this.#undelivered.values()) cancel()
    await Promise.all(this.#running)
  }

  #entries(): readonly Entry[] {
    const { catalog } = this.#broker
    return catalog.named().flatMap(name => {
      const entry = catalog.find(name)
      return entry === null || entry.others.length === 0 ? [] : [entry]
    })
  }

  #fill(): void {
    for (const name of this.#waiting) {
      if (this.#stopped || this.#running.size >= atOnce) return
      this.#waiting.delete(name)
      const running: Promise<void> = this.#try(name).finally(() => {
        this.#running.delete(running)
        this.#fill()
      })
      this.#running.add(running)
    }
  }

  async #try(name: SecretName): Promise<void> {
    const entry = this.#broker.catalog.find(name)
    if (entry === null || entry.others.length === 0) return
    try {
      await this.#deliver(entry)
    } catch (error) {
      this.#failed(name, named(error))
    }
  }

  /** One at a time for each name: two would write the same twice. */
  #deliver(entry: Entry): Promise<Reach> {
    return this.#turns.run(entry.name, async () => {
      const reach = await deliver(this.#broker, entry)
      const [failure] = reach.failures
      if (failure === undefined) this.#delivered(entry.name)
      else this.#failed(entry.name, undelivered(entry, reach))
      return reach
    })
  }

  #delivered(name: SecretName): void {
    const before = this.#undelivered.get(name)
    if (before === undefined) return
    before.cancel()
    this.#undelivered.delete(name)
    this.#broker.log.info({ secret: name }, 'every store has the current version again')
  }

  #failed(name: SecretName, error: BrokerError): void {
    const { clock, random, log } = this.#broker
    const before = this.#undelivered.get(name)
    before?.cancel()
    const failures = (before?.failures ?? 0) + 1
    const cancel = this.#stopped ? () => undefined : clock.after(backoffMs(failures, random), () => this.look(name))
    this.#undelivered.set(name, { failures, error, cancel })
    log.warn({ secret: name, code: error.code, failures }, error.message)
  }
}

function undelivered(entry: Entry, { failures }: Reach): BrokerError {
  const list = [...failures].map(([store, { code }]) => `${store} (${code})`)
  const [first] = failures.values()
  return new BrokerError(first?.code ?? 'unavailable', `not every store of ${entry.name} has its current version yet: ${list.join(', ')}`, {
    hint: 'it is tried again by itself; nothing older is served from these stores',
    detail: { stores: [...failures.keys()] },
  })
}
