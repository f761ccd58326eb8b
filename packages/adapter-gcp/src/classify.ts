import { type Classification, classifyAlike, codeWith, type ErrorCode } from '@keyturn/core'

/** What gRPC answers with: a numbered status and a sentence, as grpc-js and gax throw it. https://grpc.io/docs/guides/status-codes/ */
export interface StatusError extends Error {
  readonly code: number
  readonly details?: string
  /** What the server adds: of these only `RetryInfo` is read. https://cloud.google.com/apis/design/errors#error_details */
  readonly statusDetails?: unknown
}

/** Whether this is a status of gRPC, of the server or of the channel to it. */
export function isStatus(error: unknown): error is StatusError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number'
}

/** Whether the answer was this status, and says this. */
export function hasStatus(error: unknown, code: number, text?: RegExp): error is StatusError {
  return isStatus(error) && error.code === code && (text === undefined || text.test(textOf(error)))
}

/** The numbers of gRPC's statuses that we look for. */
export const status = {
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  unauthenticated: 16,
} as const

interface Row {
  readonly status: number
  /** Found in the details; a row without it is the status's default and stands after them. */
  readonly text?: RegExp
  readonly code: ErrorCode
  /** Where it was taken from. */
  readonly from: string
}

const codes = 'https://cloud.google.com/apis/design/errors#handling_errors'
const grpcJs = '@grpc/grpc-js 1.14.7'

/** Statuses, those of the channel first. What is in no row is `internal`. */
export const statusRows: readonly Row[] = [
  { status: 1, code: 'cancelled', from: codes },
  // 2 and 13 are what grpc-js makes of an HTTP answer that is not gRPC's: a page of something between us
  {
    status: 2,
    text: /^Received HTTP status code 5/,
    code: 'outcome_unknown',
    from: `${grpcJs} subchannel-call.js: a gateway sent the request on`,
  },
  { status: 2, text: /^Received HTTP status code/, code: 'corrupt', from: `${grpcJs} subchannel-call.js: 3xx and 4xx of a proxy` },
  { status: 2, code: 'outcome_unknown', from: codes },
  { status: 3, code: 'invalid_argument', from: codes },
  { status: 4, code: 'outcome_unknown', from: codes },
  { status: 5, code: 'not_found', from: codes },
  { status: 6, code: 'conflict', from: codes },
  { status: 7, text: /^Received HTTP status code/, code: 'corrupt', from: `${grpcJs} subchannel-call.js: a proxy’s 403, not Google’s` },
  { status: 7, code: 'permission_denied', from: codes },
  {
    status: 8,
    text: /^Received message larger than max/,
    code: 'corrupt',
    from: `${grpcJs} compression-filter.js: of an answer, as of a page that is none`,
  },
  { status: 8, text: /larger than max/, code: 'too_large', from: 'grpc-go rpc_util.go: what the server says of a request' },
  { status: 8, code: 'throttled', from: 'https://cloud.google.com/secret-manager/quotas' },
  { status: 9, text: /etag/i, code: 'conflict', from: 'https://cloud.google.com/secret-manager/docs/etags' },
  {
    status: 9,
    code: 'precondition_failed',
    from: 'https://github.com/external-secrets/external-secrets/issues/4042: is in DISABLED state',
  },
  { status: 10, code: 'conflict', from: codes },
  {
    status: 12,
    text: /^Received HTTP status code/,
    code: 'corrupt',
    from: `${grpcJs} subchannel-call.js: a 404 of something that is no gRPC server`,
  },
  { status: 12, code: 'unsupported', from: codes },
  { status: 13, text: /^Received HTTP status code 400/, code: 'corrupt', from: `${grpcJs} subchannel-call.js` },
  {
    status: 13,
    text: /response message parsing error|Call ended without gRPC status|content-type/i,
    code: 'corrupt',
    from: `${grpcJs} client.js, subchannel-call.js: an answer that is not gRPC’s`,
  },
  { status: 13, code: 'outcome_unknown', from: codes },
  {
    status: 14,
    text: /^(?:No connection established|Name resolution failed|Failed to parse|Failed to connect|Channel closed before call started|Stream refused|Failed to start HTTP\/2)/,
    code: 'unavailable',
    from: `${grpcJs}: the request never went out`,
  },
  { status: 14, text: /^Received HTTP status code (?:429|503)/, code: 'unavailable', from: `${grpcJs}: refused on the way` },
  // whether the server began is not known: https://grpc.github.io/grpc/core/md_doc_statuscodes.html says that it is not always safe to send again
  { status: 14, code: 'outcome_unknown', from: codes },
  { status: 15, code: 'corrupt', from: codes },
  { status: 16, code: 'unauthenticated', from: codes },
]

/** Names a raw error of this adapter. Pure. */
export function classify(error: unknown): Classification {
  // first: a DOMException has a number too
  const alike = classifyAlike(error)
  if (alike !== undefined) return alike
  if (!isStatus(error)) return { code: 'internal' }
  const row = statusRows.find(each => each.status === error.code && (each.text === undefined || each.text.test(textOf(error))))
  return codeWith(row?.code ?? 'internal', waitOf(error.statusDetails))
}

/** The sentence of a status: gax puts number and name before it in the message. */
function textOf({ details, message }: StatusError): string {
  return details ?? message.replace(/^\d+ [A-Z_]+: /, '')
}

/** `google.rpc.RetryInfo` in milliseconds, where the server sent one. */
function waitOf(details: unknown): number | undefined {
  for (const detail of Array.isArray(details) ? (details as readonly unknown[]) : []) {
    const delay = typeof detail === 'object' && detail !== null && 'retryDelay' in detail ? detail.retryDelay : undefined
    if (typeof delay !== 'object' || delay === null) continue
    const { seconds = 0, nanos = 0 } = delay as { seconds?: unknown; nanos?: unknown }
    const ms = Number(seconds) * 1_000 + Math.ceil(Number(nanos) / 1_000_000)
    if (Number.isSafeInteger(ms) && ms > 0) return ms
  }
  return undefined
}
