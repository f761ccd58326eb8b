import type { Dialect } from '../sql.ts'

/**
 * All that only PostgreSQL has. The statements of `sql/` are otherwise the same text for both databases; everything here is plain
 * SQL of PostgreSQL 12 and later.
 */
const words: Omit<Dialect, 'schema'> = {
  database: 'postgres',
  bytes: 'bytea',
  integer: 'bigint',
  identity: 'bigint generated always as identity primary key',
  // a cluster's own collation would sort pages otherwise than SQLite and memory do
  binary: 'collate "C"',
  table: '',
  // lets foreign keys be checked meanwhile, which `for update` would not
  locked: table => `for no key update of ${table}`,
  free: table => `for no key update of ${table} skip locked`,
}

/** The words of PostgreSQL for the tables of a schema. */
export const postgresDialect = (schema: string): Dialect => ({ ...words, schema: `${schema}.` })

/** The database's clock at the start of the transaction, in milliseconds: no broker's own clock decides anything. */
export const databaseClock = 'floor(extract(epoch from now()) * 1000)::bigint'

/** How long a statement may take: on the server, which ends it, and until its answer is given up, longer than the server takes to end it. */
export interface Bounds {
  readonly statementMs: number
  readonly answerMs: number
}

export const usualBounds: Bounds = { statementMs: 10_000, answerMs: 15_000 }
/** For what takes as long as tables are large. */
export const wideBounds: Bounds = { statementMs: 6 * 3_600_000, answerMs: 6 * 3_600_000 + 5_000 }

/**
 * Begins a transaction in one round trip and tells the time. Everything is set for this transaction alone, so that a pooler between
 * us and the server (PgBouncer, transaction mode) changes nothing.
 */
export function beginning(schema: string, clock: string, { statementMs }: Bounds = usualBounds): string {
  return [
    'begin isolation level read committed',
    `set local search_path to ${schema}`,
    // a holder that stands still keeps rows locked for this long and no longer
    `set local statement_timeout to ${statementMs}`,
    'set local idle_in_transaction_session_timeout to 30000',
    `select ${clock} as now`,
  ].join('; ')
}

// one key for all brokers of a database; held to the end of a transaction, so it is never stranded
const migrationLock = 7_390_116_201
const tidyLock = 7_390_116_202

/** Waits until no other broker migrates. */
export const lockMigrations = `select pg_advisory_xact_lock(${migrationLock})`
/** Only against contention: whoever does not get it leaves the work to whoever has it. */
export const tryTidy = `select case when pg_try_advisory_xact_lock(${tidyLock}) then 1 else 0 end as mine`

/** Whether this role may bring the schema of this name up to date. */
export const mayMigrate = `select case when case when exists (select 1 from pg_namespace where nspname = $1)
    then (select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = $1)
    else has_database_privilege(current_database(), 'create') end then 1 else 0 end as may`

/**
 * Whether this role can erase what is gone from the table `c`: `vacuum` is for its owner, the database's, or who may maintain it, and only warns anybody
 * else (https://www.postgresql.org/docs/current/sql-vacuum.html).
 */
const erases = `(pg_has_role(c.relowner, 'usage') or pg_has_role((select datdba from pg_database where datname = current_database()), 'usage')
    or case when current_setting('server_version_num')::int < 170000 then false else has_table_privilege(c.oid, 'MAINTAIN') end)`

/** One of these tables, names with a blank between, that this role cannot erase from. */
export const cannotErase = `select current_user::text as role, c.relname::text as name from pg_class c
  where c.oid = any (string_to_array($1, ' ')::regclass[]) and not ${erases} limit 1`

/** An expression: whether this role can erase from the table. */
export const mayErase = (table: string): string => `(select ${erases} from pg_class c where c.oid = '${table}'::regclass)`

/** The settings under which an acknowledged commit may be lost, when off. */
export const durability = "select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')"
