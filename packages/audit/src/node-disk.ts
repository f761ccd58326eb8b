import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BrokerError } from '@keyturn/core'
import type { AuditDisk, AuditFile } from './disk.ts'

/** https://www.sqlite.org/rescode.html#busy */
const sqliteBusy = 5

/** The file system of this machine. */
export const nodeDisk: AuditDisk = {
  open(path) {
    const isNew = !fs.existsSync(path)
    makeFolder(dirname(path))
    const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_APPEND | fs.constants.O_CREAT, 0o600)
    try {
      fs.fchmodSync(fd, 0o600)
      if (isNew) syncFolder(dirname(path))
      return openedFile(fd)
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  },

  look(path) {
    const stat = fs.statSync(path, { throwIfNoEntry: false })
    return stat === undefined ? undefined : { id: `${stat.dev}:${stat.ino}`, size: stat.size }
  },

  lock(path) {
    makeFolder(dirname(path))
    const holder = `${path}.lock`
    // made by us, so that an error is the system's own and the mode is right from the first moment
    fs.closeSync(fs.openSync(holder, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600))
    // SQLite's exclusive lock is the kernel's: it ends with its process, and shuts out a second one of the same process too
    const database = new DatabaseSync(holder, { timeout: 0 })
    try {
      database.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE')
    } catch (cause) {
      database.close()
      if (!isBusy(cause)) throw cause
      throw new BrokerError('conflict', `the audit file ${path} is in use by another broker`, {
        hint: 'give each broker its own audit.file, or stop the other one',
        cause,
      })
    }
    return () => database.close()
  },

  replace(path, content) {
    makeFolder(dirname(path))
    const draft = `${path}.new`
    const fd = fs.openSync(draft, 'w', 0o600)
    try {
      fs.writeFileSync(fd, content)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(draft, path)
    syncFolder(dirname(path))
  },

  text(path) {
    return fs.existsSync(path) ? fs.readFileSync(path, 'utf8') : undefined
  },

  rotated(path) {
    const name = basename(path)
    const ours = fs.readdirSync(dirname(path)).filter(other => /^[.-]\d[\d-]*$/.test(other.slice(name.length)) && other.startsWith(name))
    const dated = ours.map(other => ({ path: join(dirname(path), other), at: fs.statSync(join(dirname(path), other)).mtimeMs }))
    return dated.sort((a, b) => b.at - a.at).map(file => file.path)
  },
}

function openedFile(fd: number): AuditFile {
  const { dev, ino } = fs.fstatSync(fd)
  return {
    id: `${dev}:${ino}`,
    size: () => fs.fstatSync(fd).size,
    append(text) {
      const bytes = Buffer.from(text)
      for (let written = 0; written < bytes.length; ) written += fs.writeSync(fd, bytes, written)
    },
    sync: done => fs.fdatasync(fd, done),
    isNamed: () => fs.fstatSync(fd).nlink > 0,
    truncate: size => fs.ftruncateSync(fd, size),
    read(offset, length) {
      const bytes = Buffer.alloc(length)
      let have = 0
      for (let got = -1; got !== 0 && have < length; have += got) got = fs.readSync(fd, bytes, have, length - have, offset + have)
      return bytes.subarray(0, have)
    },
    close: () => fs.closeSync(fd),
  }
}

/** Makes what is missing, 0700; a folder that was there keeps the mode its owner gave it. */
function makeFolder(folder: string): void {
  if (fs.existsSync(folder)) return
  makeFolder(dirname(folder))
  fs.mkdirSync(folder)
  fs.chmodSync(folder, 0o700)
  syncFolder(dirname(folder))
}

function syncFolder(folder: string): void {
  const fd = fs.openSync(folder, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy
}
