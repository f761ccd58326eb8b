import type { StoreAdapter } from '@keyturn/core'
import { BrokerError, bounded, type Call, type Clock, Store } from '@keyturn/core'
import type { Logger } from 'pino'
import { Breaker, type Pass } from './breaker.ts'

/** What `detail.reason` says of a call that was cut, or not made, because the next store was to be asked: the store may answer who waits longer. */
export const hurried = 'hurried'

/** What a store of the config is made of. */
export interface SectionOptions {
  readonly name: string
  readonly kind: string
  readonly clock: Clock
  readonly timeoutMs: number
  readonly load: () => Promise<StoreAdapter>
  /** Where it is told that the store went away and came back; left out: nowhere. */
  readonly log?: Pick<Logger, 'warn' | 'info'>
}

/**
 * One store of the config. It is opened when it is first asked for, and again when that failed: a store that is down at start keeps nobody from
 * starting. While it does not answer it is asked by one caller at a time, and the others are told at once.
 */
export class Section {
  readonly name: string
  readonly kind: string
  readonly #options: SectionOptions
  readonly #breaker: Breaker
  /** Of calls in a hurry alone: a store that is too slow for these still answers who has no other. */
  readonly #haste: Breaker
  #opening: Promise<Store> | null = null
  #state: 'ok' | 'unavailable' = 'ok'

  constructor(options: SectionOptions) {
    this.name = options.name
    this.kind = options.kind
    this.#options = options
    this.#breaker = new Breaker(options.clock)
    this.#haste = new Breaker(options.clock)
  }

  /** Whether it answered when it was last asked. */
  get state(): 'ok' | 'unavailable' {
    return this.#breaker.open || this.#haste.open ? 'unavailable' : this.#state
  }

  open(): Promise<Store> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null
      throw error
    })
    return this.#opening
  }

  /**
   * Asks the store, for its own deadline or, where less is given, no longer than `patienceMs`. A refusal of our own credential says whose it is: the
   * caller did nothing wrong, and must not be told to log in. `unavailable` at once while the store is away.
   */
  async ask<T>(act: (store: Store, call: Call) => Promise<T>, patienceMs?: number): Promise<T> {
    const passes = this.#enter(patienceMs !== undefined)
    let opened = false
    const run = async (call: Call) => {
      const store = await this.open()
      opened = true
      return act(store, call)
    }
    try {
      const answer = await (patienceMs === undefined ? run({}) : this.#hurried(patienceMs, run))
      this.#answered('ok', passes)
      return answer
    } catch (error) {
      throw this.#judge(error, passes, opened)
    }
  }

  async close(): Promise<void> {
    const opening = this.#opening
    this.#opening = null
    const store = await opening?.catch(() => undefined)
    await store?.close()
  }

  async #open(): Promise<Store> {
    const { name, clock, timeoutMs, load } = this.#options
    return new Store(await load(), { name, clock, timeoutMs })
  }

  #hurried<T>(ms: number, run: (call: Call) => Promise<T>): Promise<T> {
    const late = () =>
      new BrokerError('unavailable', `store ${this.name}: no answer within ${ms} ms`, { detail: { store: this.name, reason: hurried } })
    return bounded(this.#options.clock, ms, undefined, late, signal => run({ signal }))
  }

  #enter(hurries: boolean): Passes {
    const pass = this.#breaker.enter()
    if (typeof pass === 'number') throw this.#away(pass, 'away')
    const haste = hurries ? this.#haste.enter() : undefined
    if (typeof haste !== 'number') return { pass, haste }
    this.#breaker.left(pass)
    throw this.#away(haste, hurried)
  }

  #away(waitMs: number, reason: string): BrokerError {
    return new BrokerError('unavailable', `store ${this.name} does not answer; it is asked again in a moment`, {
      hint: `keyturn doctor --store ${this.name} tells more`,
      retryAfterMs: waitMs,
      detail: { store: this.name, reason },
    })
  }

  #answered(state: 'ok' | 'unavailable', { haste }: Passes): void {
    this.#state = state
    const isBack = this.#breaker.answered()
    const isFast = haste !== undefined && this.#haste.answered()
    if (isBack || isFast) this.#options.log?.info({ store: this.name }, 'a store answers again')
  }

  #judge(error: unknown, passes: Passes, opened: boolean): unknown {
    // what failed beside the store, or was given up by its caller, says nothing of it
    const isOurs = error instanceof BrokerError && error.code !== 'cancelled' && (!opened || error.detail?.store === this.name)
    if (!isOurs) {
      this.#left(passes)
      return error
    }
    const refused = error.code === 'unauthenticated' || error.code === 'permission_denied'
    if (isSilence(error)) this.#failed(passes, error.detail?.reason === hurried)
    else this.#answered(refused ? 'unavailable' : 'ok', passes)
    if (!refused || error.detail?.store !== undefined) return error
    const { code, message, hint, detail, origin } = error
    return new BrokerError(code, message, {
      ...(hint === undefined ? {} : { hint }),
      detail: { ...detail, store: this.name },
      cause: origin,
    })
  }

  #left({ pass, haste }: Passes): void {
    this.#breaker.left(pass)
    if (haste !== undefined) this.#haste.left(haste)
  }

  #failed({ pass, haste }: Passes, wasCut: boolean): void {
    const { log } = this.#options
    this.#state = 'unavailable'
    if (wasCut) {
      this.#breaker.left(pass)
      if (haste !== undefined && this.#haste.failed(haste))
        log?.warn({ store: this.name }, 'a store is slow; who has another one asks that')
      return
    }
    if (haste !== undefined) this.#haste.left(haste)
    if (this.#breaker.failed(pass)) log?.warn({ store: this.name }, 'a store does not answer; it is left alone for a while')
  }
}

/** Leave to ask, and leave to do it in a hurry. */
interface Passes {
  readonly pass: Pass
  readonly haste: Pass | undefined
}

/** Whether no answer came. A key of ours that is missing keeps one value closed, and the store answers all the same. */
function isSilence(error: BrokerError): boolean {
  return (error.code === 'unavailable' || error.code === 'outcome_unknown') && error.detail?.kekId === undefined
}
