import { BrokerError, bounded, type Clock, orAbort } from '@keyturn/core'

/** A token and its end, in milliseconds since the epoch. */
export interface Grant {
  readonly token: string
  readonly endsAt: number
  /** The project whose quota pays, where the credential names one. */
  readonly quotaProject?: string
}

/** A way to a token. Its errors are the login's own, named. */
export interface Credential {
  /** For messages: `the service account key of /etc/gcp/key.json`. */
  readonly title: string
  login(signal: AbortSignal): Promise<Grant>
}

/** The longest a login may take, whoever waits for it. */
const loginMs = 15_000
/** A token is replaced this long before its end, or in the last fifth of its life when that is shorter. https://cloud.google.com/compute/docs/access/authenticate-workloads */
const earlyMs = 225_000
/** Between two attempts to replace a token that still serves, or that Google refused. */
const pauseMs = 10_000
/** How long callers share a failed login. */
const quietMs = 1_000

/** One token for all callers: got once, replaced before it ends while it still serves, and shared by everybody who waits. */
export class Tokens {
  readonly #credential: Credential
  readonly #clock: Clock
  #held: (Grant & { readonly replaceAt: number }) | undefined
  #login: Promise<Grant> | undefined
  #triedAt = Number.NEGATIVE_INFINITY
  #forcedAt = Number.NEGATIVE_INFINITY
  #quiet: { readonly until: number; readonly error: unknown } | undefined

  constructor(credential: Credential, clock: Clock) {
    this.#credential = credential
    this.#clock = clock
  }

  /** A token that serves now. */
  async current(signal: AbortSignal): Promise<Grant> {
    signal.throwIfAborted()
    const now = this.#clock.now().getTime()
    const held = this.#held
    if (held === undefined || now >= held.endsAt) return orAbort(this.#renewed(), signal)
    // a replacement that fails is not this caller's failure: the token still serves
    if (now >= held.replaceAt && now >= this.#triedAt + pauseMs) void this.#renewed().catch(() => undefined)
    return held
  }

  /** Another token after this one was refused; undefined when there is no other, and when one that was asked for of late was refused as well. */
  async insteadOf(refused: Grant, signal: AbortSignal): Promise<Grant | undefined> {
    const now = this.#clock.now().getTime()
    if (this.#held?.token === refused.token) {
      if (now < this.#forcedAt + pauseMs) return undefined
      this.#forcedAt = now
      this.#held = undefined
    }
    const grant = await this.current(signal)
    return grant.token === refused.token ? undefined : grant
  }

  #renewed(): Promise<Grant> {
    const now = this.#clock.now().getTime()
    if (this.#quiet !== undefined && now < this.#quiet.until) return Promise.reject(this.#quiet.error)
    this.#triedAt = now
    this.#login ??= this.#bounded().finally(() => {
      this.#login = undefined
    })
    return this.#login
  }

  async #bounded(): Promise<Grant> {
    const { title } = this.#credential
    const begun = this.#clock.now().getTime()
    const late = () => new BrokerError('unavailable', `gcp: no answer to ${title} within ${loginMs} ms`)
    try {
      const grant = await bounded(this.#clock, loginMs, undefined, late, signal => this.#credential.login(signal))
      this.#held = { ...grant, replaceAt: grant.endsAt - Math.min(earlyMs, (grant.endsAt - begun) / 5) }
      return grant
    } catch (error) {
      this.#quiet = { error, until: this.#clock.now().getTime() + quietMs }
      throw error
    }
  }
}
