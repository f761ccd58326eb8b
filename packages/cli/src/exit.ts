import { blamesBackend } from '@keyturn/api'
import { BrokerError, type ErrorCode } from '@keyturn/core'

/** The exit codes, as scripts read them. */
export const exit = {
  ok: 0,
  failed: 1,
  /** Wrong use, or an invalid config. */
  use: 2,
  /** 401 and 403. */
  denied: 3,
  notFound: 4,
  conflict: 5,
  /** Nothing happened; try again. */
  unavailable: 6,
  needsPerson: 7,
} as const

/** Ends a command with this code when everything that had to be said was said. */
export class Exit extends Error {
  readonly code: number

  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}

const codes: Readonly<Record<ErrorCode, number>> = {
  invalid_argument: exit.use,
  too_large: exit.use,
  unauthenticated: exit.denied,
  permission_denied: exit.denied,
  not_found: exit.notFound,
  conflict: exit.conflict,
  throttled: exit.unavailable,
  unavailable: exit.unavailable,
  // it may have happened: whoever sends it again without looking may do it twice
  outcome_unknown: exit.needsPerson,
  precondition_failed: exit.failed,
  unsupported: exit.failed,
  corrupt: exit.failed,
  cancelled: exit.failed,
  internal: exit.failed,
}

export function exitCodeOf(error: BrokerError): number {
  // the broker was refused by its store: the caller has every right
  return blamesBackend(error) ? exit.failed : codes[error.code]
}

/** What goes to stderr about an error, without a final line feed. */
export function errorText(error: BrokerError): string {
  const lines = [`keyturn: ${error.message}`]
  const { errors, requestId } = error.detail ?? {}
  for (const complaint of Array.isArray(errors) ? errors : []) lines.push(`  ${complaint.path}: ${complaint.message}`)
  if (error.hint !== undefined) lines.push(`  ${error.hint}`)
  if (error.retryAfterMs !== undefined) lines.push(`  try again in ${Math.ceil(error.retryAfterMs / 1000)} s`)
  if (typeof requestId === 'string') lines.push(`  request ${requestId}`)
  return lines.join('\n')
}

/** Wrong use of a command: exit 2. */
export function wrongUse(message: string, hint: string): BrokerError {
  return new BrokerError('invalid_argument', message, { hint })
}
