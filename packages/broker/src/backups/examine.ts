import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '@keyturn/config'
import { BrokerError } from '@keyturn/core'
import { sealingKinds } from '../compose.ts'
import type { NamedFinding } from '../examine.ts'
import { readHeader } from './bundle-reader.ts'
import { isBundleName } from './bundles.ts'

const hourMs = 3_600_000

/**
 * What `doctor` says of the backups on this machine: how old the newest one is, by when it was made, which no renewal changes. An old one, or none, is a
 * remark and no failure. Empty where no sealed store is, or no broker was ever started.
 */
export async function examineBackups({ broker: { data, backups }, stores }: Config, now: Date): Promise<readonly NamedFinding[]> {
  const isSealing = [...stores.values()].some(({ kind }) => sealingKinds.has(kind))
  if (!isSealing || !existsSync(join(data, 'root.json'))) return []
  const what = `backups in ${backups.folder}`
  const hint = 'keyturn backup create; docs/backups.md shows how to have one every day'
  const newest = await newestBundle(backups.folder)
  if (newest === null) return [{ ok: true, what, detail: 'warning: there is none', hint }]
  const hours = Math.max(0, Math.floor((now.getTime() - newest.getTime()) / hourMs))
  if (hours < 24) return [{ ok: true, what, detail: `the newest is ${hours} h old` }]
  return [{ ok: true, what, detail: `warning: the newest is ${Math.floor(hours / 24)} d old`, hint }]
}

/** When the newest bundle in a folder was made, by its first line; null: there is none. What cannot be read counts as none. */
async function newestBundle(folder: string): Promise<Date | null> {
  if (!existsSync(folder)) return null
  let newest: Date | null = null
  for (const name of (await readdir(folder)).filter(isBundleName)) {
    const made = await madeAt(join(folder, name))
    if (made !== null && (newest === null || made > newest)) newest = made
  }
  return newest
}

async function madeAt(file: string): Promise<Date | null> {
  try {
    return new Date((await readHeader(file)).created)
  } catch (error) {
    if (error instanceof BrokerError) return null
    throw error
  }
}
