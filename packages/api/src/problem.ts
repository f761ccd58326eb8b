import { BrokerError, type ErrorCode, remedies } from '@keyturn/core'

/** The media type of every answer that is an error (RFC 9457). */
export const problemType = 'application/problem+json'

/** One complaint about a request: where in it, and what is wrong. Never what was sent. */
export interface RequestComplaint {
  readonly path: string
  readonly message: string
}

/** An error as it is answered, RFC 9457. */
export interface Problem {
  /** `urn:keyturn:<code>` */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: ErrorCode
  /** What the caller can do. */
  readonly hint: string | null
  readonly requestId: string
  /** Seconds until another attempt can succeed. */
  readonly retryAfter?: number
  /** What a program may want of `detail`: versions, operation ids, times. */
  readonly particulars?: Readonly<Record<string, unknown>>
  readonly errors?: readonly RequestComplaint[]
}

const statuses = {
  invalid_argument: [400, 'The request cannot work as it is'],
  unauthenticated: [401, 'Not authenticated'],
  permission_denied: [403, 'Not allowed'],
  not_found: [404, 'Not found'],
  unsupported: [501, 'Not supported here'],
  conflict: [409, 'Someone else was first'],
  outcome_unknown: [504, 'The outcome is unknown'],
  throttled: [429, 'Too many requests'],
  unavailable: [503, 'Not available now'],
  precondition_failed: [412, 'The state forbids it'],
  too_large: [413, 'Too large'],
  corrupt: [502, 'What is stored does not parse'],
  cancelled: [499, 'Cancelled'],
  internal: [500, 'An error of the broker'],
} as const satisfies Record<ErrorCode, readonly [number, string]>

/** What `detail.reason` of an `invalid_argument` makes of its status. */
const reasons: Readonly<Record<string, number>> = {
  not_representable: 422,
  not_acceptable: 406,
  unsupported_media_type: 415,
  method_not_allowed: 405,
}

/** Whether the broker's own credential was refused, by a store or an issuer: nothing that the caller may correct. */
export function blamesBackend(error: BrokerError): boolean {
  return (error.code === 'unauthenticated' || error.code === 'permission_denied') && namesBackend(error)
}

function namesBackend(error: BrokerError): boolean {
  return error.detail?.store !== undefined || error.detail?.issuer !== undefined
}

/** The HTTP status of an error. */
export function statusOf(error: BrokerError): number {
  if (blamesBackend(error)) return 502
  if (error.code === 'too_large' && namesBackend(error)) return 422
  const reason = error.code === 'invalid_argument' ? error.detail?.reason : undefined
  const special = typeof reason === 'string' && Object.hasOwn(reasons, reason) ? reasons[reason] : undefined
  return special ?? statuses[error.code][0]
}

/**
 * The document for an error. What is no `BrokerError` becomes `internal` and says nothing of itself; the cause is never looked at.
 */
export function problemOf(thrown: unknown, requestId: string, errors?: readonly RequestComplaint[]): Problem {
  const error = thrown instanceof BrokerError ? thrown : unexpected()
  return {
    type: `urn:keyturn:${error.code}`,
    title: statuses[error.code][1],
    status: statusOf(error),
    detail: sentence(error),
    code: error.code,
    hint: error.hint ?? null,
    requestId,
    ...(error.retryAfterMs === undefined ? {} : { retryAfter: Math.max(1, Math.ceil(error.retryAfterMs / 1000)) }),
    ...(error.detail === undefined ? {} : { particulars: plain(error.detail) }),
    ...(errors === undefined ? {} : { errors }),
  }
}

/** Status, headers and body of the answer to an error. */
export function problemAnswer(problem: Problem): { status: number; headers: Record<string, string>; body: string } {
  const headers: Record<string, string> = { 'content-type': problemType, 'cache-control': 'no-store' }
  if (problem.retryAfter !== undefined) headers['retry-after'] = String(problem.retryAfter)
  if (problem.status === 401) headers['www-authenticate'] = 'Bearer'
  return { status: problem.status, headers, body: JSON.stringify(problem) }
}

/** An answer that was no success, as a client sees it. */
export interface FailedAnswer {
  readonly status: number
  /** The body as JSON gave it, or undefined when it was none. */
  readonly body: unknown
  /** Whether the request can have changed something. */
  readonly effect: 'read' | 'write'
}

/**
 * The error behind an answer, as the broker threw it: code, message, hint, particulars and wait. An answer of something else
 * on the way (a proxy's page) is judged by its status, and for a write of unclear end it is `outcome_unknown`.
 */
export function errorOf(answer: FailedAnswer): BrokerError {
  const { body } = answer
  if (!isRecord(body) || typeof body.code !== 'string' || typeof body.detail !== 'string' || !isCode(body.code)) {
    return new BrokerError(codeOfStatus(answer), `the answer was ${answer.status}, and no problem document of a broker`, {
      hint: 'check that the address is that of a broker, and what stands between',
    })
  }
  return new BrokerError(body.code, body.detail, {
    ...(typeof body.hint === 'string' ? { hint: body.hint } : {}),
    ...(typeof body.retryAfter === 'number' && body.retryAfter >= 0 ? { retryAfterMs: body.retryAfter * 1000 } : {}),
    detail: {
      ...(isRecord(body.particulars) ? body.particulars : {}),
      ...(typeof body.requestId === 'string' ? { requestId: body.requestId } : {}),
      ...(Array.isArray(body.errors) ? { errors: body.errors } : {}),
    },
  })
}

const codesByStatus = new Map<number, ErrorCode>([
  ...Object.entries(statuses).map(([code, [status]]) => [status, code as ErrorCode] as const), // the keys are the codes
  [422, 'invalid_argument'],
  [408, 'unavailable'],
])

function codeOfStatus({ status, effect }: FailedAnswer): ErrorCode {
  if (status === 502 || status === 504) return effect === 'write' ? 'outcome_unknown' : 'unavailable'
  const code = codesByStatus.get(status)
  if (code !== undefined) return code
  return status >= 400 && status < 500 ? 'invalid_argument' : 'internal'
}

function unexpected(): BrokerError {
  return new BrokerError('internal', 'the broker failed in a way it did not expect', { hint: 'the log has more under the request id' })
}

// a refused precondition must show what is current, whatever the message says
function sentence(error: BrokerError): string {
  const current = error.code === 'conflict' ? error.detail?.current : undefined
  return typeof current === 'string' && !error.message.includes(current) ? `${error.message}; current is ${current}` : error.message
}

function plain(detail: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(detail))
}

function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(remedies, code)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
