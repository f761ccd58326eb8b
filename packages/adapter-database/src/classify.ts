import { BrokerError, type Classification, type ErrorCode } from '@keyturn/core'

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html). What is missing here is a fault of this adapter: `internal`. */
const byResultCode: Readonly<Record<number, ErrorCode>> = {
  3: 'permission_denied', // PERM
  5: 'unavailable', // BUSY
  6: 'unavailable', // LOCKED
  7: 'unavailable', // NOMEM
  8: 'permission_denied', // READONLY
  9: 'cancelled', // INTERRUPT
  10: 'outcome_unknown', // IOERR: a commit may have reached the disk before the failure
  11: 'corrupt', // CORRUPT
  13: 'unavailable', // FULL: rolled back, so it did not happen
  14: 'unavailable', // CANTOPEN
  18: 'too_large', // TOOBIG
  23: 'permission_denied', // AUTH
  26: 'corrupt', // NOTADB
}

const bySystemCode: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'permission_denied',
  EPERM: 'permission_denied',
  EROFS: 'permission_denied',
  ENOSPC: 'unavailable',
  EDQUOT: 'unavailable',
  EMFILE: 'unavailable',
  ENFILE: 'unavailable',
  EIO: 'outcome_unknown',
  // the file was closed under a call that came late
  ERR_INVALID_STATE: 'unavailable',
}

/** Names what SQLite, the file system or an aborted signal threw. */
export function classify(error: unknown): Classification {
  if (error instanceof BrokerError) return { code: error.code }
  if (!(error instanceof Error)) return { code: 'internal' }
  if (error.name === 'AbortError') return { code: 'cancelled' }
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  // an extended code carries the primary one in its low byte
  if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') return { code: byResultCode[errcode & 0xff] ?? 'internal' }
  return { code: (typeof code === 'string' ? bySystemCode[code] : undefined) ?? 'internal' }
}

/** Whether SQLite could not get the lock because somebody else holds it. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && [5, 6].includes(error.errcode & 0xff)
}
