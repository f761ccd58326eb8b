import { readdirSync, statfsSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { NamedFinding } from '@keyturn/broker'
import type { Config } from '@keyturn/config'

/** Below this a broker may not be able to write what it must. */
const freeBytesMin = 64 * 1024 * 1024
const filesMax = 10_000

/** What can be seen of the broker's own files without a key: rights, space, and who holds the ledger. */
export function examineDisk(config: Config, isRunning: boolean, freeBytes = freeBytesAt): readonly NamedFinding[] {
  const { data, ledger } = config.broker
  if (statSync(data, { throwIfNoEntry: false }) === undefined) {
    return [
      {
        ok: isRunning,
        name: 'absent',
        what: `data folder ${data}`,
        detail: 'it does not exist',
        hint: 'keyturn serve makes it at its first start',
      },
    ]
  }
  return [
    ...examineRights(data),
    examineSpace(data, freeBytes(data)),
    ...(ledger === null ? [examineLock(join(data, 'ledger.db'), isRunning)] : []),
  ]
}

function examineRights(data: string): readonly NamedFinding[] {
  const open = filesIn(data).filter(path => (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o077)
  if (open.length === 0) return [{ ok: true, what: `rights in ${data}` }]
  return open.slice(0, 20).map(path => ({
    ok: false,
    name: 'data readable by others',
    what: relative(data, path) || data,
    detail: `its mode is ${(statSync(path).mode & 0o777).toString(8)}`,
    hint: `chmod -R go= ${data}`,
  }))
}

function filesIn(folder: string): readonly string[] {
  const inside = readdirSync(folder, { recursive: true, withFileTypes: true }).slice(0, filesMax)
  return [folder, ...inside.filter(entry => entry.isFile() || entry.isDirectory()).map(entry => join(entry.parentPath, entry.name))]
}

function freeBytesAt(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

function examineSpace(data: string, free: number): NamedFinding {
  const detail = `${Math.floor(free / 1024 / 1024)} MiB free`
  if (free >= freeBytesMin) return { ok: true, what: `disk of ${data}`, detail }
  return {
    ok: false,
    name: 'disk full',
    what: `disk of ${data}`,
    detail,
    hint: 'free space: the broker refuses reads that it cannot record',
  }
}

/** A running broker holds its ledger by SQLite's exclusive lock; anything else that does keeps it from starting. */
function examineLock(path: string, isRunning: boolean): NamedFinding {
  const what = `ledger ${path}`
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return { ok: true, what, detail: 'not made yet' }
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 0 })
    try {
      database.prepare('SELECT count(*) FROM sqlite_schema').get()
    } finally {
      database.close()
    }
    return { ok: true, what, detail: 'free' }
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
    if (sqliteDamaged.includes(code))
      return { ok: false, code: 'corrupt', what, detail: 'SQLite cannot read it', hint: 'restore it from a backup' }
    // a full disk, a right that is missing, a disk that fails: none of them says that the file is damaged
    if (code !== sqliteBusy)
      return {
        ok: false,
        code: 'unavailable',
        what,
        detail: `it cannot be opened (SQLite ${code})`,
        hint: 'look at the disk and the rights first; the file may be whole',
      }
    if (isRunning) return { ok: true, what, detail: 'held by the running broker' }
    return {
      ok: false,
      name: 'ledger locked',
      what,
      detail: 'another process holds it, and no broker answers',
      hint: `find it with fuser ${path}, and end it`,
    }
  }
}

/** Result codes: https://www.sqlite.org/rescode.html */
const sqliteBusy = 5
const sqliteDamaged = [11, 26]
