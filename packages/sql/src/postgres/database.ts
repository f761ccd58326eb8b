import { BrokerError } from '@keyturn/core'
import pg from 'pg'
import { integer, text } from '../row.ts'
import type { Dialect, Row, Sql, SqlValue, Transaction } from '../sql.ts'
import type { PostgresAddress } from './address.ts'
import { isContended, isCut, postgresError } from './classify.ts'
import { type Bounds, beginning, cannotErase, databaseClock, postgresDialect, tryTidy, usualBounds, wideBounds } from './dialect.ts'
import { Servers } from './servers.ts'

const attemptsMax = 5
const promptMs = 1_000
const int8 = 20

/** 64-bit numbers as numbers: the ledger keeps milliseconds and counts, both far below 2^53. */
const types = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

/** What a database on a server is opened with. */
export interface PostgresOptions {
  /** The schema that all unqualified names of a transaction are looked for in. */
  readonly schema: string
  /** What errors call it: `ledger`. */
  readonly what: string
  /** An SQL expression of milliseconds instead of the server's clock. */
  readonly clock?: string
}

/** A schema of a PostgreSQL database through a pool. A transaction is one connection's; time is the server's. */
export class PostgresDatabase implements Sql {
  readonly dialect: Dialect
  readonly #pool: pg.Pool
  readonly #servers: Servers
  readonly #begin: (bounds: Bounds) => string
  readonly #what: string

  constructor({ hosts, ...config }: PostgresAddress, { schema, what, clock = databaseClock }: PostgresOptions) {
    this.#servers = new Servers(hosts)
    const bounds = { max: 8, connectionTimeoutMillis: 5_000, query_timeout: usualBounds.answerMs }
    this.#pool = new pg.Pool({ ...bounds, keepAlive: true, ...config, types, ...this.#servers.ofPool })
    this.dialect = postgresDialect(schema)
    this.#what = what
    this.#begin = bounds => beginning(schema, clock, bounds)
    // an idle connection that the server closes is replaced by the next use; unheard, the event would end the process
    this.#pool.on('error', () => {})
  }

  async rows(sql: string, parameters: readonly SqlValue[] = []): Promise<readonly Row[]> {
    const began = performance.now()
    for (let attempt = 1; ; attempt += 1) {
      const client = await this.#connect()
      let broken: Error | undefined
      // a connection that dies says so by an event, too
      const note = (error: Error) => {
        broken = error
      }
      client.on('error', note)
      try {
        return (await client.query(sql, [...parameters])).rows
      } catch (error) {
        const named = postgresError(error, 'statement', this.#what)
        if (isFault(named)) note(named)
        // a connection that died while it was idle says so at once; what only reads may be asked of the next one
        if (attempt === 2 || !isCut(error) || performance.now() - began > promptMs) throw named
      } finally {
        client.off('error', note)
        client.release(broken)
      }
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#servers.first(() => this.#pool.connect())
    } catch (error) {
      throw postgresError(error, 'connect', this.#what)
    }
  }

  async erase(tables: readonly string[]): Promise<void> {
    const client = await this.#connect()
    let broken: Error | undefined
    try {
      const text = `vacuum ${tables.map(name => `${this.dialect.schema}${name}`).join(', ')}`
      // it takes as long as the tables are large; the driver has the setting, its types do not
      await client.query({ text, query_timeout: wideBounds.answerMs } as pg.QueryConfig)
    } catch (error) {
      broken = postgresError(error, 'statement', this.#what)
      throw broken
    } finally {
      client.release(broken)
    }
  }

  async mustErase(tables: readonly string[]): Promise<void> {
    const [row] = await this.rows(cannotErase, [tables.map(name => `${this.dialect.schema}${name}`).join(' ')])
    if (row === undefined) return
    const what = `${this.#what}: the role ${text(row, 'role')} may not erase what is gone from the table ${text(row, 'name')}`
    throw new BrokerError('permission_denied', what, {
      hint: 'do it with a broker whose URL has the role that owns the tables; until then nothing is changed',
    })
  }

  transaction<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#bounded(usualBounds, run)
  }

  /** As `transaction`, for statements that take as long as tables are large, or as another one of its kind does. */
  patiently<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#bounded(wideBounds, run)
  }

  async #bounded<T>(bounds: Bounds, run: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(bounds, run)
      } catch (error) {
        if (attempt === attemptsMax || !isContended(error)) throw error
      }
    }
  }

  async #once<T>(bounds: Bounds, run: (tx: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#connect()
    let broken: Error | undefined
    // a connection that dies between two statements says so by an event
    const note = (error: Error) => {
      broken = error
    }
    client.on('error', note)
    try {
      const result = await this.#within(client, bounds, run)
      await this.#commit(client)
      return result
    } catch (error) {
      if (isFault(error)) broken ??= error
      else await client.query('rollback').catch(note)
      throw error
    } finally {
      client.off('error', note)
      client.release(broken)
    }
  }

  async #within<T>(client: pg.PoolClient, bounds: Bounds, run: (tx: Transaction) => Promise<T>): Promise<T> {
    const query = async (sql: string, parameters: readonly SqlValue[] = []): Promise<pg.QueryResult> => {
      try {
        // the driver has the setting for one query, its types do not
        return await client.query({ text: sql, values: [...parameters], query_timeout: bounds.answerMs } as pg.QueryConfig)
      } catch (error) {
        throw postgresError(error, 'statement', this.#what)
      }
    }
    const rows = async (sql: string, parameters?: readonly SqlValue[]): Promise<readonly Row[]> => (await query(sql, parameters)).rows
    const change = async (sql: string, parameters?: readonly SqlValue[]): Promise<number> => (await query(sql, parameters)).rowCount ?? 0
    const now = await this.#start(client, bounds)
    const mayTidy = async () => integer((await rows(tryTidy))[0] ?? {}, 'mine') === 1
    return run({ dialect: this.dialect, now, rows, change, mayTidy })
  }

  async #start(client: pg.PoolClient, bounds: Bounds): Promise<number> {
    try {
      // several statements in one text have one result each, which the driver's types do not say
      const results = (await client.query(this.#begin(bounds))) as unknown as readonly pg.QueryResult<Row>[]
      return integer(results.at(-1)?.rows[0] ?? {}, 'now')
    } catch (error) {
      throw postgresError(error, 'statement', this.#what)
    }
  }

  async #commit(client: pg.PoolClient): Promise<void> {
    try {
      await client.query('commit')
    } catch (error) {
      throw postgresError(error, 'commit', this.#what)
    }
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end()
  }
}

/** Whether the connection itself is in doubt, and must not be used again. */
function isFault(error: unknown): error is BrokerError {
  return error instanceof BrokerError && (error.code === 'outcome_unknown' || (error.code === 'unavailable' && error.origin !== undefined))
}
