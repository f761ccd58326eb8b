import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { BrokerError, type Clock } from '@keyturn/core'
import type { Row, Sql, SqlValue, Transaction } from '../sql.ts'
import { sqliteError } from './classify.ts'
import { sqliteDialect } from './dialect.ts'

/** What an embedded database is opened with. */
export interface SqliteOptions {
  readonly file: string
  readonly clock: Clock
  /** What errors call it: `ledger /var/lib/keyturn/ledger.db`. */
  readonly what: string
  /** Statements to run before the first access, beside those that make commits durable. */
  readonly pragmas?: string
  /** Looks into the locked file before anything of it is changed, by a statement that answers one value; throws to refuse it. */
  readonly look?: (ask: (sql: string) => unknown) => void
  /** Told before the lock is given up by `close`. */
  readonly closing?: () => void
}

/** How long another process's lock is waited for: one that is just closing is gone by then. */
const busyMs = 500

/**
 * A SQLite file held by this process alone, for as long as it is open. Every commit is on the disk when it resolves
 * (https://sqlite.org/pragma.html#pragma_synchronous: WAL with FULL). Transactions run one after another.
 */
export class SqliteDatabase implements Sql {
  readonly #database: DatabaseSync
  readonly #clock: Clock
  readonly #what: string
  readonly dialect = sqliteDialect
  readonly #statements = new Map<string, StatementSync>()
  readonly #closing: () => void
  #last: Promise<unknown> = Promise.resolve()

  /** Opens and locks; `conflict` when another process holds the file, within a second. */
  constructor({ file, clock, what, pragmas = '', look, closing = () => {} }: SqliteOptions) {
    this.#what = what
    this.#clock = clock
    this.#closing = closing
    this.#database = this.#guard('statement', () => new DatabaseSync(file, { timeout: busyMs }))
    try {
      this.#guard('statement', () => {
        // before the first access: the WAL index then stays in memory, and the lock is kept until the process ends, however it does
        this.#database.exec('pragma locking_mode = exclusive')
        look?.(sql => this.#asked(sql))
        this.#database.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; ${pragmas}`)
        this.#database.exec('begin exclusive; commit')
      })
      this.#mustBeDurable()
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  /** What SQLite says of its own settings. */
  setting(name: 'synchronous' | 'journal_mode' | 'locking_mode' | 'foreign_keys'): unknown {
    return this.#guard('statement', () => this.#asked(`pragma ${name}`))
  }

  #asked(sql: string): unknown {
    return Object.values(this.#database.prepare(sql).get() ?? {})[0]
  }

  #mustBeDurable(): void {
    const [synchronous, journal] = [this.setting('synchronous'), this.setting('journal_mode')]
    if (synchronous === 2 && journal === 'wal') return
    throw new BrokerError('unavailable', `${this.#what}: no durable commits here (synchronous ${synchronous}, journal ${journal})`, {
      hint: 'keep the data folder on a local disk: network file systems lack what a write-ahead log needs',
    })
  }

  transaction<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#inTurn(() => this.#run(run))
  }

  /** In its turn too: between two statements of a transaction it would see what may be rolled back. */
  rows(sql: string, parameters: readonly SqlValue[] = []): Promise<readonly Row[]> {
    return this.#inTurn(async () => {
      this.#mustBeOpen()
      return this.#guard('statement', () => this.#prepared(sql).all(...parameters))
    })
  }

  erase(): Promise<void> {
    return this.#inTurn(async () => {
      this.#mustBeOpen()
      this.#exec('pragma wal_checkpoint(truncate)', 'statement')
    })
  }

  /** Whoever writes the file may empty its log. */
  mustErase(): Promise<void> {
    return Promise.resolve()
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#last.then(act)
    this.#last = result.catch(() => undefined)
    return result
  }

  #mustBeOpen(): void {
    if (!this.#database.isOpen) throw new BrokerError('unavailable', `${this.#what} is closed`)
  }

  async #run<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    this.#mustBeOpen()
    this.#exec('begin immediate', 'statement')
    let result: T
    try {
      result = await run(this.#transaction())
    } catch (error) {
      this.#rollBack()
      throw error
    }
    try {
      this.#exec('commit', 'commit')
    } catch (error) {
      this.#rollBack()
      throw error
    }
    return result
  }

  #transaction(): Transaction {
    const rows = async (sql: string, parameters: readonly SqlValue[] = []): Promise<readonly Row[]> =>
      this.#guard('statement', () => this.#prepared(sql).all(...parameters))
    const change = async (sql: string, parameters: readonly SqlValue[] = []): Promise<number> =>
      this.#guard('statement', () => Number(this.#prepared(sql).run(...parameters).changes))
    return { dialect: this.dialect, now: this.#clock.now().getTime(), rows, change, mayTidy: async () => true }
  }

  #prepared(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    // $1 would be a name to SQLite, ?1 is a position
    const statement = this.#database.prepare(sql.replaceAll(/\$(\d+)/g, '?$1'))
    this.#statements.set(sql, statement)
    return statement
  }

  #exec(sql: string, step: 'statement' | 'commit'): void {
    this.#guard(step, () => this.#database.exec(sql))
  }

  /** Some errors have rolled back already; then there is nothing left to do. */
  #rollBack(): void {
    if (this.#database.isTransaction) this.#exec('rollback', 'statement')
  }

  #guard<T>(step: 'statement' | 'commit', run: () => T): T {
    try {
      return run()
    } catch (error) {
      throw sqliteError(error, this.#what, step)
    }
  }

  async close(): Promise<void> {
    await this.#last
    if (!this.#database.isOpen) return
    this.#closing()
    this.#database.close()
  }
}
