import { readFile } from 'node:fs/promises'
import { BrokerError, type Clock } from '@keyturn/core'
import { type Answer, member, refusal } from './classify.ts'
import type { Wire } from './wire.ts'

const podTokenFile = '/var/run/secrets/kubernetes.io/serviceaccount/token'
/** Between two logins that a refusal asked for. */
const forcedEveryMs = 10_000

/** How to log in: by a token, by the token in a file, or as a role by the method `kubernetes`. */
export interface Auth {
  readonly token?: string | undefined
  /** Beside `role` the file of the service account token. */
  readonly tokenFile?: string | undefined
  readonly role?: string | undefined
  readonly authMount: string
}

interface Grant {
  readonly token: string
  readonly renewable: boolean
  /** We made it by logging in, so it is ours to revoke. */
  readonly ours: boolean
  readonly since: number
  /** In milliseconds; 0: it does not end. */
  readonly ttlMs: number
}

export interface LoginParts {
  readonly wire: Wire
  readonly auth: Auth
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
}

/** Holds one token; after two thirds of its life it is renewed while it still serves, and one that ended is replaced where there is another. */
export class Login {
  readonly #parts: LoginParts
  #grant: Grant | undefined
  #fetching: Promise<Grant> | undefined

  constructor(parts: LoginParts) {
    this.#parts = parts
  }

  /** Sends with a token, and once more with another one when the first turns out to have ended. */
  async run(signal: AbortSignal, send: (token: string) => Promise<Answer>): Promise<Answer> {
    const grant = await this.#current(signal)
    const answer = await send(grant.token)
    if (answer.status !== 403) return answer
    const { auth } = this.#parts
    const isReplaceable = auth.role !== undefined || (auth.token === undefined && auth.tokenFile !== undefined)
    if (isReplaceable && this.#now() - grant.since >= forcedEveryMs) {
      if (this.#grant === grant) this.#grant = undefined
      return send((await this.#current(signal)).token)
    }
    if ((await this.#lookUp(grant.token, signal)).status === 403) throw ended()
    return answer
  }

  /** Ends a token that we made. */
  async close(): Promise<void> {
    const grant = this.#grant
    this.#grant = undefined
    if (grant?.ours !== true) return
    const signal = AbortSignal.timeout(2_000)
    await this.#parts.wire
      .send({ method: 'POST', path: ['auth', 'token', 'revoke-self'], token: grant.token, signal })
      .catch(() => undefined)
  }

  async #current(signal: AbortSignal): Promise<Grant> {
    const grant = this.#grant
    const now = this.#now()
    if (grant !== undefined && (grant.ttlMs === 0 || now < grant.since + (grant.ttlMs * 2) / 3)) return grant
    // callers share one login; it ends with the first of them, and the next call begins another
    this.#fetching ??= (
      grant?.renewable === true && now < grant.since + grant.ttlMs ? this.#renewed(grant, signal) : this.#fresh(signal)
    ).finally(() => {
      this.#fetching = undefined
    })
    this.#grant = await this.#fetching
    return this.#grant
  }

  async #renewed(grant: Grant, signal: AbortSignal): Promise<Grant> {
    const answer = await this.#parts.wire.send({
      method: 'POST',
      path: ['auth', 'token', 'renew-self'],
      body: {},
      token: grant.token,
      signal,
    })
    const ttlMs = millisecondsOf(member(answer.body, 'auth', 'lease_duration'))
    // near the end that no renewal moves: better a new login now than a refusal later
    if (answer.status !== 200 || ttlMs < grant.ttlMs / 3) return this.#fresh(signal)
    return { ...grant, since: this.#now(), ttlMs }
  }

  async #fresh(signal: AbortSignal): Promise<Grant> {
    const { auth, env } = this.#parts
    if (auth.role !== undefined) return this.#asRole(auth.role, signal)
    const token = auth.token ?? (auth.tokenFile === undefined ? (env.VAULT_TOKEN ?? '') : await contentOf(auth.tokenFile, signal))
    if (token === '') {
      throw new BrokerError('unauthenticated', 'vault-transit: there is no token', {
        hint: 'set token, tokenFile or role, or the variable VAULT_TOKEN',
      })
    }
    const answer = await this.#lookUp(token, signal)
    // a token without the policy `default` may not look itself up; it is used as one that does not end
    const ttlMs = answer.status === 200 ? millisecondsOf(member(answer.body, 'data', 'ttl')) : 0
    return { token, ours: false, since: this.#now(), ttlMs, renewable: member(answer.body, 'data', 'renewable') === true }
  }

  async #asRole(role: string, signal: AbortSignal): Promise<Grant> {
    const { wire, auth, env } = this.#parts
    const jwt = await contentOf(auth.tokenFile ?? env.KEYTURN_SERVICE_ACCOUNT_TOKEN_FILE ?? podTokenFile, signal)
    const answer = await wire.send({ method: 'POST', path: ['auth', ...auth.authMount.split('/'), 'login'], body: { role, jwt }, signal })
    const token = member(answer.body, 'auth', 'client_token')
    if (answer.status === 200 && typeof token === 'string' && token !== '') {
      const renewable = member(answer.body, 'auth', 'renewable') === true
      return { token, ours: true, since: this.#now(), ttlMs: millisecondsOf(member(answer.body, 'auth', 'lease_duration')), renewable }
    }
    const { code, message, retryAfterMs } = refusal(`the login as role ${role}`, answer)
    throw new BrokerError(code === 'unavailable' || code === 'throttled' ? code : 'unauthenticated', message, {
      hint: 'look at role, mount and namespace of the login; the audit log of the server says which it was',
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  }

  #lookUp(token: string, signal: AbortSignal): Promise<Answer> {
    return this.#parts.wire.send({ method: 'GET', path: ['auth', 'token', 'lookup-self'], token, signal })
  }

  #now(): number {
    return this.#parts.clock.now().getTime()
  }
}

function millisecondsOf(seconds: unknown): number {
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : 0
}

async function contentOf(file: string, signal: AbortSignal): Promise<string> {
  const text = await readFile(file, { encoding: 'utf8', signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new BrokerError('unauthenticated', `vault-transit: ${file} cannot be read (${why})`, {
      hint: 'correct the path, or let this process read the file',
    })
  })
  return text.trim()
}

function ended(): BrokerError {
  return new BrokerError('unauthenticated', 'vault-transit: the token was refused', {
    hint: 'it has ended or was revoked: give broker.keys another one',
  })
}
