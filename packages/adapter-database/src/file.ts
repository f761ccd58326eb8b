import { chmodSync, closeSync, fchmodSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Finding } from '@keyturn/core'

const ownerOnly = 0o600

/**
 * Makes the file, empty, 0600, in a folder of 0700 made with it, whatever the umask; both survive a power cut. A file that is there gets
 * its mode back and is never opened: POSIX drops every lock of a process on a file when it closes any descriptor of it, and SQLite's
 * lock may be one of them (https://www.sqlite.org/howtocorrupt.html 2.2).
 */
export function prepareFile(file: string): void {
  makeFolder(dirname(file))
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

/** What is wrong with the modes of the file and its folder. */
export function examineModes(file: string): Finding {
  const what = `modes of ${file}`
  const open = [file, dirname(file)].filter(path => (statSync(path).mode & 0o077) !== 0)
  if (open.length === 0) return { ok: true, what }
  return { ok: false, what, detail: `readable by others: ${open.join(', ')}`, hint: `chmod go-rwx ${open.join(' ')}` }
}

/** Notes which process holds the file, for the error that a second one gets. Returns the end of the note. */
export function noteHolder(file: string): () => void {
  const note = `${file}.pid`
  rmSync(note, { force: true })
  writeFileSync(note, `${process.pid}\n`, { mode: ownerOnly, flag: 'wx' })
  return () => rmSync(note, { force: true })
}

/** The process that holds the file, as far as its note tells. */
export function holderOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(`${file}.pid`, 'utf8'))
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    // the note only makes the error better
    return undefined
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
