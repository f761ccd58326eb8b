import { BrokerError, type Clock, orAbort, type Random } from '@keyturn/core'
import { hasStatus } from './classify.ts'
import type { Client } from './client.ts'
import { type Credential, type Grant, grantOf, loginFailed } from './login.ts'

const loginMs = 30_000
const revokeMs = 2_000
/** Between two new logins that a refusal asked for, while the server does not say whether the token ended. */
const forcedEveryMs = 10_000
const quietMs = 1_000
const quietMsMax = 15_000

export interface SessionPorts {
  readonly client: Client
  readonly credential: Credential
  readonly address: string
  readonly clock: Clock
  readonly random: Random
}

/** A grant in use: when to seek another, and when it must not be used any more. */
interface Held {
  readonly grant: Grant
  readonly refreshAt: number
  readonly endsAt: number
  /** The first ttl: a renewed one far below it has come near the end that no renewal moves. */
  readonly fullMs: number
}

/**
 * Holds the token of one section. Callers share one login and one renewal; after two thirds of its life a token is renewed while
 * it still serves; one that ended is replaced once per call. Nothing runs when nobody calls.
 */
export class Session {
  readonly #ports: SessionPorts
  #held: Held | undefined
  #login: Promise<Held> | undefined
  #refresh: Promise<void> | undefined
  #forcedAt = Number.NEGATIVE_INFINITY
  #served = false
  /** The last token seen to have the right to look itself up: when that is refused later, it ended. */
  #lookedUp: string | undefined
  #refusals = 0
  #quiet: { readonly until: number; readonly error: BrokerError } | undefined
  #closed = false

  constructor(ports: SessionPorts) {
    this.#ports = ports
  }

  /** Runs a call with a token; once more with another one when the first turns out to have ended. */
  async run<T>(signal: AbortSignal, call: (token: string) => Promise<T>): Promise<T> {
    const token = await this.#token(signal)
    try {
      return this.#didServe(await call(token))
    } catch (error) {
      if (!hasStatus(error, 403)) {
        // the server looks at the token before it looks for anything else
        this.#served ||= hasStatus(error, 404) || hasStatus(error, 400)
        throw error
      }
      const other = await this.#replacement(token, signal)
      if (other === undefined) throw error
      return this.#didServe(await call(other))
    }
  }

  /** Asks the server about the token in use: a login alone would not find out that a given one ended. */
  async lookUp(signal: AbortSignal): Promise<void> {
    await this.run(signal, token => this.#ports.client.read('auth/token/lookup-self', { token, signal }))
  }

  /** Ends a token that we made, if the server takes it in time. */
  async close(): Promise<void> {
    const held = this.#held
    this.#closed = true
    this.#held = undefined
    if (held?.grant.ours !== true) return
    const { client } = this.#ports
    await this.#within(revokeMs, signal => client.write('auth/token/revoke-self', '{}', { token: held.grant.token, signal })).catch(
      () => undefined,
    )
  }

  #didServe<T>(answer: T): T {
    this.#served = true
    return answer
  }

  async #token(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted()
    if (this.#closed) throw new BrokerError('cancelled', 'vault: the store was closed')
    const held = this.#held
    const now = this.#now()
    if (held === undefined || now >= held.endsAt) return (await orAbort(this.#logIn(), signal)).grant.token
    if (now >= held.refreshAt) this.#refresh ??= this.#renew(held).finally(() => (this.#refresh = undefined))
    return held.grant.token
  }

  /** Another token when this one ended; undefined when the refusal was meant. */
  async #replacement(token: string, signal: AbortSignal): Promise<string | undefined> {
    const held = this.#held
    if (held !== undefined && held.grant.token !== token) return held.grant.token
    if (await this.#looksUp(token, signal)) return undefined
    if (!this.#ports.credential.again) return this.#kept(token)
    // another caller may have found it out meanwhile
    if (this.#held !== undefined && this.#held.grant.token !== token) return this.#held.grant.token
    if (this.#held !== undefined) {
      const now = this.#now()
      if (this.#lookedUp !== token && now - this.#forcedAt < forcedEveryMs) return undefined
      this.#forcedAt = now
      this.#held = undefined
    }
    const other = (await orAbort(this.#logIn(), signal)).grant.token
    return other === token ? this.#kept(token) : other
  }

  /** What a refusal means where there is no other token: a denial if this one did serve and nothing says that it ended. */
  #kept(token: string): undefined {
    if (this.#served && this.#lookedUp !== token) return undefined
    throw this.#ended()
  }

  #ended(): BrokerError {
    const { credential, address } = this.#ports
    return new BrokerError('unauthenticated', `vault: ${credential.title} was refused by ${address}`, {
      hint: 'it has ended or was revoked: give the section another one',
    })
  }

  async #looksUp(token: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#ports.client.read('auth/token/lookup-self', { token, signal })
      this.#lookedUp = token
      return true
    } catch (error) {
      if (hasStatus(error, 403)) return false
      throw error
    }
  }

  #logIn(): Promise<Held> {
    this.#login ??= this.#freshLogin().finally(() => (this.#login = undefined))
    return this.#login
  }

  async #freshLogin(): Promise<Held> {
    const { client, credential, address } = this.#ports
    // a server locks out who fails again and again, so callers share a refusal for a while
    if (this.#quiet !== undefined && this.#now() < this.#quiet.until) throw this.#quiet.error
    try {
      const grant = await this.#within(loginMs, signal => credential.login(client, signal))
      if (grant.looksUp) this.#lookedUp = grant.token
      else if (this.#lookedUp === grant.token) throw this.#ended()
      this.#refusals = 0
      this.#quiet = undefined
      this.#held = this.#hold(grant, grant.ttlMs)
      return this.#held
    } catch (cause) {
      const error = loginFailed(cause, credential, address)
      if (error.code === 'unauthenticated') {
        this.#quiet = { error, until: this.#now() + Math.min(quietMsMax, quietMs * 2 ** this.#refusals) }
        this.#refusals += 1
      }
      throw error
    }
  }

  /** Renews, or logs in where renewing cannot help. A failure is tried again by a later call, and at the latest when the token ends. */
  async #renew(held: Held): Promise<void> {
    const { client } = this.#ports
    try {
      if (!held.grant.renewable || held.grant.ttlMs < held.fullMs / 2) {
        await this.#logIn()
        return
      }
      const answer = await this.#within(loginMs, signal => client.write('auth/token/renew-self', '{}', { token: held.grant.token, signal }))
      const renewed = grantOf(answer)
      if (this.#held === held) this.#held = this.#hold({ ...held.grant, ttlMs: renewed.ttlMs, renewable: renewed.renewable }, held.fullMs)
    } catch (error) {
      const ended = hasStatus(error, 403) || hasStatus(error, 400)
      if (this.#held !== held) return
      const renewable = ended ? false : held.grant.renewable
      this.#held = { ...held, grant: { ...held.grant, renewable }, refreshAt: this.#now() + quietMs * (1 + this.#share()) }
    }
  }

  #hold(grant: Grant, fullMs: number): Held {
    const now = this.#now()
    if (grant.ttlMs === 0) return { grant, fullMs, refreshAt: Number.POSITIVE_INFINITY, endsAt: Number.POSITIVE_INFINITY }
    // between 60 % and two thirds of its life, so that brokers started together do not renew together
    const refreshAt = now + grant.ttlMs * (0.6 + this.#share() / 15)
    return { grant, fullMs, refreshAt, endsAt: now + grant.ttlMs * 0.95 }
  }

  /** Evenly from 0 to 1. */
  #share(): number {
    return (this.#ports.random.bytes(1)[0] ?? 0) / 255
  }

  #now(): number {
    return this.#ports.clock.now().getTime()
  }

  async #within<T>(ms: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const cancel = this.#ports.clock.after(ms, () =>
      controller.abort(new BrokerError('unavailable', `vault: no answer to ${this.#ports.credential.title} within ${ms} ms`)),
    )
    try {
      return await call(controller.signal)
    } finally {
      cancel()
    }
  }
}
