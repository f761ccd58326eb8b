import { BrokerError, type ErrorCode } from '@keyturn/core'

// https://sqlite.org/rescode.html: the low byte is the primary code
const causes: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  3: ['unavailable', 'access to it is denied'],
  5: ['conflict', 'another process uses it'],
  6: ['conflict', 'another process uses it'],
  7: ['unavailable', 'there is no memory'],
  8: ['unavailable', 'it is read-only'],
  10: ['unavailable', 'the disk reports an error'],
  11: ['corrupt', 'its file is damaged'],
  13: ['unavailable', 'the disk is full'],
  14: ['unavailable', 'its file cannot be opened'],
  26: ['corrupt', 'its file is no database'],
}
const broken = ['precondition_failed', 'a rule of its schema forbids it (a KEK that is retired, or unknown here?)'] as const
const diskError = 10
/** `raise(abort)` of a trigger: https://sqlite.org/rescode.html#constraint_trigger. */
const ruleBroken = 1811

/** Names an error of SQLite by its result code. The text of SQLite's own message stays out: it may quote what was sent. */
export function sqliteError(error: unknown, what: string, step: 'statement' | 'commit'): BrokerError {
  if (error instanceof BrokerError) return error
  const primary = codeOf(error) & 0xff
  const [code, why] = (codeOf(error) === ruleBroken ? broken : causes[primary]) ?? ['internal', `SQLite answers ${codeOf(error)}`]
  // a commit that failed to reach the disk may be found there after a crash
  const unclear = step === 'commit' && primary === diskError
  return new BrokerError(unclear ? 'outcome_unknown' : code, `${what}: ${why}`, { cause: error })
}

function codeOf(error: unknown): number {
  const code = typeof error === 'object' && error !== null && 'errcode' in error ? error.errcode : undefined
  return typeof code === 'number' ? code : 0
}
