import { type Classification, classifyAlike, codeWith, type ErrorCode, foreignCodes } from '@keyturn/core'
import { WireError } from './wire.ts'

/** An answer of AWS that is a no: `ServiceException` of the SDK, by shape, because each package of it may bring its own class. */
export interface ServiceError extends Error {
  readonly $fault: 'client' | 'server'
  readonly $metadata: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

/** Whether AWS itself said no. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && '$fault' in error && '$metadata' in error
}

/** Whether AWS said no by this name. */
export function isNamed(error: unknown, ...names: readonly string[]): error is ServiceError {
  return isServiceError(error) && names.includes(error.name)
}

interface Row {
  readonly name: string
  /** Found in the message; a row without it is the name's default and stands after them. */
  readonly text?: RegExp
  readonly code: ErrorCode
  /** Where it was taken from. */
  readonly from: string
}

const api = 'https://docs.aws.amazon.com/secretsmanager/latest/apireference'
const common = `${api}/CommonErrors.html`
const get = `${api}/API_GetSecretValue.html#API_GetSecretValue_Errors`
const put = `${api}/API_PutSecretValue.html#API_PutSecretValue_Errors`
const wire = 'https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html'
const retries = 'https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html: throttling errors'

/** What marks an answer about a secret whose deletion is scheduled. */
export const scheduledDeletion = /marked (?:for deletion|deleted)|scheduled for deletion/

/** Errors by the name that AWS gives them, never by their status: emulators and gateways have other ones. */
export const rows: readonly Row[] = [
  { name: 'ResourceNotFoundException', code: 'not_found', from: get },
  { name: 'ResourceExistsException', code: 'conflict', from: put },
  { name: 'InvalidRequestException', text: scheduledDeletion, code: 'not_found', from: `${get}: the secret is scheduled for deletion` },
  { name: 'InvalidRequestException', code: 'precondition_failed', from: `${put}: not valid for the current state of the resource` },
  { name: 'InvalidParameterException', code: 'invalid_argument', from: put },
  { name: 'InvalidNextTokenException', code: 'unavailable', from: `${api}/API_ListSecrets.html: a list has to begin again` },
  { name: 'ValidationException', code: 'invalid_argument', from: common },
  { name: 'ValidationError', code: 'invalid_argument', from: common },
  { name: 'SerializationException', code: 'invalid_argument', from: 'https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html' },
  { name: 'UnknownOperationException', code: 'unsupported', from: `${common}: the endpoint is none of Secrets Manager` },
  { name: 'InvalidAction', code: 'unsupported', from: common },
  { name: 'AccessDeniedException', code: 'permission_denied', from: common },
  { name: 'AccessDenied', code: 'permission_denied', from: 'https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html' },
  { name: 'NotAuthorized', code: 'permission_denied', from: common },
  { name: 'OptInRequired', code: 'permission_denied', from: `${common}: the account has no right to the service` },
  { name: 'DecryptionFailure', code: 'precondition_failed', from: `${get}: the KMS key is disabled, deleted or unusable` },
  { name: 'EncryptionFailure', code: 'precondition_failed', from: `${put}: the KMS key is disabled, deleted or unusable` },
  { name: 'LimitExceededException', code: 'throttled', from: `${put}: a quota, of versions or labels for instance` },
  { name: 'ThrottlingException', code: 'throttled', from: common },
  { name: 'Throttling', code: 'throttled', from: retries },
  { name: 'TooManyRequestsException', code: 'throttled', from: retries },
  { name: 'RequestLimitExceeded', code: 'throttled', from: retries },
  { name: 'SlowDown', code: 'throttled', from: retries },
  { name: 'UnrecognizedClientException', code: 'unauthenticated', from: common },
  { name: 'InvalidClientTokenId', code: 'unauthenticated', from: common },
  { name: 'IncompleteSignature', code: 'unauthenticated', from: common },
  { name: 'IncompleteSignatureException', code: 'unauthenticated', from: common },
  {
    name: 'InvalidSignatureException',
    code: 'unauthenticated',
    from: 'https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html',
  },
  {
    name: 'SignatureDoesNotMatch',
    code: 'unauthenticated',
    from: 'https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html',
  },
  { name: 'MissingAuthenticationToken', code: 'unauthenticated', from: common },
  { name: 'MissingAuthenticationTokenException', code: 'unauthenticated', from: common },
  { name: 'ExpiredTokenException', code: 'unauthenticated', from: `${common}: ours has ended` },
  { name: 'ExpiredToken', code: 'unauthenticated', from: wire },
  { name: 'InvalidToken', code: 'unauthenticated', from: wire },
  { name: 'RequestExpired', code: 'unauthenticated', from: `${common}: the clocks differ by more than 15 minutes` },
  { name: 'RequestTimeTooSkewed', code: 'unauthenticated', from: wire },
  { name: 'InternalServiceError', code: 'outcome_unknown', from: get },
  { name: 'InternalServiceErrorException', code: 'outcome_unknown', from: get },
  { name: 'InternalFailure', code: 'outcome_unknown', from: common },
  { name: 'ServiceUnavailable', code: 'unavailable', from: common },
  { name: 'ServiceUnavailableException', code: 'unavailable', from: common },
  {
    name: 'IDPCommunicationErrorException',
    code: 'unavailable',
    from: 'https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html',
  },
]

/** Names a raw error of this adapter. Pure. */
export function classify(error: unknown): Classification {
  const alike = classifyAlike(error)
  if (alike !== undefined) return alike
  if (!isServiceError(error)) return { code: 'internal' }
  const row = rows.find(({ name, text }) => name === error.name && (text === undefined || text.test(error.message)))
  const code = row?.code ?? foreignCodes[error.$metadata.httpStatusCode ?? 0] ?? 'internal'
  return codeWith(code, retryAfterMs(error.$response?.headers))
}

/** What the SDK threw, or `WireError` for an answer that it cannot read: its own error quotes what came, which may hold a value. */
export function readable(error: unknown): unknown {
  if (isServiceError(error) || !(error instanceof Error) || !('$response' in error)) return error
  // how the SDK keeps an answer
  const { statusCode: status, headers } = (error.$response ?? {}) as { statusCode?: number; headers?: Record<string, string> }
  return new WireError('foreign', `the answer is none of AWS (${status})`, { status, retryAfterMs: retryAfterMs(headers) })
}

/** `Retry-After` in seconds (RFC 9110, 10.2.3) or AWS's own in milliseconds; undefined when neither is there. */
function retryAfterMs(headers: Readonly<Record<string, string>> | undefined): number | undefined {
  const { 'retry-after': seconds, 'x-amz-retry-after': ms } = headers ?? {}
  if (ms !== undefined && /^\d{1,9}$/.test(ms)) return Number(ms)
  return seconds !== undefined && /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1_000 : undefined
}
