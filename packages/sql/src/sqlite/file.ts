import { chmodSync, closeSync, fchmodSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

const ownerOnly = 0o600

/**
 * Makes the file, empty, 0600, in a folder of 0700 made with it, whatever the umask; both survive a power cut. A file that is there gets
 * its mode back and is never opened: POSIX drops every lock of a process on a file when it closes any descriptor of it, and SQLite's
 * lock may be one of them (https://www.sqlite.org/howtocorrupt.html 2.2). Throws what the file system throws.
 */
export function prepareFile(file: string): void {
  makeFolder(dirname(file))
  // SQLite gives its log the mode of the file
  if (!makeEmpty(file)) chmodSync(file, ownerOnly)
}

function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  chmodSync(folder, 0o700)
  for (let made = folder; made !== dirname(first); made = dirname(made)) syncFolder(dirname(made))
}

function makeEmpty(file: string): boolean {
  let descriptor: number
  try {
    descriptor = openSync(file, 'wx', ownerOnly)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
  try {
    fchmodSync(descriptor, ownerOnly)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  syncFolder(dirname(file))
  return true
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

const noteOf = (file: string): string => `${file}.pid`

/** Notes which process holds the file, for the error that a second one gets: the lock itself is SQLite's. Returns the end of the note. */
export function noteHolder(file: string): () => void {
  const note = noteOf(file)
  rmSync(note, { force: true })
  writeFileSync(note, `${process.pid}\n`, { mode: ownerOnly, flag: 'wx' })
  // a mask may have taken the owner's own right to read it
  chmodSync(note, ownerOnly)
  return () => rmSync(note, { force: true })
}

/** The process that holds the file, as far as its note tells. */
export function holderOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(noteOf(file), 'utf8'))
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    // the note only makes the error better
    return undefined
  }
}
