import { BrokerError, type ErrorCode, neverSent } from '@keyturn/core'

interface Row {
  readonly name: string
  readonly code: ErrorCode
  readonly hint: string
}

const restore = 'restore the wrapped KEK from a backup of the ledger'
const policy = 'docs/keys.md has the policy that this login needs'
const login = 'correct the credential of this machine, or its clock'
const again = 'it is asked again by itself'

/**
 * Errors by the name that AWS gives them. https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors, API_Encrypt,
 * API_DescribeKey, CommonErrors; throttling: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
 */
export const rows: readonly Row[] = [
  { name: 'DisabledException', code: 'precondition_failed', hint: 'enable the key in KMS' },
  {
    name: 'KMSInvalidStateException',
    code: 'precondition_failed',
    hint: 'if its deletion is scheduled, cancel that and enable the key before the day',
  },
  { name: 'NotFoundException', code: 'not_found', hint: 'look at region, account and id of the key' },
  { name: 'InvalidArnException', code: 'not_found', hint: 'look at region, account and id of the key' },
  { name: 'InvalidCiphertextException', code: 'corrupt', hint: restore },
  { name: 'IncorrectKeyException', code: 'corrupt', hint: restore },
  { name: 'InvalidKeyUsageException', code: 'invalid_argument', hint: 'name a symmetric key for encryption' },
  { name: 'ValidationException', code: 'invalid_argument', hint: 'look at the id of the key' },
  { name: 'UnsupportedOperationException', code: 'unsupported', hint: 'name a symmetric key for encryption' },
  { name: 'AccessDeniedException', code: 'permission_denied', hint: policy },
  { name: 'AccessDenied', code: 'permission_denied', hint: policy },
  { name: 'OptInRequired', code: 'permission_denied', hint: policy },
  { name: 'UnrecognizedClientException', code: 'unauthenticated', hint: login },
  { name: 'InvalidClientTokenId', code: 'unauthenticated', hint: login },
  { name: 'InvalidSignatureException', code: 'unauthenticated', hint: login },
  { name: 'SignatureDoesNotMatch', code: 'unauthenticated', hint: login },
  { name: 'IncompleteSignature', code: 'unauthenticated', hint: login },
  { name: 'MissingAuthenticationToken', code: 'unauthenticated', hint: login },
  { name: 'MissingAuthenticationTokenException', code: 'unauthenticated', hint: login },
  { name: 'ExpiredTokenException', code: 'unauthenticated', hint: login },
  { name: 'RequestExpired', code: 'unauthenticated', hint: login },
  {
    name: 'CredentialsProviderError',
    code: 'unauthenticated',
    hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role',
  },
  { name: 'TokenProviderError', code: 'unauthenticated', hint: login },
  { name: 'ThrottlingException', code: 'throttled', hint: again },
  { name: 'Throttling', code: 'throttled', hint: again },
  { name: 'TooManyRequestsException', code: 'throttled', hint: again },
  { name: 'RequestLimitExceeded', code: 'throttled', hint: again },
  { name: 'LimitExceededException', code: 'throttled', hint: again },
  { name: 'AbortError', code: 'cancelled', hint: again },
]

const unknown: Omit<Row, 'name'> = { code: 'unavailable', hint: 'look whether KMS can be reached from here; it is asked again by itself' }

/** What an error of the SDK means. What is in no row is `unavailable`: KMS changes nothing that a second try could spoil. Pure. */
export function classify(error: unknown): Omit<Row, 'name'> {
  return (error instanceof Error ? rows.find(({ name }) => name === error.name) : undefined) ?? unknown
}

/** The error of a failed call. Of what the SDK threw it says the name alone: the text may repeat what came. */
export function failed(what: string, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error
  const { code, hint } = classify(error)
  const name = error instanceof Error ? error.name : 'an error of no kind'
  const why = neverSent(error) ? 'no connection to the server' : name === 'Error' || name === 'SyntaxError' ? 'no answer of KMS' : name
  return new BrokerError(code, `aws-kms: ${what} failed: ${why}`, { hint, cause: error })
}
