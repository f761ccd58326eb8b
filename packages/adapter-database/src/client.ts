import { DatabaseSync } from 'node:sqlite'
import { BrokerError, type Random } from '@keyturn/core'
import { classify, isBusy } from './classify.ts'
import { holderOf, noteHolder, prepareFile } from './file.ts'
import { migrate, mustBeOurs } from './migrations.ts'

/** How long an opening waits for a predecessor that is still closing. It blocks the process. */
const busyMs = 250

/** The file, open, locked and migrated. No other connection can open it, of this process or another, until it is closed. */
export interface Client {
  readonly file: string
  readonly database: DatabaseSync
  /** All of it or nothing, on disk when it returns. */
  transaction<T>(work: () => T): T
  /** Moves the log into the file and empties it, so that what was overwritten is gone from both. */
  checkpoint(): void
  close(): void
}

/**
 * Opens the store's file, making it if it is absent. `precondition_failed` within a second, naming file and process, when it is open
 * elsewhere; the lock dies with its process.
 */
export function openClient(file: string, random: Random): Client {
  try {
    prepareFile(file)
    return openLocked(file, random)
  } catch (error) {
    throw refusalOf(file, error)
  }
}

function openLocked(file: string, random: Random): Client {
  const database = new DatabaseSync(file, { timeout: busyMs, enableForeignKeyConstraints: true })
  try {
    // before the journal mode: a log that is opened exclusively needs no shared memory file
    database.exec('pragma locking_mode = exclusive')
    mustBeOurs(database, file)
    configure(database)
    transaction(database, 'exclusive', () => migrate(database, random))
    const forgetHolder = noteHolder(file)
    return {
      file,
      database,
      transaction: work => transaction(database, 'immediate', work),
      checkpoint: () => database.exec('pragma wal_checkpoint(truncate)'),
      close() {
        if (!database.isOpen) return
        // first the note: as soon as the lock is free, a successor writes its own
        forgetHolder()
        database.close()
      },
    }
  } catch (error) {
    database.close()
    throw error
  }
}

function configure(database: DatabaseSync): void {
  database.exec('pragma journal_mode = wal')
  database.exec('pragma synchronous = full')
  // a destroyed payload leaves zeros, not a free page with its bytes
  database.exec('pragma secure_delete = on')
  database.exec('pragma trusted_schema = off')
  database.exec('pragma cell_size_check = on')
  database.exec('pragma temp_store = memory')
}

function transaction<T>(database: DatabaseSync, mode: 'immediate' | 'exclusive', work: () => T): T {
  database.exec(`begin ${mode}`)
  try {
    const result = work()
    database.exec('commit')
    return result
  } catch (error) {
    // some failures roll back by themselves
    if (database.isTransaction) database.exec('rollback')
    throw error
  }
}

function refusalOf(file: string, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error
  if (isBusy(error)) return inUse(file, error)
  const { code } = classify(error)
  return new BrokerError(code, `${file} cannot be opened (${code})`, {
    hint: code === 'corrupt' ? 'it is damaged or no database: restore it from a backup' : 'look at the file, its folder and the disk',
    detail: { file },
    cause: error,
  })
}

function inUse(file: string, cause: unknown): BrokerError {
  const pid = holderOf(file)
  const holder = pid === undefined ? 'another process' : pid === process.pid ? 'this process' : `process ${pid}`
  return new BrokerError('precondition_failed', `${file} is in use by ${holder}`, {
    hint: 'stop the other broker, or give this one a data folder of its own; several brokers share a ledger on PostgreSQL',
    detail: { file, ...(pid === undefined ? {} : { pid }) },
    cause,
  })
}
