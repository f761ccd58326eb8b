import { BrokerError } from '@keyturn/core'
import pg from 'pg'
import { integer } from '../sql/row.ts'
import type { Row, Sql, SqlValue, Transaction } from '../sql/sql.ts'
import { isContended, postgresError } from './classify.ts'
import { beginning, databaseClock, postgresDialect, tryTidy } from './dialect.ts'

const attemptsMax = 5
const int8 = 20

/** 64-bit numbers as numbers: the ledger keeps milliseconds and counts, both far below 2^53. */
const types = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

/** A PostgreSQL database through a pool. A transaction is one connection's; time is the server's. */
export class PostgresDatabase implements Sql {
  readonly #pool: pg.Pool
  readonly #begin: string

  /** `clock` is an SQL expression of milliseconds. */
  constructor(config: pg.PoolConfig, clock: string = databaseClock) {
    this.#pool = new pg.Pool({ max: 8, connectionTimeoutMillis: 5_000, keepAlive: true, ...config, types })
    this.#begin = beginning(clock)
    // an idle connection that the server closes is replaced by the next use; unheard, the event would end the process
    this.#pool.on('error', () => {})
  }

  async transaction<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(run)
      } catch (error) {
        if (attempt === attemptsMax || !isContended(error)) throw error
      }
    }
  }

  async #once<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch(cause => {
      throw postgresError(cause, 'connect')
    })
    let broken: Error | undefined
    // a connection that dies between two statements says so by an event
    const note = (error: Error) => {
      broken = error
    }
    client.on('error', note)
    try {
      const result = await this.#within(client, run)
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

  async #within<T>(client: pg.PoolClient, run: (tx: Transaction) => Promise<T>): Promise<T> {
    const query = async (sql: string, parameters: readonly SqlValue[] = []): Promise<pg.QueryResult> => {
      try {
        return await client.query(sql, [...parameters])
      } catch (error) {
        throw postgresError(error, 'statement')
      }
    }
    const rows = async (sql: string, parameters?: readonly SqlValue[]): Promise<readonly Row[]> => (await query(sql, parameters)).rows
    const change = async (sql: string, parameters?: readonly SqlValue[]): Promise<number> => (await query(sql, parameters)).rowCount ?? 0
    const now = await this.#start(client)
    const mayTidy = async () => integer((await rows(tryTidy))[0] ?? {}, 'mine') === 1
    return run({ dialect: postgresDialect, now, rows, change, mayTidy })
  }

  async #start(client: pg.PoolClient): Promise<number> {
    try {
      // several statements in one text have one result each, which the driver's types do not say
      const results = (await client.query(this.#begin)) as unknown as readonly pg.QueryResult<Row>[]
      return integer(results.at(-1)?.rows[0] ?? {}, 'now')
    } catch (error) {
      throw postgresError(error, 'statement')
    }
  }

  async #commit(client: pg.PoolClient): Promise<void> {
    try {
      await client.query('commit')
    } catch (error) {
      throw postgresError(error, 'commit')
    }
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }
}

/** Whether the connection itself is in doubt, and must not be used again. */
function isFault(error: unknown): error is BrokerError {
  return error instanceof BrokerError && (error.code === 'outcome_unknown' || (error.code === 'unavailable' && error.origin !== undefined))
}
