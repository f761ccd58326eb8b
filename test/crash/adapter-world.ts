import { BrokerError, SecretValue, Store, type StoreAdapter, type Strategy, type VersionId } from '@keyturn/core'
import type { Mode } from '../simulation/faults.ts'
import { RotationWorld, type RotationWorldOptions } from '../simulation/rotation-world.ts'
import type { Look, Process, Shelf } from './backends/backend.ts'
import { Wire, type WireMode } from './wire.ts'

const deadlineMs = 30_000

export interface AdapterWorldOptions {
  readonly strategy: Strategy
  readonly shelf: Shelf
  /** Where calls of the adapter go wrong, by number. */
  readonly faults?: ReadonlyMap<number, Mode>
  /** Where requests go wrong on their way, by number. */
  readonly wireFaults?: ReadonlyMap<number, WireMode>
  /** Puts a bug into the adapter. */
  readonly spoil?: (adapter: StoreAdapter) => StoreAdapter
}

/**
 * A world whose store is a real adapter on a real backend. Each process opens the adapter anew, on connections of its own, which end when it dies. The
 * engine lives in simulated time; what goes over the wire takes the time that it takes.
 */
export class AdapterWorld extends RotationWorld {
  readonly wire: Wire
  /** Numbers of the requests that changed the secret. */
  readonly effects = new Set<number>()
  protected readonly storeFailure = (code: 'unavailable' | 'outcome_unknown') => new BrokerError(code, 'a planted fault')
  readonly #shelf: Shelf
  readonly #spoil: (adapter: StoreAdapter) => StoreAdapter
  readonly #repeats: boolean
  /** Every value that the journal ever held, encoded. */
  readonly #known = new Set<string>()
  #process: Process | undefined
  #seen: Look | undefined
  #neighbours: string | undefined

  constructor({ strategy, shelf, faults = new Map(), wireFaults = new Map(), spoil = adapter => adapter }: AdapterWorldOptions) {
    super({ strategy, path: shelf.path, storeTimeoutMs: deadlineMs, faults, ...startOf(strategy, shelf) })
    this.#shelf = shelf
    this.#spoil = spoil
    this.#repeats = [...faults.values(), ...wireFaults.values()].some(mode => mode === 'twice' || mode === 'late')
    this.#know(this.base.encode())
    const check = this.faults.onCall
    this.wire = new Wire(wireFaults, {
      clock: this.clock,
      deadlineMs,
      die: () => this.faults.die(),
      onEffect: number => this.#notice(number, check),
    })
  }

  current(): SecretValue | undefined {
    return this.#seen?.current
  }

  /** A request that arrives twice makes two versions where the backend has nothing to know it by. */
  made(): number | undefined {
    const { made } = this.#seen ?? {}
    const { guarantees, stages } = this.#adapter
    const knows = guarantees.cas || guarantees.idempotent || stages !== undefined
    return made === undefined || (this.#repeats && !knows) ? undefined : made - 1
  }

  /** Whether a write of the store can depend on what is there. */
  get compares(): boolean {
    return this.#adapter.guarantees.cas || this.#adapter.stages !== undefined
  }

  get keepsVersions(): boolean {
    return this.#adapter.versions !== undefined
  }

  get withholds(): boolean {
    return this.#adapter.disable !== undefined
  }

  /** What the adapter gives: the current version or the one asked for; null: there is none that may be read. */
  async read(version?: VersionId): Promise<SecretValue | null> {
    const { signal } = new AbortController()
    const store = new Store(this.#adapter, { name: 'read', clock: this.clock, timeoutMs: deadlineMs })
    return store
      .read(this.#shelf.path, version === undefined ? { signal } : { signal, version })
      .then(({ value }) => value)
      .catch((error: BrokerError) => {
        if (error.code === 'not_found' || error.code === 'precondition_failed') return null
        throw error
      })
  }

  /** Someone writes past the broker. */
  overwrite(value: SecretValue): Promise<void> {
    return this.#shelf.place(value)
  }

  /** The process of this moment. */
  get #adapter(): StoreAdapter {
    if (this.#process === undefined) throw new Error('no process was born yet')
    return this.#process.adapter
  }

  /** Ends the last process. */
  async close(): Promise<void> {
    await this.#end()
    for (const error of this.wire.broken) this.violations.push(`what stands between adapter and backend broke: ${error}`)
  }

  async #end(): Promise<void> {
    const { kill, adapter } = this.#process ?? {}
    this.#process = undefined
    // first the way: a process that dies does not say good-bye
    await kill?.()
    await adapter?.close()
  }

  protected override async place(value: SecretValue): Promise<void> {
    await this.overwrite(value)
  }

  protected override openStore(): StoreAdapter {
    return this.#adapter
  }

  protected override async born(): Promise<void> {
    await this.#end()
    const { adapter, kill } = await this.#shelf.open(this.wire.carry)
    this.#process = { adapter: this.#spoil(adapter), kill }
  }

  protected override async look(): Promise<void> {
    this.#seen = await this.#shelf.look()
    const { current, neighbours } = this.#seen
    this.#neighbours ??= neighbours
    if (this.#neighbours !== neighbours) this.violations.push('neighbours: something else in the backend was changed')
    for (const { sealed } of await this.rows()) if (sealed !== null) this.#know(sealed.payload)
    if (current !== undefined && !this.#known.has(textIn(current.encode())))
      this.violations.push('no stranger: readers get a value that the journal never held')
  }

  #know(encoded: Uint8Array): void {
    this.#known.add(textIn(encoded))
  }

  async #notice(number: number, check: () => Promise<void>): Promise<void> {
    const before = this.#seen?.secret
    await check()
    if (this.#seen?.secret !== before) this.effects.add(number)
  }
}

const textIn = (encoded: Uint8Array) => Buffer.from(encoded).toString()

/** What is there before the first rotation: a field that is not renewed stays as it is. */
function startOf(strategy: Strategy, { form }: Shelf): Pick<RotationWorldOptions, 'first' | 'settings'> {
  if (strategy !== 'generated' || form === 'text') return {}
  return { first: SecretValue.fields({ key: 'first', note: 'stays, “as it is”\r\n' }), settings: { renew: ['key'] } }
}
