import { BrokerError, type ErrorCode } from '@keyturn/core'

/** What a server answered. */
export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly retryAfterMs: number | undefined
}

interface Row {
  readonly status: number
  /** Found in one of the errors; a row without it is the status's default and stands after them. */
  readonly text?: RegExp
  readonly code: ErrorCode
  readonly from: string
}

const transit = 'openbao builtin/logical/transit'
const codes = 'https://openbao.org/api-docs/#http-status-codes'

/** Answers that are a no. What is in no row is `unavailable`: nothing that the server could have done is of any consequence. */
export const rows: readonly Row[] = [
  { status: 400, text: /encryption key not found/, code: 'not_found', from: `${transit}/path_decrypt.go` },
  {
    status: 400,
    text: /disallowed by policy \(too old\)/,
    code: 'precondition_failed',
    from: 'sdk/helper/keysutil/policy.go: below min_decryption_version',
  },
  {
    status: 400,
    text: /authentication failed|invalid ciphertext|unable to decrypt|too short|no prefix|could not be decoded/,
    code: 'corrupt',
    from: `${transit}: sdk/helper/keysutil/policy.go`,
  },
  { status: 400, code: 'invalid_argument', from: codes },
  { status: 403, code: 'permission_denied', from: codes },
  { status: 404, code: 'not_found', from: `${codes}: no such mount or key` },
  { status: 405, code: 'unsupported', from: codes },
  { status: 429, code: 'throttled', from: codes },
]

const hints: Readonly<Partial<Record<ErrorCode, string>>> = {
  not_found: 'look whether mount and key are named as on the server, in this namespace',
  precondition_failed: 'lower min_decryption_version of the key until every wrap is renewed',
  corrupt: 'restore the wrapped KEK from a backup of the ledger',
  permission_denied: 'docs/keys.md has the policy that this login needs',
  throttled: 'it is asked again by itself',
  unavailable: 'look whether the server runs and is unsealed; it is asked again by itself',
}

/** Names a no of the server. Pure. */
export function classify({ status, body }: Pick<Answer, 'status' | 'body'>): ErrorCode {
  const errors = errorsIn(body)
  return (
    rows.find(row => row.status === status && (row.text === undefined || errors.some(text => row.text?.test(text))))?.code ?? 'unavailable'
  )
}

/** The error of a no. What the server wrote is not in it: it may repeat what was sent. */
export function refusal(what: string, answer: Answer): BrokerError {
  const code = classify(answer)
  const hint = hints[code]
  return new BrokerError(code, `vault-transit: ${what} was refused (status ${answer.status})`, {
    ...(hint === undefined ? {} : { hint }),
    ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
  })
}

/** The member of an object that came from outside; undefined where there is none. */
export function member(body: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((at, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined), body)
}

function errorsIn(body: unknown): readonly string[] {
  const errors = member(body, 'errors')
  return Array.isArray(errors) ? errors.filter(each => typeof each === 'string') : []
}
