import { tokenCreate } from '@keyturn/api'
import { BrokerError } from '@keyturn/core'
import type { TokenRow } from '@keyturn/ledger'
import { grantBroker } from '../access.ts'
import { issueToken } from '../auth/issue.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { exchange, type HttpContext, json, plainHeaders } from '../exchange.ts'
import { once } from '../idempotency.ts'
import { mustBeRecordable } from './write-secret.ts'

const tokensPath = '/admin/v1/tokens'

/** `GET /admin/v1/tokens` */
export function listTokens(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'admin', async asked => {
    grantBroker(broker, asked.session.principal, 'admin')
    const tokens = await broker.ledger.tokens.list()
    return json({ tokens: tokens.map(row => ({ ...shown(row), revoked_at: row.revokedAt })) }, asked)
  })
}

/** `POST /admin/v1/tokens`. The token is in this answer and nowhere else, so the same key again cannot have it: that is a 409. */
export function createToken(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'admin', async asked => {
    grantBroker(broker, asked.session.principal, 'admin')
    const { bytes, content } = await jsonBody(context, tokenCreate)
    mustNotOutlive(broker, content.ttl)
    mustBeRecordable(broker)
    let token: string | undefined
    const answer = await once(broker, context, asked, bytes, async () => {
      const { role, ttl, name } = content
      const made = await issueToken(broker, { role, ttlMs: ttl * 1000, ...(name === undefined ? {} : { name }) })
      token = made.token
      asked.field = made.row.id
      return { status: 201, body: shown(made.row) }
    })
    if (token === undefined) {
      throw new BrokerError('conflict', 'a token was made for this Idempotency-Key, and it is shown only once', {
        hint: 'revoke it if its answer was lost, and make another with a new key',
      })
    }
    return json({ ...((await answer.json()) as object), token }, asked, 201)
  })
}

/** `DELETE /admin/v1/tokens/{id}` */
export function revokeToken(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'admin', async asked => {
    grantBroker(broker, asked.session.principal, 'admin')
    mustBeRecordable(broker)
    const id = asked.target.slice(tokensPath.length + 1).split('?')[0] ?? ''
    asked.field = id
    await broker.ledger.tokens.revoke(id)
    broker.sessions.forget()
    return new Response(null, { status: 204, headers: { 'Cache-Control': 'no-store', ...plainHeaders, 'X-Request-Id': asked.requestId } })
  })
}

function mustNotOutlive(broker: Broker, ttl: number): void {
  const maxMs = broker.config.access.authentication.tokens?.maxTtl
  if (maxMs === undefined || ttl * 1000 <= maxMs) return
  throw new BrokerError('invalid_argument', `a token may hold for ${maxMs / 1000} s at most here`, {
    hint: 'ask for less, or raise access.authentication.tokens.maxTtl',
  })
}

function shown(row: TokenRow): object {
  return { id: row.id, name: row.name, role: row.role, created_at: row.createdAt, expires_at: row.expiresAt }
}
