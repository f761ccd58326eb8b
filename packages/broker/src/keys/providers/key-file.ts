import { closeSync, existsSync, fsyncSync, linkSync, openSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'

/** Writes a file that is there whole or not at all, for its owner alone. False when one of that name is there: it is never replaced. */
export function writeOnce(folder: string, name: string, text: string): boolean {
  const beside = join(folder, `.${name}.${process.pid}`)
  return changing(folder, () => {
    const file = openSync(beside, 'wx', 0o600)
    try {
      writeSync(file, `${text}\n`)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    try {
      // unlike a rename it fails where the name is taken
      linkSync(beside, join(folder, name))
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false
      throw error
    } finally {
      unlinkSync(beside)
      syncFolder(folder)
    }
    return true
  })
}

/**
 * Overwrites a file and takes it away, durably. Absent: nothing is done. A disk that copies on writing, a snapshot or a backup may keep the old
 * bytes all the same.
 */
export function destroyFile(folder: string, name: string, noise: (size: number) => Uint8Array): void {
  const path = join(folder, name)
  if (!existsSync(path)) return
  changing(folder, () => {
    const file = openSync(path, 'r+')
    try {
      writeSync(file, noise(statSync(path).size))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    unlinkSync(path)
    syncFolder(folder)
  })
}

function changing<T>(folder: string, change: () => T): T {
  try {
    return change()
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new BrokerError('precondition_failed', `the folder of keys ${folder} cannot be changed (${why})`, {
      hint: 'change the keys where they are mounted from, or let this process write there',
      cause,
    })
  }
}

function syncFolder(folder: string): void {
  const entry = openSync(folder, 'r')
  try {
    fsyncSync(entry)
  } finally {
    closeSync(entry)
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
