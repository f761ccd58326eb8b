import { BrokerError, type Clock, orAbort } from '@keyturn/core'
import { classify, isServiceError, type ServiceError } from './classify.ts'
import type { Keys } from './keys.ts'
import type { Source } from './sources.ts'

/** How long before its end a credential is replaced while it still serves; of a short life, the last third. */
const aheadMs = 300_000
/** Between two loads that a refusal asked for. */
const forcedEveryMs = 10_000
/** How long callers share a failed load. */
const quietMs = 1_000

interface Held {
  readonly keys: Keys
  readonly refreshAt: number
  readonly endsAt: number
}

/**
 * Holds the credential of one section. Callers share one load; it is replaced before its end while it still serves, and one that AWS refuses
 * is replaced once within the call that found out. Nothing runs when nobody calls.
 */
export class Credentials {
  readonly #source: Source
  readonly #clock: Clock
  #held: Held | undefined
  #loading: Promise<Held> | undefined
  #forcedAt = Number.NEGATIVE_INFINITY
  #quiet: { readonly until: number; readonly error: unknown } | undefined
  #closed = false

  constructor(source: Source, clock: Clock) {
    this.#source = source
    this.#clock = clock
  }

  /** The credential in use, for the SDK to sign with. */
  get current(): Keys {
    if (this.#held === undefined) throw new BrokerError('internal', 'aws: a request was signed before there was a credential')
    return this.#held.keys
  }

  /** Runs a call with a credential; once more where AWS refuses it and there is another one, or where the SDK has now learnt how far the clocks are apart. */
  async run<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    const keys = await this.#ready(signal)
    try {
      return await call()
    } catch (error) {
      if (!isServiceError(error) || classify(error).code !== 'unauthenticated') throw error
      const again = error.$metadata.clockSkewCorrected === true || (await this.#replaced(keys, error, signal))
      if (!again) throw this.#refused(error)
      return await call()
    }
  }

  close(): void {
    this.#closed = true
    this.#held = undefined
  }

  async #ready(signal: AbortSignal): Promise<Keys> {
    signal.throwIfAborted()
    if (this.#closed) throw new BrokerError('cancelled', 'aws: the store was closed')
    const held = this.#held
    const now = this.#now()
    if (held === undefined || now >= held.endsAt) return (await orAbort(this.#load(), signal)).keys
    // what fails now is tried again by a later call, and at the latest when the credential ends
    if (now >= held.refreshAt) void this.#load().catch(() => undefined)
    return held.keys
  }

  /** Whether there is another credential than the one that was refused. */
  async #replaced(keys: Keys, error: ServiceError, signal: AbortSignal): Promise<boolean> {
    if (this.#held !== undefined && this.#held.keys !== keys) return true
    if (!this.#source.again) return false
    const now = this.#now()
    // one that is on its way will do
    if (this.#loading === undefined) {
      if (now - this.#forcedAt < forcedEveryMs) return false
      this.#forcedAt = now
    }
    const other = (await orAbort(this.#load(), signal)).keys
    return other.accessKeyId !== keys.accessKeyId || error.name.startsWith('Expired')
  }

  #load(): Promise<Held> {
    if (this.#quiet !== undefined && this.#now() < this.#quiet.until) return Promise.reject(this.#quiet.error)
    this.#loading ??= this.#fresh().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #fresh(): Promise<Held> {
    try {
      const keys = await this.#source.load()
      const now = this.#now()
      const endsAt = keys.endsAt?.getTime() ?? Number.POSITIVE_INFINITY
      const held = { keys, endsAt, refreshAt: endsAt - Math.min(aheadMs, Math.max(0, endsAt - now) / 3) }
      if (!this.#closed) this.#held = held
      this.#quiet = undefined
      return held
    } catch (error) {
      this.#quiet = { error, until: this.#now() + quietMs }
      throw error
    }
  }

  #refused(cause: ServiceError): BrokerError {
    return new BrokerError('unauthenticated', `aws: ${this.#source.title} was refused (${cause.name})`, {
      hint: 'it has ended, is not of this partition, or the clock of this machine is wrong',
      cause,
    })
  }

  #now(): number {
    return this.#clock.now().getTime()
  }
}
