import type { IncomingMessage } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { checkTarget, type Problem, problemAnswer, problemOf, type RequestComplaint } from '@keyturn/api'
import { BrokerError, type SecretName } from '@keyturn/core'
import type { Context } from 'hono'
import type { Session } from './auth/tokens.ts'
import type { Broker } from './broker.ts'

/** A request as routes get it, with Node's own objects behind it. */
export type HttpContext = Context<{ Bindings: HttpBindings }>

/** One request: what the audit will say of it. The parts fill as they become known. */
export interface Exchange {
  readonly requestId: string
  readonly target: string
  readonly source: string | null
  readonly session: Session
  action: string
  secret: SecretName | null
  version: string | null
  field: string | null
  /** What is worth a word in the record of a success: `stale`. */
  note?: string
  /** The records are written by whoever set this, item by item. */
  recorded: boolean
}

type Draft = { -readonly [K in keyof Omit<Exchange, 'session'>]: Exchange[K] } & { session: Session | null }

/**
 * Takes one request through what all audited routes have in common: a canonical target, a caller, then `act`, then a durable record,
 * and only then the answer. A refusal is recorded like a success. When the record cannot be written the answer is 503, whatever was done.
 */
export async function exchange(
  broker: Broker,
  context: HttpContext,
  action: string,
  act: (exchange: Exchange) => Promise<Response>,
): Promise<Response> {
  const { incoming } = context.env
  const draft: Draft = {
    requestId: broker.requestId(),
    target: incoming.url ?? '',
    source: incoming.socket.remoteAddress ?? null,
    session: null,
    action,
    secret: null,
    version: null,
    field: null,
    recorded: false,
  }
  try {
    checkTarget(draft.target)
    draft.session = await broker.sessions.find(incoming.headers.authorization)
    if (draft.session === null) throw unauthenticated()
    const response = await act(draft as Exchange) // the session was just set
    if (!draft.recorded) await record(broker, draft, 'allowed', draft.note ?? null)
    return response
  } catch (thrown) {
    return refuse(broker, draft, thrown)
  }
}

/** What the web framework would turn away by itself, without a word and without a record; undefined when it would not. */
export function turnedAway({ url = '', headers: { host = '' } }: IncomingMessage): BrokerError | undefined {
  try {
    checkTarget(url)
  } catch (error) {
    return named(error)
  }
  if (/^[\w.:[\]-]*$/.test(host)) return undefined
  return new BrokerError('invalid_argument', 'the Host header names no host', { hint: 'send host or host:port (RFC 9110, 7.2)' })
}

/** Records a request that never came to a route, and answers it. */
export function refuseRaw(broker: Broker, incoming: IncomingMessage, error: BrokerError): Promise<Response> {
  const source = incoming.socket.remoteAddress ?? null
  const parts = { action: 'route', secret: null, version: null, field: null, session: null, recorded: false }
  return refuse(broker, { requestId: broker.requestId(), target: incoming.url ?? '', source, ...parts }, error)
}

/** Records a refusal or a failure and answers it. */
export async function refuse(broker: Broker, draft: Draft, thrown: unknown): Promise<Response> {
  const error = named(thrown)
  const { requestId } = draft
  if (error.code === 'internal') broker.log.error({ requestId, action: draft.action, ...whereFrom(thrown) }, 'a request failed')
  try {
    if (!isAuditFailure(error)) await record(broker, draft, isDenial(error) ? 'denied' : 'failed', error.code)
    return problem(error, requestId)
  } catch (unrecorded) {
    return problem(named(unrecorded), requestId)
  }
}

/** Writes the record of a request; resolves when it is durable. */
export function record(broker: Broker, draft: Draft, outcome: 'allowed' | 'denied' | 'failed', code: string | null): Promise<void> {
  const { session, action, secret, version, field, requestId, source } = draft
  return broker.audit.append({
    principal: session?.principal.id ?? null,
    action,
    secret,
    version,
    field,
    outcome,
    code,
    requestId,
    source,
  })
}

/** Any error as one of ours. One that nobody named becomes `internal` and keeps its message to itself: it may hold anything. */
export function named(thrown: unknown): BrokerError {
  if (thrown instanceof BrokerError) return thrown
  return new BrokerError('internal', 'the broker failed in a way it did not expect', {
    hint: 'the log has more under the request id',
    cause: thrown,
  })
}

/** An error as it is answered, its complaints in a place of their own. */
export function documentOf(error: BrokerError, requestId: string): Problem {
  const complaints = error.detail?.errors
  const errors = Array.isArray(complaints) ? (complaints as readonly RequestComplaint[]) : undefined // `body.ts` alone sets it
  return problemOf(withoutErrors(error), requestId, errors)
}

/** The answer to an error. */
export function problem(error: BrokerError, requestId: string): Response {
  const { status, headers, body } = problemAnswer(documentOf(error, requestId))
  const allow = error.detail?.allow
  return new Response(body, {
    status,
    headers: { ...headers, ...plainHeaders, 'X-Request-Id': requestId, ...(typeof allow === 'string' ? { Allow: allow } : {}) },
  })
}

/** What every answer says beside its own headers. */
export const plainHeaders = { 'X-Content-Type-Options': 'nosniff' }

/** An answer that holds no value of a secret, which is not to be stored all the same. */
export function json(
  body: unknown,
  exchange: { readonly requestId: string },
  status = 200,
  headers: Record<string, string> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      ...plainHeaders,
      'X-Request-Id': exchange.requestId,
      ...headers,
    },
  })
}

function withoutErrors(error: BrokerError): BrokerError {
  if (error.detail?.errors === undefined && error.detail?.allow === undefined) return error
  const { errors, allow, ...detail } = error.detail
  return new BrokerError(error.code, error.message, { ...(error.hint === undefined ? {} : { hint: error.hint }), detail })
}

/** The one refusal for every way to have no valid token. */
export function unauthenticated(): BrokerError {
  return new BrokerError('unauthenticated', 'no valid token came with the request', {
    hint: 'send Authorization: Bearer <token>; the first token is in admin.token in the data folder of the broker',
  })
}

/** Whether the caller was refused, and not we. */
export function isDenial(error: BrokerError): boolean {
  const ours = error.detail?.store !== undefined || error.detail?.issuer !== undefined
  return (error.code === 'unauthenticated' || error.code === 'permission_denied') && !ours
}

function isAuditFailure(error: BrokerError): boolean {
  return error.code === 'unavailable' && error.detail?.reason === 'audit'
}

/** The place in the code, for the log: frames hold no values, messages may. */
function whereFrom(thrown: unknown): { name: string; at: string[] } {
  const origin = thrown instanceof BrokerError ? (thrown.origin ?? thrown) : thrown
  if (!(origin instanceof Error)) return { name: typeof origin, at: [] }
  const frames = (origin.stack ?? '').split('\n').filter(line => /^\s+at /.test(line))
  return { name: origin.name, at: frames.slice(0, 8).map(line => line.trim()) }
}

/** Answers a path or a method that nobody serves. It is recorded like any other refusal. */
export function refuseUnknown(broker: Broker, context: HttpContext, methods: readonly string[]): Promise<Response> {
  const { incoming } = context.env
  const error =
    methods.length === 0
      ? new BrokerError('not_found', 'there is no such route', { hint: '/openapi.json has every route' })
      : new BrokerError('invalid_argument', 'this route does not know the method', {
          hint: `it knows ${methods.join(', ')}`,
          detail: { reason: 'method_not_allowed', allow: methods.join(', ') },
        })
  return refuseRaw(broker, incoming, error)
}
