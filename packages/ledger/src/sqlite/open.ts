import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError, type Clock, type Random } from '@keyturn/core'
import { migrate } from '@keyturn/sql'
import { SqliteDatabase } from '@keyturn/sql/sqlite'
import { SqlLedger } from '../sql/ledger.ts'
import { migrations } from '../sql/migrations.ts'

/**
 * Opens the embedded ledger `<data>/ledger.db`, making what is missing: the folder 0700, the file 0600, whatever the umask. One
 * process at a time: a second one gets `conflict` within a second. A process that died, however it did, holds nothing any more:
 * its leases are free at once, and abandoned.
 */
export async function openSqlite(data: string, clock: Clock, random: Random): Promise<SqlLedger> {
  const file = join(data, 'ledger.db')
  makeFile(data, file)
  const database = locked(file, clock)
  try {
    writePid(file)
    await database.transaction(async tx => {
      if ((await migrate(tx, migrations, 'ledger')) === 0) await SqlLedger.name(tx, random)
      await tx.change('update ledger set incarnation = incarnation + 1')
      await tx.change('update rotations set lease_until = $1 where lease_until > $1', [tx.now])
    })
    return await SqlLedger.over(database, random)
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Whose lock it is, for people only: the lock itself is SQLite's. */
const pidFile = (file: string): string => `${file}.pid`

function locked(file: string, clock: Clock): SqliteDatabase {
  try {
    return new SqliteDatabase({ file, clock, what: `ledger ${file}` })
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
    const pid = pidOf(file)
    throw new BrokerError('conflict', `ledger locked: another broker (pid ${pid ?? 'unknown'}) uses ${file}`, {
      hint: 'stop the other broker, or give this one a data folder of its own; several brokers share a ledger on PostgreSQL',
      detail: { file, pid },
      cause: error,
    })
  }
}

function writePid(file: string): void {
  writeFileSync(pidFile(file), `${process.pid}\n`)
  chmodSync(pidFile(file), 0o600)
}

function pidOf(file: string): number | null {
  const pid = existsSync(pidFile(file)) ? Number.parseInt(readFileSync(pidFile(file), 'utf8'), 10) : Number.NaN
  return Number.isNaN(pid) ? null : pid
}

/**
 * A file that is there is never opened here, nor anywhere but by SQLite: to close any descriptor of it gives up all locks that this
 * process has on it (POSIX; https://sqlite.org/howtocorrupt.html, 2.2).
 */
function makeFile(data: string, file: string): void {
  try {
    const made = mkdirSync(data, { recursive: true, mode: 0o700 })
    if (made !== undefined) chmodSync(data, 0o700)
    makeEmpty(file)
    // SQLite gives its log the mode of the file
    chmodSync(file, 0o600)
    for (const folder of [data, join(data, '..')]) sync(folder)
  } catch (error) {
    throw new BrokerError('unavailable', `ledger ${file}: the file cannot be made (${codeOf(error)})`, {
      hint: 'the data folder must belong to the user that runs the broker, on a disk with space',
      cause: error,
    })
  }
}

function makeEmpty(file: string): void {
  try {
    closeSync(openSync(file, 'ax', 0o600))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

function sync(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown'
}
