import { BrokerError, type Clock } from '@keyturn/core'
import { type KekProvider, Keyring, type ProvidedKeks } from '@keyturn/envelope'

const askEveryMs = 60_000
const retryEveryMs = 10_000

/** How the provider of the keys does. */
export interface KeysHealth {
  /** Why its last answer was none, or was not taken; null: it was good. */
  readonly error: BrokerError | null
  /** When it last gave what was taken. */
  readonly goodAt: Date
  /** When the loaded keys are let go of, unless it answers before; null: never. */
  readonly endsAt: Date | null
  /** KEKs that it should hold and refuses to give. */
  readonly missing: ProvidedKeks['missing']
}

/** What is told while keys are kept up to date. */
export interface KeyEvents {
  /** Other ids are loaded, or another one is wanted. */
  changed(): void
  /** The provider did not answer, or what it gave was not taken; once for each run of failures with the same words. */
  trouble(error: BrokerError): void
  /** It is well again. */
  healed(): void
}

/**
 * A keyring that is kept as its provider has it. What a provider gives and a keyring refuses is not taken: the old content stays until the new one is good.
 * Where the provider is elsewhere, it is asked every minute, every ten seconds while it does not answer, and after `maxAgeMs` without an answer all
 * keys are let go of: a provider that was shut off on purpose must not be outlived.
 */
export class LiveKeys {
  readonly keyring: Keyring
  readonly provider: KekProvider
  readonly #clock: Clock
  readonly #stop = new AbortController()
  #events: KeyEvents | undefined
  #health: KeysHealth
  #refreshing: Promise<void> | undefined
  #cancel: () => void = () => undefined
  #unwatch: () => void = () => undefined

  private constructor(provider: KekProvider, clock: Clock, first: ProvidedKeks) {
    this.provider = provider
    this.#clock = clock
    this.keyring = new Keyring(first)
    this.#health = this.#good(first)
  }

  /** Asks for the first time; without an answer there is no keyring, and the provider is closed. */
  static async open(provider: KekProvider, clock: Clock): Promise<LiveKeys> {
    try {
      return new LiveKeys(provider, clock, await provider.load(new AbortController().signal))
    } catch (error) {
      await provider.close().catch(() => undefined)
      throw error
    }
  }

  get health(): KeysHealth {
    return this.#health
  }

  /** Begins to keep the keyring up to date. */
  start(events: KeyEvents): void {
    this.#events = events
    this.#unwatch = this.provider.watch?.(() => this.#inBackground()) ?? (() => undefined)
    this.#later()
  }

  /** Asks now. Throws why the answer was not taken; callers at the same time share one question. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#ask().finally(() => {
      this.#refreshing = undefined
      this.#later()
    })
    return this.#refreshing
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#unwatch()
    this.#cancel()
    await this.#refreshing?.catch(() => undefined)
    await this.provider.close()
  }

  async #ask(): Promise<void> {
    const before = this.#shape()
    try {
      const provided = await this.provider.load(this.#stop.signal)
      if (this.#stop.signal.aborted) return
      this.keyring.load(provided)
      const wasIll = this.#health.error !== null
      this.#health = this.#good(provided)
      if (wasIll) this.#events?.healed()
    } catch (error) {
      if (this.#stop.signal.aborted) return
      this.#failed(named(error))
      throw error
    } finally {
      if (this.#shape() !== before) this.#events?.changed()
    }
  }

  #failed(error: BrokerError): void {
    const isNew = this.#health.error?.message !== error.message
    this.#health = { ...this.#health, error }
    const { endsAt } = this.#health
    if (endsAt !== null && this.#clock.now() >= endsAt) {
      this.keyring.unload(`${this.provider.kind} gave no answer since ${this.#health.goodAt.toISOString()}`)
    }
    if (isNew) this.#events?.trouble(error)
  }

  #good({ missing }: ProvidedKeks): KeysHealth {
    const goodAt = this.#clock.now()
    const { maxAgeMs } = this.provider
    return { error: null, goodAt, endsAt: maxAgeMs === null ? null : new Date(goodAt.getTime() + maxAgeMs), missing }
  }

  #later(): void {
    this.#cancel()
    if (this.#events === undefined || this.#stop.signal.aborted) return
    const ms = this.#untilNext()
    if (ms !== null) this.#cancel = this.#clock.after(ms, () => this.#inBackground())
  }

  /** Null: only a change that the provider tells of, or a restart, brings other keys. */
  #untilNext(): number | null {
    const { error, endsAt } = this.#health
    if (error !== null) return retryEveryMs
    return endsAt === null ? null : Math.min(askEveryMs, Math.max(0, endsAt.getTime() - this.#clock.now().getTime()))
  }

  #inBackground(): void {
    // told by `trouble`, and kept in `health`
    this.refresh().catch(() => undefined)
  }

  #shape(): string {
    return [this.keyring.wanted, ...this.keyring.ids].join(' ')
  }
}

function named(error: unknown): BrokerError {
  return error instanceof BrokerError ? error : new BrokerError('internal', 'the provider of keys broke', { cause: error })
}
