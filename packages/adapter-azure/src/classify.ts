import { isRestError, type RestError } from '@azure/core-rest-pipeline'
import { BrokerError, type Classification, type ErrorCode } from '@keyturn/core'
import { waitOf } from './retry-after.ts'
import { type Failure, TransportError } from './transport-error.ts'

interface Row {
  readonly status: number
  /** `error.innererror.code`; a row without it is the default of its status and code. */
  readonly inner?: string
  /** `error.code`; a row without it is the default of its status. */
  readonly said?: string
  readonly code: ErrorCode
  /** Where it was taken from. */
  readonly from: string
}

const codes = 'https://learn.microsoft.com/azure/key-vault/general/rest-error-codes'
const emulator = 'azure-keyvault-emulator 0.7.0'
const http = 'RFC 9110, 15'

/** Answers of the vault. What is in no row is `internal`. The most particular row counts: those of a status stand from there to the default. */
export const answerRows: readonly Row[] = [
  { status: 400, code: 'invalid_argument', from: codes },
  { status: 401, code: 'unauthenticated', from: codes },
  { status: 403, inner: 'SecretDisabled', code: 'precondition_failed', from: 'https://github.com/Azure/azure-sdk-for-js/issues/24756' },
  { status: 403, inner: 'SecretExpired', code: 'precondition_failed', from: 'https://github.com/Azure/AzureKeyVault/issues/19' },
  { status: 403, inner: 'SecretNotYetValid', code: 'precondition_failed', from: 'https://github.com/Azure/AzureKeyVault/issues/19' },
  // ForbiddenByPolicy, ForbiddenByRbac, ForbiddenByFirewall, ForbiddenByConnection, AccessDenied
  { status: 403, code: 'permission_denied', from: codes },
  { status: 404, said: 'SecretNotFound', code: 'not_found', from: codes },
  { status: 404, code: 'invalid_argument', from: `${emulator}: no such route; a vault says SecretNotFound of a secret` },
  { status: 405, code: 'unsupported', from: http },
  { status: 408, code: 'outcome_unknown', from: http },
  // ObjectIsDeletedButRecoverable, ObjectIsBeingDeleted, ObjectIsBeingRecovered
  { status: 409, code: 'conflict', from: 'https://github.com/hashicorp/terraform-provider-azurerm/issues/12285' },
  { status: 413, code: 'too_large', from: http },
  { status: 429, code: 'throttled', from: 'https://learn.microsoft.com/azure/key-vault/general/overview-throttling' },
  { status: 500, code: 'outcome_unknown', from: codes },
  { status: 502, code: 'outcome_unknown', from: http },
  { status: 503, code: 'unavailable', from: http },
  { status: 504, code: 'outcome_unknown', from: http },
]

/** Answers that are not the vault's: a status without its JSON comes from something between us. */
const foreignRows: Readonly<Record<number, ErrorCode>> = {
  429: 'throttled',
  500: 'outcome_unknown',
  502: 'outcome_unknown',
  503: 'unavailable',
  504: 'outcome_unknown',
}

const failures: Readonly<Record<Exclude<Failure, 'foreign'>, ErrorCode>> = {
  connect: 'unavailable',
  cut: 'outcome_unknown',
  stale: 'outcome_unknown',
  // whoever answers so has not acted
  redirect: 'unavailable',
  too_large: 'corrupt',
  // a link in an answer leads away from the vault
  elsewhere: 'corrupt',
  closed: 'cancelled',
}

/** Names a raw error of this adapter. Pure. */
export function classify(error: unknown): Classification {
  if (error instanceof BrokerError) return { code: error.code, ...wait(error.retryAfterMs) }
  if (error instanceof TransportError) {
    const code = error.failure === 'foreign' ? (foreignRows[error.status ?? 0] ?? 'corrupt') : failures[error.failure]
    return { code, ...wait(error.retryAfterMs) }
  }
  if (isRestError(error)) return ofAnswer(error)
  if (error instanceof Error && error.name === 'AbortError') return { code: 'cancelled' }
  return { code: 'internal' }
}

/** Whether the vault answered with this status. */
export function hasStatus(error: unknown, status: number): error is RestError {
  return isRestError(error) && error.statusCode === status
}

/** `error.innererror.code`, which tells why a vault forbids something or where a deletion stands; undefined when it says none, as in answers to a list. */
export function innerCode({ details }: RestError): string | undefined {
  return text(member(member(member(details, 'error'), 'innerError'), 'code'))
}

function ofAnswer(error: RestError): Classification {
  const inner = innerCode(error)
  const fits = (row: Row) =>
    row.status === error.statusCode &&
    (row.inner === undefined || row.inner === inner) &&
    (row.said === undefined || row.said === error.code)
  const headers = error.response?.headers
  const retryAfter = headers?.get('retry-after')
  const date = headers?.get('date')
  const retryAfterMs = waitOf({
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    ...(date === undefined ? {} : { date }),
  })
  return { code: answerRows.find(fits)?.code ?? 'internal', ...wait(retryAfterMs) }
}

function wait(retryAfterMs: number | undefined): { retryAfterMs?: number } {
  return retryAfterMs === undefined ? {} : { retryAfterMs }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
