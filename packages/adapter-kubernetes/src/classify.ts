import { type Classification, classifyAlike, codeWith, type ErrorCode } from '@keyturn/core'
import { StatusError, type Tell } from './status.ts'

interface Row {
  readonly status: number
  /** The `reason` of the `Status`; a row without it is the status's default and stands after them. */
  readonly reason?: string
  /** The reason of one of its causes. */
  readonly cause?: string
  readonly tell?: Tell
  /** The resource that it is about. */
  readonly kind?: string
  readonly code: ErrorCode
  /** Where it was taken from. */
  readonly from: string
}

const reasons = 'https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/types.go (StatusReason)'
const server = 'kube-apiserver 1.20.2'

/** Answers of the API server. What is in no row is `internal`. */
export const answerRows: readonly Row[] = [
  { status: 400, code: 'invalid_argument', from: reasons },
  { status: 401, code: 'unauthenticated', from: `${server}: a token that is unknown, ended or for another audience` },
  { status: 403, tell: 'anonymous', code: 'unauthenticated', from: `${server}: no credential reached it, so that it speaks to nobody` },
  { status: 403, cause: 'NamespaceTerminating', code: 'precondition_failed', from: `${server}: nothing is made in a namespace that goes` },
  { status: 403, code: 'permission_denied', from: reasons },
  { status: 404, reason: 'NotFound', kind: 'secrets', code: 'not_found', from: `${server}: also in a namespace that is not there` },
  {
    status: 404,
    reason: 'NotFound',
    kind: 'namespaces',
    code: 'precondition_failed',
    from: `${server}: a Secret made where no namespace is`,
  },
  { status: 404, code: 'unsupported', from: `${server}: "the server could not find the requested resource" is a wrong address or version` },
  { status: 405, code: 'unsupported', from: reasons },
  { status: 406, code: 'unsupported', from: reasons },
  { status: 409, code: 'conflict', from: `${server}: AlreadyExists, and Conflict for a stale resourceVersion or uid` },
  { status: 410, code: 'unavailable', from: `${server}: Expired, a list that took longer than the server keeps its snapshot` },
  { status: 413, code: 'too_large', from: `${server}: a body of more than 3 MiB` },
  { status: 415, code: 'unsupported', from: reasons },
  { status: 422, tell: 'immutable', code: 'precondition_failed', from: `${server}: a Secret with immutable: true` },
  { status: 422, cause: 'FieldValueTooLong', code: 'too_large', from: `${server}: more than 1048576 bytes of data` },
  { status: 422, code: 'invalid_argument', from: reasons },
  { status: 429, code: 'throttled', from: 'https://kubernetes.io/docs/concepts/cluster-administration/flow-control/' },
  { status: 500, tell: 'etcd_too_large', code: 'too_large', from: 'etcd server/etcdserver/errors.go: ErrRequestTooLarge' },
  { status: 500, code: 'outcome_unknown', from: `${reasons}: InternalError, ServerTimeout` },
  { status: 502, code: 'outcome_unknown', from: 'RFC 9110, 15.6.3: a gateway sent the request on' },
  { status: 503, code: 'unavailable', from: `${reasons}: ServiceUnavailable, nothing was begun` },
  { status: 504, code: 'outcome_unknown', from: `${reasons}: Timeout, it may go on` },
]

/** A proxy before the server may ask for the credential too. */
const own = { foreign: { 401: 'unauthenticated' } } as const

/** Names a raw error of this adapter. Pure. */
export function classify(error: unknown): Classification {
  if (error instanceof StatusError) return codeWith(rowOf(error)?.code ?? 'internal', error.retryAfterMs)
  return classifyAlike(error, own) ?? { code: 'internal' }
}

function rowOf(error: StatusError): Row | undefined {
  return answerRows.find(
    row =>
      row.status === error.status &&
      (row.reason === undefined || row.reason === error.reason) &&
      (row.kind === undefined || row.kind === error.kind) &&
      (row.cause === undefined || error.has(row.cause)) &&
      (row.tell === undefined || error.tells.has(row.tell)),
  )
}
