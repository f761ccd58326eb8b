import { BrokerError, type Random } from '@keyturn/core'
import { SqlLedger } from '../sql/ledger.ts'
import { migrate } from '../sql/migration.ts'
import { text } from '../sql/row.ts'
import type { Transaction } from '../sql/sql.ts'
import { postgresAddress } from './address.ts'
import { PostgresDatabase } from './database.ts'
import { durability, lockMigrations, makeSchema } from './dialect.ts'

/** What opening takes beside the URL. */
export interface PostgresOptions {
  readonly random: Random
  readonly production?: boolean
  /** An SQL expression of milliseconds instead of the server's clock. */
  readonly sqlClock?: string
}

/**
 * Opens the ledger that several brokers share, in the schema `keyturn_ledger`. They may start at the same moment: one migrates, the
 * others wait for it. In production a server that acknowledges commits before they are on disk is refused.
 */
export async function openPostgres(url: string, options: PostgresOptions): Promise<SqlLedger> {
  const database = new PostgresDatabase(postgresAddress(url), options.sqlClock)
  try {
    await database.transaction(async tx => {
      if (options.production === true) await mustBeDurable(tx)
      await tx.rows(lockMigrations)
      await tx.change(makeSchema)
      await migrate(tx, options.random.uuid())
    })
    return await SqlLedger.over(database, options.random)
  } catch (error) {
    await database.close()
    throw error
  }
}

async function mustBeDurable(tx: Transaction): Promise<void> {
  const off = (await tx.rows(durability)).filter(row => text(row, 'setting') === 'off').map(row => text(row, 'name'))
  if (off.length === 0) return
  throw new BrokerError('precondition_failed', `ledger: the server has ${off.join(', ')} off, so an acknowledged commit may be lost`, {
    hint: `set ${off.map(name => `${name} = on`).join(', ')} for this database, or do not call this environment production`,
  })
}
