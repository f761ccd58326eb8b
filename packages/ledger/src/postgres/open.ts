import type { Random } from '@keyturn/core'
import { mustBeDurable, openSchema, PostgresDatabase, postgresAddress } from '@keyturn/sql/postgres'
import type { MigratedSchema } from '../open.ts'
import { SqlLedger } from '../sql/ledger.ts'
import { migrations } from '../sql/migrations.ts'

/** What opening takes beside the URL. */
export interface PostgresOptions {
  readonly random: Random
  readonly production?: boolean
  /** An SQL expression of milliseconds instead of the server's clock. */
  readonly sqlClock?: string
}

const schema = 'keyturn_ledger'
const what = 'ledger'

/**
 * Opens the ledger that several brokers share, in the schema `keyturn_ledger`. They may start at the same moment: one migrates, the
 * others wait for it. In production a server that acknowledges commits before they are on disk is refused.
 */
export async function openPostgres(url: string, options: PostgresOptions): Promise<SqlLedger> {
  const { database } = await migrated(url, options)
  try {
    return await SqlLedger.over(database, options.random)
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Brings its schema up to date, and does nothing else. */
export async function migratePostgres(url: string, options: PostgresOptions): Promise<MigratedSchema> {
  const { database, before } = await migrated(url, options)
  await database.close()
  return { what: `${what} (schema ${schema})`, before, now: migrations.length }
}

async function migrated(url: string, options: PostgresOptions): Promise<{ readonly database: PostgresDatabase; readonly before: number }> {
  const { random, production, sqlClock } = options
  const clock = sqlClock === undefined ? {} : { clock: sqlClock }
  const database = new PostgresDatabase(postgresAddress(url, 'broker.ledger'), { schema, what, ...clock })
  try {
    if (production === true) await database.transaction(tx => mustBeDurable(tx, what))
    const before = await openSchema(database, {
      schema,
      what,
      steps: migrations,
      first: tx => SqlLedger.name(tx, random),
    })
    return { database, before }
  } catch (error) {
    await database.close()
    throw error
  }
}
