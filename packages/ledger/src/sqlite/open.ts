import { join } from 'node:path'
import { BrokerError, type Clock, type Random } from '@keyturn/core'
import { migrate } from '@keyturn/sql'
import { holderOf, noteHolder, prepareFile, SqliteDatabase } from '@keyturn/sql/sqlite'
import type { MigratedSchema } from '../open.ts'
import { SqlLedger } from '../sql/ledger.ts'
import { migrations } from '../sql/migrations.ts'

/**
 * Opens the embedded ledger `<data>/ledger.db`, making what is missing: the folder 0700, the file 0600, whatever the umask. One
 * process at a time: a second one gets `conflict` within a second. A process that died, however it did, holds nothing any more:
 * its leases are free at once, and abandoned.
 */
export async function openSqlite(data: string, clock: Clock, random: Random): Promise<SqlLedger> {
  const { database } = await migrated(data, clock, random)
  try {
    return await SqlLedger.over(database, random)
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Brings its schema up to date; what a process that died held is free then too, as at each opening. */
export async function migrateSqlite(data: string, clock: Clock, random: Random): Promise<MigratedSchema> {
  const { database, before } = await migrated(data, clock, random)
  await database.close()
  return { what: `ledger ${join(data, 'ledger.db')}`, before, now: migrations.length }
}

async function migrated(
  data: string,
  clock: Clock,
  random: Random,
): Promise<{ readonly database: SqliteDatabase; readonly before: number }> {
  const file = join(data, 'ledger.db')
  makeFile(file)
  const database = locked(file, clock)
  try {
    noteHolder(file)
    const before = await database.transaction(async tx => {
      const applied = await migrate(tx, migrations, 'ledger')
      if (applied === 0) await SqlLedger.name(tx, random)
      await tx.change('update ledger set incarnation = incarnation + 1')
      await tx.change('update rotations set lease_until = $1 where lease_until > $1', [tx.now])
      return applied
    })
    return { database, before }
  } catch (error) {
    await database.close()
    throw error
  }
}

function locked(file: string, clock: Clock): SqliteDatabase {
  try {
    return new SqliteDatabase({ file, clock, what: `ledger ${file}` })
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
    const pid = holderOf(file) ?? null
    throw new BrokerError('conflict', `ledger locked: another broker (pid ${pid ?? 'unknown'}) uses ${file}`, {
      hint: 'stop the other broker, or give this one a data folder of its own; several brokers share a ledger on PostgreSQL',
      detail: { file, pid },
      cause: error,
    })
  }
}

/** Makes what is missing. */
function makeFile(file: string): void {
  try {
    prepareFile(file)
  } catch (error) {
    throw new BrokerError('unavailable', `ledger ${file}: the file cannot be made (${codeOf(error)})`, {
      hint: 'the data folder must belong to the user that runs the broker, on a disk with space',
      cause: error,
    })
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown'
}
