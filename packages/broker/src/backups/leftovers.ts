import { rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { BrokerError } from '@keyturn/core'
import { unfinishedName } from './bundle-file.ts'
import { keysOf, readBundle, readHeader } from './bundle-reader.ts'
import { type BundlesParts, isBundleName } from './bundles.ts'
import { mustBeWhole } from './renewal.ts'

/** How long a half bundle of another machine is left alone. */
const strangersKeptMs = 24 * 3_600_000

/** Damaged, of a KEK that is not loaded, of another format, or a copy of one that is registered: it stays where it is, and is nobody's. */
const staying: ReadonlySet<string> = new Set(['corrupt', 'unavailable', 'unsupported', 'conflict'])

/** Looks at one file of the folder: a half bundle that nobody is writing is removed, a whole one of this deployment that nobody registered is registered. */
export async function adopt(parts: BundlesParts, name: string, known: ReadonlySet<string>): Promise<void> {
  const file = join(parts.folder, name)
  if (isUnfinished(name)) {
    if (await isLeft(parts, name, file)) await rm(file, { force: true })
    return
  }
  if (!isBundleName(name) || known.has(file)) return
  try {
    await register(parts, file)
  } catch (error) {
    if (!(error instanceof BrokerError) || !staying.has(error.code)) throw error
  }
}

function isUnfinished(name: string): boolean {
  return /^\.bak_[0-9A-HJKMNP-TV-Z]{26}\..+\.\d+$/.test(name)
}

async function isLeft({ clock }: BundlesParts, name: string, file: string): Promise<boolean> {
  const id = name.slice(1, 31)
  const pid = Number(name.slice(name.lastIndexOf('.') + 1))
  const ours = name.startsWith(unfinishedName(id).slice(0, -String(process.pid).length))
  if (ours) return pid === process.pid || !isAlive(pid)
  return clock.now().getTime() - (await stat(file)).mtimeMs > strangersKeptMs
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // another user's process is alive too
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

async function register(parts: BundlesParts, file: string): Promise<void> {
  const header = await readHeader(file)
  if (header.ledger !== parts.ledger.id) return
  const { trailer, bytes, sha256 } = await readBundle(file, keysOf(parts, file, header), mustBeWhole(file))
  if (trailer === null) return
  const keks = Object.fromEntries(trailer.keks.map(({ id, opens }) => [id, opens]))
  const keepUntil = new Date(new Date(header.created).getTime() + parts.keepMs)
  const { id, reason } = header
  await parts.ledger.backups.add({ id, file, host: hostname(), reason, bytes, sha256, versions: trailer.versions, keks, keepUntil })
}
