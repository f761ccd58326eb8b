import { isRestError, type RestError } from '@azure/core-rest-pipeline'
import { type Classification, classifyAlike, codeWith, type ErrorCode } from '@keyturn/core'
import { waitOf } from './retry-after.ts'

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

const own = {
  failures: {
    stale: 'outcome_unknown',
    // a link in an answer leads away from the vault
    elsewhere: 'corrupt',
    closed: 'cancelled',
  },
} as const

/** Names a raw error of this adapter. Pure. */
export function classify(error: unknown): Classification {
  if (isRestError(error)) return ofAnswer(error)
  return classifyAlike(error, own) ?? { code: 'internal' }
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
  return codeWith(answerRows.find(fits)?.code ?? 'internal', retryAfterMs)
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
