import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BrokerError } from '@keyturn/core'

/** Makes a folder that only its owner may enter, whatever the umask. One that is there and empty becomes so; one that holds something is left as it is. */
export function makePrivateFolder(folder: string): void {
  try {
    makeFolder(folder)
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new BrokerError('unavailable', `folder ${folder} cannot be made (${why})`, {
      hint: 'name a folder that this user may write to',
      cause,
    })
  }
  if (readdirSync(folder).length === 0) chmodSync(folder, 0o700)
}

/** One folder after another: Node's recursive mkdir never comes back where a parent refuses, as /proc does. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return
  makeFolder(dirname(folder))
  mkdirSync(folder, { mode: 0o700 })
}

/** A file that is there whole or not at all, whatever happens, and that only its owner may read. */
export function writePrivate(folder: string, name: string, text: string): void {
  const beside = join(folder, `.${name}.${process.pid}`)
  const file = openSync(beside, 'w', 0o600)
  try {
    writeSync(file, `${text}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(beside, join(folder, name))
  const entry = openSync(folder, 'r')
  try {
    fsyncSync(entry)
  } finally {
    closeSync(entry)
  }
}

/** Refuses a file or folder that others than its owner may read or write. */
export function mustBePrivate(path: string): void {
  const { mode } = statSync(path)
  if ((mode & 0o077) === 0) return
  const wanted = statSync(path).isDirectory() ? '700' : '600'
  throw new BrokerError('precondition_failed', `${path} can be read by others (mode ${(mode & 0o777).toString(8)})`, {
    hint: `chmod ${wanted} ${path}; if somebody may have read it, make new keys`,
  })
}
