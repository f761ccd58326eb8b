import type { Clock, Random } from '@keyturn/core'
import type { Ledger } from './ledger.ts'
import { migrateSqlite, openSqlite } from './sqlite/open.ts'

/** Where a ledger is kept, and the ports it takes time and randomness from. */
export interface LedgerOptions {
  /** Of PostgreSQL, when several brokers share the work; left out or empty: embedded. */
  readonly url?: string
  /** The data folder of the embedded form. */
  readonly data: string
  readonly clock: Clock
  readonly random: Random
  /** Refuses a database that acknowledges commits before they are on disk. */
  readonly production?: boolean
}

/**
 * Opens the ledger and brings its schema up to date. Errors: `conflict` (another process has the embedded file), `precondition_failed`
 * (written by a newer Keyturn; commits not durable), `unavailable`, `invalid_argument` (the URL).
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { url = '', data, clock, random } = options
  if (url === '') return openSqlite(data, clock, random)
  // its driver loads for those alone who use it
  const { openPostgres } = await import('./postgres/open.ts')
  return openPostgres(url, options)
}

/** A schema that was brought up to date: which steps it had, 0 for none, and has now. */
export interface MigratedSchema {
  /** What errors call the database. */
  readonly what: string
  readonly before: number
  readonly now: number
}

/** Brings the schema of a ledger up to date, with a role that may. Errors as of `openLedger`. */
export async function migrateLedger(options: LedgerOptions): Promise<MigratedSchema> {
  const { url = '', data, clock, random } = options
  if (url === '') return migrateSqlite(data, clock, random)
  const { migratePostgres } = await import('./postgres/open.ts')
  return migratePostgres(url, options)
}
