/** What goes in and comes out of a statement. Times are milliseconds since 1970, truth is 0 or 1, structures are JSON text. */
export type SqlValue = string | number | Uint8Array | null
/** A row as it comes back; `text`, `integer` and the others of `row.ts` read its columns. */
export type Row = Readonly<Record<string, unknown>>

/** The few words in which the two databases differ. Everything else is the same text for both, with parameters $1, $2, ... */
export interface Dialect {
  /** Which of the two it is, for what no single word can bridge. */
  readonly database: 'sqlite' | 'postgres'
  /** Before the name of a table outside a transaction: the schema and a dot; empty in SQLite. */
  readonly schema: string
  /** Type of a column of bytes. */
  readonly bytes: string
  /** Type of a column of whole numbers, 64 bits. */
  readonly integer: string
  /** A column whose numbers the database gives out, growing, never the same again. */
  readonly identity: string
  /** Makes a text column sort by its bytes. */
  readonly binary: string
  /** What follows a table's columns. */
  readonly table: string
  /** After a select, for the rows of one table of it: nobody else changes them before this transaction ends. */
  locked(table: string): string
  /** The same, passing over rows that somebody holds. */
  free(table: string): string
}

/** A transaction under way. Statements run one after another. */
export interface Transaction {
  readonly dialect: Dialect
  /** The database's clock when it began; of an embedded one, the broker's. */
  readonly now: number
  rows(sql: string, parameters?: readonly SqlValue[]): Promise<readonly Row[]>
  /** How many rows were affected. */
  change(sql: string, parameters?: readonly SqlValue[]): Promise<number>
  /** Whether this one may do what is enough done by one of many at a time; no promise that it is alone. */
  mayTidy(): Promise<boolean>
}

/**
 * A database that keeps what it acknowledged. Errors that it raises itself: `unavailable` (nothing happened), `outcome_unknown`
 * (it may have), `corrupt`, `internal`; none has a parameter in it.
 */
export interface Sql {
  readonly dialect: Dialect
  /** One statement that reads, by itself: half the cost of a transaction. Tables are named with `dialect.schema` before them. */
  rows(sql: string, parameters?: readonly SqlValue[]): Promise<readonly Row[]>
  /** Runs and commits, or rolls back when `run` throws. May run it again after a deadlock, so it must have no effect but through the transaction. */
  transaction<T>(run: (tx: Transaction) => Promise<T>): Promise<T>
  /**
   * Outside a transaction: what was overwritten or deleted in these tables can be read by no statement any more. In SQLite that empties the log (the file
   * itself was overwritten with zeros where it is opened with `secure_delete`); in PostgreSQL it is a `vacuum`, where the role owns the tables and no
   * other transaction may still look at them. Remnants in free space of its files go when they are written over, or with a `vacuum full`; archives of its
   * log, standbys and base backups are not reached.
   */
  erase(tables: readonly string[]): Promise<void>
  /** `permission_denied` where this role may not `erase` from all of these tables. */
  mustErase(tables: readonly string[]): Promise<void>
  close(): Promise<void>
}
