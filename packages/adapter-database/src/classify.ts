import { BrokerError, type Classification, type ErrorCode } from '@keyturn/core'
import type { Sql } from '@keyturn/sql'

/** What a store says otherwise than a ledger, by SQLite's primary code (https://www.sqlite.org/rescode.html): here it is a denial. */
const byResultCode: Readonly<Record<number, ErrorCode>> = { 3: 'permission_denied', 8: 'permission_denied', 23: 'permission_denied' }
/** By class of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html): a login that is refused. */
const byStateClass: Readonly<Record<string, ErrorCode>> = { '28': 'unauthenticated' }

const bySystemCode: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'permission_denied',
  EPERM: 'permission_denied',
  EROFS: 'permission_denied',
  ENOSPC: 'unavailable',
  EDQUOT: 'unavailable',
  EMFILE: 'unavailable',
  ENFILE: 'unavailable',
  EIO: 'outcome_unknown',
}

/** Names what a database, the file system or an aborted signal threw. */
export function classify(error: unknown): Classification {
  if (error instanceof BrokerError) return { code: sharper(error.origin) ?? error.code }
  if (!(error instanceof Error)) return { code: 'internal' }
  if (error.name === 'AbortError') return { code: 'cancelled' }
  const code = 'code' in error && typeof error.code === 'string' ? bySystemCode[error.code] : undefined
  return { code: code ?? 'internal' }
}

function sharper(raw: unknown): ErrorCode | undefined {
  if (!(raw instanceof Error)) return undefined
  const { code, errcode } = raw as { code?: unknown; errcode?: unknown }
  if (typeof errcode === 'number') return byResultCode[errcode & 0xff]
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? byStateClass[code.slice(0, 2)] : undefined
}

/** The database, its errors with the codes that a store has for them. */
export function named(sql: Sql): Sql {
  const rethrow = (error: unknown): never => {
    throw renamed(error)
  }
  return {
    dialect: sql.dialect,
    rows: (statement, parameters) => sql.rows(statement, parameters).catch(rethrow),
    transaction: run => sql.transaction(run).catch(rethrow),
    erase: tables => sql.erase(tables).catch(rethrow),
    mustErase: tables => sql.mustErase(tables).catch(rethrow),
    close: () => sql.close(),
  }
}

/** The error with the code that a store has for it. */
export function renamed(error: unknown): unknown {
  if (!(error instanceof BrokerError)) return error
  const { code } = classify(error)
  return code === error.code ? error : new BrokerError(code, error.message, { cause: error.origin })
}
