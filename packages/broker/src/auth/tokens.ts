import { hash, type KeyObject } from 'node:crypto'
import type { Clock } from '@keyturn/core'
import type { TokenRow, Tokens } from '@keyturn/ledger'
import { type Principal, tokenId } from '@keyturn/policy'
import type { AllowedRead } from '../reads/hot-reads.ts'
import { isToken, tokenMac } from './token.ts'

/** How old the knowledge of revocations may be before a request has to wait for news. */
const staleMs = 900
/** How old it may be before news is fetched behind the requests. */
const refreshMs = 400
const knownMax = 10_000

/** A caller whose token holds, and the reads that it was allowed, by their request target. */
export interface Session {
  readonly principal: Principal
  readonly tokenId: string
  readonly expiresMs: number
  readonly reads: Map<string, AllowedRead>
}

/**
 * Finds the session of an `Authorization` header. Tokens that held are kept by the hash of the header and judged again as soon as the
 * ledger's revision of tokens moves, so that a revocation by any broker is seen within a second.
 */
export class TokenSessions {
  readonly #tokens: Tokens
  readonly #key: KeyObject
  readonly #clock: Clock
  #known = new Map<string, Session>()
  #revision = -1
  #checkedMs = Number.NEGATIVE_INFINITY
  #checking: Promise<void> | null = null

  constructor(parts: { readonly tokens: Tokens; readonly key: KeyObject; readonly clock: Clock }) {
    this.#tokens = parts.tokens
    this.#key = parts.key
    this.#clock = parts.clock
  }

  /** The session, at once, when it is known and the news of revocations is fresh; undefined otherwise: then ask `find`. */
  known(authorization: string | undefined, nowMs: number): Session | undefined {
    if (authorization === undefined || nowMs - this.#checkedMs > staleMs || nowMs < this.#checkedMs) return undefined
    if (nowMs - this.#checkedMs > refreshMs) this.#check().catch(() => undefined)
    const session = this.#known.get(hash('sha256', authorization, 'base64'))
    return session !== undefined && nowMs < session.expiresMs ? session : undefined
  }

  /** The session; null when there is none for whatever reason, which a caller never learns. */
  async find(authorization: string | undefined): Promise<Session | null> {
    const token = bearer(authorization)
    if (authorization === undefined || token === undefined || !isToken(token)) return null
    const nowMs = this.#clock.now().getTime()
    if (nowMs - this.#checkedMs > refreshMs || nowMs < this.#checkedMs) await this.#check()
    const known = this.known(authorization, nowMs)
    if (known !== undefined) return known
    const revision = this.#revision
    const row = await this.#tokens.byMac(tokenMac(this.#key, token))
    if (row === null || !holds(row, nowMs)) return null
    const session = sessionOf(row)
    // a token that was revoked while it was looked up must not be remembered
    if (revision === this.#revision) this.#remember(hash('sha256', authorization, 'base64'), session)
    return session
  }

  /** Forgets every session: after a token was made or revoked here, and when the policy or what it judges changed. */
  forget(): void {
    this.#known = new Map()
  }

  #remember(key: string, session: Session): void {
    if (this.#known.size >= knownMax) this.forget()
    this.#known.set(key, session)
  }

  #check(): Promise<void> {
    this.#checking ??= this.#news().finally(() => {
      this.#checking = null
    })
    return this.#checking
  }

  async #news(): Promise<void> {
    const askedMs = this.#clock.now().getTime()
    const revision = await this.#tokens.revision()
    if (revision !== this.#revision) this.forget()
    this.#revision = revision
    this.#checkedMs = askedMs
  }
}

function holds(row: TokenRow, nowMs: number): boolean {
  return row.revokedAt === null && (row.expiresAt === null || row.expiresAt.getTime() > nowMs)
}

function sessionOf(row: TokenRow): Session {
  return {
    principal: { id: tokenId(row.name), roles: [row.role] },
    tokenId: row.id,
    expiresMs: row.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
    reads: new Map(),
  }
}

function bearer(authorization: string | undefined): string | undefined {
  return authorization !== undefined && /^bearer /i.test(authorization) ? authorization.slice(7).trim() : undefined
}
