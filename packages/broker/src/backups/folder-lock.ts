import { closeSync, constants, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BrokerError, type Clock } from '@keyturn/core'

const pauseMs = 250
/** https://www.sqlite.org/rescode.html#busy */
const sqliteBusy = 5

/**
 * Does something to the bundles of a folder that one broker of a machine does at a time; the others wait. The lock is the kernel's, on a file that stays
 * behind empty: it ends with its process. Errors: `unavailable` (the folder cannot be written), the reason of `signal` while it waits.
 */
export async function alone<T>(folder: string, clock: Clock, signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  let release = take(folder)
  while (release === undefined) {
    await new Promise<void>(resolve => clock.after(pauseMs, resolve))
    signal.throwIfAborted()
    release = take(folder)
  }
  try {
    return await act()
  } finally {
    release()
  }
}

function take(folder: string): (() => void) | undefined {
  const holder = join(folder, '.renewal.lock')
  let database: DatabaseSync | undefined
  try {
    // made by us, so that its mode is right from the first moment
    closeSync(openSync(holder, constants.O_RDWR | constants.O_CREAT, 0o600))
    // no waiting inside SQLite: it would stop the event loop
    const opened = new DatabaseSync(holder, { timeout: 0 })
    database = opened
    opened.exec('PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE')
    return () => opened.close()
  } catch (cause) {
    database?.close()
    if (cause instanceof Error && 'errcode' in cause && cause.errcode === sqliteBusy) return undefined
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new BrokerError('unavailable', `the folder of backups ${folder} cannot be written (${why})`, { cause })
  }
}
