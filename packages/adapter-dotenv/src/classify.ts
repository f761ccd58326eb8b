import { BrokerError, type Classification, type ErrorCode } from '@keyturn/core'

/** Errors of the file system, all of them before the file was replaced: `EnvFile` names what happens after itself. */
const systemErrors: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'permission_denied',
  EPERM: 'permission_denied',
  EROFS: 'permission_denied',
  ENOTDIR: 'invalid_argument',
  EISDIR: 'invalid_argument',
  ELOOP: 'invalid_argument',
  ENAMETOOLONG: 'invalid_argument',
  ENXIO: 'invalid_argument',
  // the folder or the temporary file went away under us; an absent file is no error of the system here
  ENOENT: 'unavailable',
  EEXIST: 'unavailable',
  ENOSPC: 'unavailable',
  EDQUOT: 'unavailable',
  EFBIG: 'unavailable',
  EIO: 'unavailable',
  EBUSY: 'unavailable',
  ETXTBSY: 'unavailable',
  EAGAIN: 'unavailable',
  EINTR: 'unavailable',
  EMFILE: 'unavailable',
  ENFILE: 'unavailable',
  ENOMEM: 'unavailable',
  ESTALE: 'unavailable',
  ETIMEDOUT: 'unavailable',
}

/** Result codes of SQLite, which only the lock uses (https://www.sqlite.org/rescode.html). */
const lockErrors: Readonly<Record<number, ErrorCode>> = {
  5: 'unavailable',
  6: 'unavailable',
  8: 'permission_denied',
  10: 'unavailable',
  13: 'unavailable',
  14: 'permission_denied',
  23: 'permission_denied',
  26: 'precondition_failed',
}

/** Names a raw error. Nothing here is `not_found`: the adapter says that itself, of a variable that a file it read does not have. */
export function classify(error: unknown): Classification {
  if (error instanceof BrokerError) return { code: error.code }
  if (!(error instanceof Error)) return { code: 'internal' }
  // a signal of ours ended the call, before anything was replaced
  if (error.name === 'AbortError') return { code: 'cancelled' }
  if ('errcode' in error && typeof error.errcode === 'number') return { code: lockErrors[error.errcode & 0xff] ?? 'internal' }
  const code = 'code' in error && typeof error.code === 'string' ? systemErrors[error.code] : undefined
  return { code: code ?? 'internal' }
}
