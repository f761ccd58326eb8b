import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError, type Random } from '@keyturn/core'
import { type KeyringContent, parseKek } from '@keyturn/envelope'
import { makePrivateFolder, mustBePrivate, writePrivate } from '../private-file.ts'

const suffix = '.key'
const firstId = 'k1'
const keyBytes = 32

/**
 * KEKs from a folder: one `<id>.key` each (43 characters base64url) and `current` with an id. `make: true` makes the folder and `k1` when the
 * folder is absent or empty. What others than its owner may read is refused with `precondition_failed`.
 */
export function fileKeys(folder: string, options: { readonly make: boolean; readonly random: Random }): KeyringContent {
  if (options.make) makeFirst(folder, options.random)
  if (!existsSync(folder)) {
    throw new BrokerError('precondition_failed', `the folder of keys ${folder} is missing`, {
      hint: 'put the keys back: what they closed stays unreadable until then',
    })
  }
  mustBePrivate(folder)
  const ids = readdirSync(folder)
    .filter(name => name.endsWith(suffix))
    .map(name => name.slice(0, -suffix.length))
  const keks = new Map(ids.map(id => [id, parseKek(id, readPrivate(join(folder, `${id}${suffix}`)))]))
  if (keks.size === 0) {
    throw new BrokerError('precondition_failed', `the folder of keys ${folder} holds none`, {
      hint: 'put the keys back: what they closed stays unreadable until then',
    })
  }
  return { keks, current: readPrivate(join(folder, 'current')) }
}

function makeFirst(folder: string, random: Random): void {
  makePrivateFolder(folder)
  if (readdirSync(folder).length > 0) return
  writePrivate(folder, `${firstId}${suffix}`, Buffer.from(random.bytes(keyBytes)).toString('base64url'))
  writePrivate(folder, 'current', firstId)
}

function readPrivate(path: string): string {
  if (!existsSync(path)) {
    throw new BrokerError('precondition_failed', `${path} is missing`, { hint: 'put it back from the backup of the keys' })
  }
  mustBePrivate(path)
  return readFileSync(path, 'utf8').replace(/\n$/, '')
}
