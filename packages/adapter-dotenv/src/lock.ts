import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '@keyturn/core'

const pauseMinMs = 1
const pauseMaxMs = 25
const sqliteBusy = 5

/** Takes the lock beside a file, waiting for whoever has it until the signal; the answer lets it go. */
export type TakeLock = (path: string, signal: AbortSignal) => Promise<() => void>

/**
 * A lock between processes that the system takes away from a process that dies: an exclusive transaction on an empty SQLite
 * file, which is a lock of the operating system on it. The file stays behind, empty, and holds nobody up. A lock file whose
 * existence is the lock would outlive a kill.
 */
export function fileLock(clock: Clock): TakeLock {
  return async (path, signal) => {
    for (let pauseMs = pauseMinMs; ; pauseMs = Math.min(pauseMs * 2, pauseMaxMs)) {
      signal.throwIfAborted()
      const release = tryLock(path)
      if (release !== undefined) return release
      await new Promise<void>(resolve => clock.after(pauseMs, resolve))
    }
  }
}

function tryLock(path: string): (() => void) | undefined {
  // no waiting inside SQLite: it would stop the event loop
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
    return () => database.close()
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) return undefined
    throw error
  }
}
