import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/identity'
import { BrokerError, type Clock, type ErrorCode, orAbort } from '@keyturn/core'
import { classify } from './classify.ts'
import type { Credential } from './credential.ts'
import type { Transport } from './transport.ts'

const quietMs = 1_000
const quietMsMax = 15_000
/** Between two new logins that a refusal of the vault asked for. */
const forcedEveryMs = 10_000
/** How long before its end a token is replaced, at most; a short one after two thirds of its life. The SDK gives another one in the last five minutes only. */
const earlyMs = 290_000

export interface LoginPorts {
  readonly credential: Credential
  /** To the authority. */
  readonly transport: Transport
  readonly clock: Clock
}

interface Held {
  readonly key: string
  readonly token: string
  readonly refreshAt: number
  readonly endsAt: number
}

/**
 * The tokens of one section. Callers share one acquisition; a token is replaced before it ends, while it still serves. It stands between the vault's
 * client and the SDK's credential: that client would keep a token that the vault refused, and would end everybody's login when one caller stops.
 */
export class Login implements TokenCredential {
  readonly #ports: LoginPorts
  #made: Promise<TokenCredential> | undefined
  #held: Held | undefined
  #acquiring: { readonly key: string; readonly token: Promise<Held> } | undefined
  #forcedAt = Number.NEGATIVE_INFINITY
  #refusals = 0
  #quiet: { readonly until: number; readonly error: BrokerError } | undefined

  constructor(ports: LoginPorts) {
    this.#ports = ports
  }

  async getToken(scopes: string | string[], options: GetTokenOptions = {}): Promise<AccessToken> {
    const { tenantId, claims, enableCae, abortSignal } = options
    const asked = {
      ...(tenantId === undefined ? {} : { tenantId }),
      ...(claims === undefined ? {} : { claims }),
      enableCae: enableCae ?? false,
    }
    const key = JSON.stringify([scopes, asked])
    const now = this.#now()
    const held = this.#held
    const isOurs = held !== undefined && held.key === key && now < held.endsAt
    // whoever asks first for a fresh one does not wait for it; a failure is tried again by a later call, and at the latest when the token ends
    if (isOurs && now >= held.refreshAt) void this.#acquire(key, scopes, asked).catch(() => this.#later(held))
    const { token } = isOurs ? held : await waited(this.#acquire(key, scopes, asked), abortSignal)
    // ended already: so the vault's client keeps none, and asks here each time
    return { token, expiresOnTimestamp: 0 }
  }

  /** Drops a token that the vault refused; whether there is, or may be, another one to try with. */
  replaces(refused: string | undefined): boolean {
    if (this.#held === undefined || this.#held.token !== refused) return true
    const now = this.#now()
    if (now - this.#forcedAt < forcedEveryMs) return false
    this.#forcedAt = now
    this.#held = undefined
    this.#made = undefined
    return true
  }

  async #acquire(key: string, scopes: string | string[], options: GetTokenOptions): Promise<Held> {
    // one at a time, so that a failure of the transport is this one's
    while (this.#acquiring !== undefined && this.#acquiring.key !== key) await this.#acquiring.token.catch(() => undefined)
    this.#acquiring ??= { key, token: this.#fresh(key, scopes, options).finally(() => (this.#acquiring = undefined)) }
    return this.#acquiring.token
  }

  async #fresh(key: string, scopes: string | string[], options: GetTokenOptions): Promise<Held> {
    // an authority slows down who fails again and again, so callers share a refusal for a while
    if (this.#quiet !== undefined && this.#now() < this.#quiet.until) throw this.#quiet.error
    const { credential, transport } = this.#ports
    transport.failure = undefined
    const { asked } = transport
    try {
      this.#made ??= credential.make(transport)
      const answer = await (await this.#made).getToken(scopes, options)
      if (answer === null) throw new Error('no token')
      this.#refusals = 0
      this.#quiet = undefined
      this.#held = this.#hold(key, answer)
      return this.#held
    } catch (cause) {
      this.#made = undefined
      throw this.#failed(cause, transport.asked > asked)
    }
  }

  #hold(key: string, { token, expiresOnTimestamp: endsAt, refreshAfterTimestamp: early }: AccessToken): Held {
    const now = this.#now()
    const refreshAt = Math.min(early ?? Number.POSITIVE_INFINITY, Math.max(endsAt - earlyMs, now + ((endsAt - now) * 2) / 3))
    // the SDK may give the same one again while it fetches another
    return { key, token, endsAt, refreshAt: token === this.#held?.token ? Math.max(refreshAt, now + quietMs) : refreshAt }
  }

  #later(held: Held): void {
    if (this.#held === held) this.#held = { ...held, refreshAt: this.#now() + quietMs }
  }

  #failed(cause: unknown, hasAsked: boolean): BrokerError {
    if (cause instanceof BrokerError) return cause
    const error = hasAsked ? this.#answered(cause) : this.#unusable(cause)
    if (error.code === 'unauthenticated') {
      this.#quiet = { error, until: this.#now() + Math.min(quietMsMax, quietMs * 2 ** this.#refusals) }
      this.#refusals += 1
    }
    return error
  }

  #answered(cause: unknown): BrokerError {
    const { credential, transport } = this.#ports
    const { code, retryAfterMs } = codeOf(cause, transport)
    const told = wordsOf(cause)
    const isRefused = code === 'unauthenticated'
    const what = isRefused ? `${credential.title} was refused by` : `no use of ${credential.title}: no answer from`
    const message = `azure: ${what} ${credential.authority}${told === '' ? '' : ` (${told})`}`
    return new BrokerError(code, message, { hint: hintOf(isRefused, told), cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
  }

  /** Nobody was asked: a file is missing or holds something else, `az` is not there or not logged in, the tenant is another. */
  #unusable(cause: unknown): BrokerError {
    const told = wordsOf(cause)
    const why = told === '' ? (messageOf(cause).split('\n', 1)[0] ?? '').slice(0, 200) : told
    const message = `azure: ${this.#ports.credential.title} cannot be used: ${why}`
    return new BrokerError('unauthenticated', message, {
      hint: told === '' ? 'correct the auth of the section' : hintOf(true, told),
      cause,
    })
  }

  #now(): number {
    return this.#ports.clock.now().getTime()
  }
}

async function waited<T>(shared: Promise<T>, signal: GetTokenOptions['abortSignal']): Promise<T> {
  return signal instanceof AbortSignal ? orAbort(shared, signal) : shared
}

/** A failing authority is no refusal: what the transport saw decides, then what the authority said of itself. */
function codeOf(cause: unknown, { failure }: Transport): { code: ErrorCode; retryAfterMs?: number } {
  const { code, retryAfterMs } = failure === undefined ? { code: 'unauthenticated' as const } : classify(failure)
  if (code === 'throttled') return { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  if (code === 'corrupt') return { code }
  if (failure !== undefined || /\b(?:temporarily_unavailable|server_error)\b/.test(messageOf(cause))) return { code: 'unavailable' }
  return { code: 'unauthenticated' }
}

/** What the authority called it: its error word and the number of Entra. Never more: the rest may hold what was sent. */
function wordsOf(cause: unknown): string {
  const message = messageOf(cause)
  const word = /^[a-z]+(?:_[a-z]+)+(?=[:\s]|$)/.exec(message)?.[0]
  const number = /\bAADSTS\d{4,8}\b/.exec(message)?.[0]
  const tenant = /not configured to acquire tokens for tenant/.test(message) ? 'the vault belongs to another tenant' : undefined
  return [word, number, tenant].filter(each => each !== undefined).join(', ')
}

function hintOf(isRefused: boolean, told: string): string {
  if (!isRefused) return 'try again; look whether the authority and the proxy can be reached'
  if (told.includes('another tenant')) return 'give the section the tenant of the vault'
  return 'look at the tenant, the client and its secret, certificate or token: it has ended, or is of another app'
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : ''
}
