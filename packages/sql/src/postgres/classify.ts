import { BrokerError, type ErrorCode } from '@keyturn/core'

// https://www.postgresql.org/docs/current/errcodes-appendix.html: whole codes first, then classes
const causes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  '25P03': ['unavailable', 'the transaction stood still for too long'],
  '25006': ['unavailable', 'the server is read-only (a standby?)'],
  '42501': ['permission_denied', 'the role may not do this'],
  '55P03': ['unavailable', 'a lock was not given in time'],
  '57014': ['unavailable', 'the server did not answer in time'],
  '3D000': ['unavailable', 'the database does not exist'],
  '08': ['unavailable', 'the connection failed'],
  '22': ['invalid_argument', 'a value cannot be kept (a NUL character?)'],
  '28': ['unavailable', 'the server refuses the login'],
  '40': ['unavailable', 'others change the same rows'],
  '53': ['unavailable', 'the server lacks resources (disk, memory, connections)'],
  '57': ['unavailable', 'the server is shutting down or starting'],
  '58': ['unavailable', 'the server reports a disk error'],
  // of the triggers that sealed tables have
  KT001: ['precondition_failed', 'the KEK is retired, or unknown here'],
  XX: ['corrupt', 'the server reports damaged data'],
}

/**
 * Names an error of the driver. Only codes go into the text: a server's own words may quote a row. Without a code of the server
 * the connection broke; in the middle of a commit nobody can say whether it counts. `what` is what the text calls the database.
 */
export function postgresError(error: unknown, step: 'connect' | 'statement' | 'commit', what: string): BrokerError {
  if (error instanceof BrokerError) return error
  const state = sqlState(error)
  if (step === 'commit' && isCutBy(state)) {
    return new BrokerError('outcome_unknown', `${what}: the connection broke while a change was being committed`, { cause: error })
  }
  if (state === undefined) {
    const why = step === 'connect' ? 'cannot be reached' : 'broke the connection'
    return new BrokerError('unavailable', `${what}: the PostgreSQL server ${why} (${networkCode(error)})`, { cause: error })
  }
  const [code, why] = causes[state] ?? causes[state.slice(0, 2)] ?? ['internal', 'an unexpected answer']
  return new BrokerError(code, `${what}: ${why} (SQLSTATE ${state})`, { cause: error })
}

/** Whether the same transaction may succeed when it is run again: deadlock, serialization. */
export function isContended(error: unknown): boolean {
  const state = sqlState(error instanceof BrokerError ? error.origin : error)
  return state === '40P01' || state === '40001'
}

/** Whether the connection broke, as far as a raw error tells: none of the server's, or that it goes away. */
export function isCut(error: unknown): boolean {
  return isCutBy(sqlState(error))
}

// a server that is shut down answers with a code and cuts all the same
const isCutBy = (state: string | undefined): boolean => state === undefined || state.startsWith('57P') || state.startsWith('08')

function sqlState(error: unknown): string | undefined {
  const code = textOf(error, 'code')
  // Node's own codes (ECONNRESET) are longer or have another form
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined
}

function networkCode(error: unknown): string {
  return textOf(error, 'code') ?? 'connection closed'
}

function textOf(error: unknown, member: 'code'): string | undefined {
  const value = typeof error === 'object' && error !== null && member in error ? error[member as keyof typeof error] : undefined
  return typeof value === 'string' ? value : undefined
}
