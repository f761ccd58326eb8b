import { type Classification, classifyAlike, codeWith, type ErrorCode } from '@keyturn/core'
import { Answer } from './answer.ts'
import { JsonError } from './json-source.ts'

/** node-vault's `ApiResponseError`: it has no class that could be imported. */
export interface ApiError extends Error {
  readonly response: { readonly statusCode: number; readonly body: Answer }
}

/** Whether this is the server's own no, with its answer. */
export function isApiError(error: unknown): error is ApiError {
  if (!(error instanceof Error) || !('response' in error)) return false
  const { response } = error
  return typeof response === 'object' && response !== null && 'body' in response && response.body instanceof Answer
}

/** Whether the server answered with this status. */
export function hasStatus(error: unknown, status: number): error is ApiError {
  return isApiError(error) && error.response.statusCode === status
}

interface Row {
  readonly status: number
  /** Found in one of the errors; a row without it is the status's default and stands after them. */
  readonly text?: RegExp
  readonly code: ErrorCode
  /** Where it was taken from. */
  readonly from: string
}

const codes = 'https://openbao.org/api-docs/#http-status-codes'

/** Answers of the server. What is in no row is `internal`. */
export const answerRows: readonly Row[] = [
  { status: 400, text: /check-and-set parameter did not match/, code: 'conflict', from: 'openbao builtin/logical/kv/path_data.go' },
  { status: 400, text: /check-and-set parameter required/, code: 'invalid_argument', from: 'openbao builtin/logical/kv/path_data.go' },
  {
    status: 400,
    text: /fetching keys/,
    code: 'unavailable',
    from: 'openbao builtin/credential/jwt: a login by JWT while the issuer does not give its keys',
  },
  { status: 400, code: 'invalid_argument', from: codes },
  { status: 403, code: 'permission_denied', from: codes },
  {
    status: 404,
    text: /./,
    code: 'invalid_argument',
    from: 'openbao vault/router.go: "no handler for route" is a wrong mount, "namespace not found" a wrong namespace, not an absent secret',
  },
  { status: 404, code: 'not_found', from: codes },
  { status: 405, code: 'unsupported', from: codes },
  {
    status: 412,
    code: 'unavailable',
    from: 'https://developer.hashicorp.com/vault/docs/enterprise/consistency: the state is not there yet, nothing was done',
  },
  { status: 413, code: 'too_large', from: 'openbao sdk/logical/response_util.go' },
  { status: 429, code: 'throttled', from: codes },
  { status: 500, code: 'outcome_unknown', from: codes },
  { status: 502, code: 'outcome_unknown', from: codes },
  { status: 503, code: 'unavailable', from: `${codes}: sealed, or standing by` },
  { status: 504, code: 'outcome_unknown', from: 'RFC 9110, 15.6.5: a gateway sent the request on' },
]

const own = { failures: { path: 'invalid_argument' } } as const

/** Names a raw error of this adapter. Pure. */
export function classify(error: unknown): Classification {
  const alike = classifyAlike(error, own)
  if (alike !== undefined) return alike
  if (error instanceof JsonError) return { code: 'corrupt' }
  return isApiError(error) ? ofAnswer(error.response.statusCode, error.response.body) : { code: 'internal' }
}

function ofAnswer(status: number, { errors, retryAfterMs }: Answer): Classification {
  const row = answerRows.find(each => each.status === status && (each.text === undefined || errors.some(text => each.text?.test(text))))
  return codeWith(row?.code ?? 'internal', retryAfterMs)
}
