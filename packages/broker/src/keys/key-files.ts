import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError, type Random } from '@keyturn/core'
import { mustBeKekId } from '@keyturn/envelope'
import { makePrivateFolder, mustBePrivate, writePrivate } from '../private-file.ts'
import { pooledRandom } from '../random.ts'
import { fileKeys } from './providers/file.ts'
import { writeOnce } from './providers/key-file.ts'

const keyBytes = 32

/** Makes a KEK in the folder of a `file` provider, without calling it current; answers with its file. `conflict` when the id is taken: a key is never replaced. */
export function makeKeyFile(folder: string, id: string, random: Random = pooledRandom()): string {
  mustBeKekId(id)
  mustNotBeMount(folder)
  makePrivateFolder(folder)
  mustBePrivate(folder)
  const material = Buffer.from(random.bytes(keyBytes))
  try {
    if (writeOnce(folder, `${id}.key`, material.toString('base64url'))) return join(folder, `${id}.key`)
  } finally {
    material.fill(0)
  }
  throw new BrokerError('conflict', `${join(folder, `${id}.key`)} is there already`, { hint: 'take an id that was never used' })
}

/** Calls a KEK of the folder current. Everything in the folder is read first, as a broker reads it: what it would refuse is refused here. */
export function promoteKeyFile(folder: string, id: string, random: Random = pooledRandom()): void {
  mustBeKekId(id)
  mustNotBeMount(folder)
  if (!existsSync(join(folder, `${id}.key`))) {
    throw new BrokerError('not_found', `${join(folder, `${id}.key`)} is not there`, { hint: `make it first: keyturn kek new ${id}` })
  }
  // a folder whose first key was just made has no current one yet
  if (existsSync(join(folder, 'current'))) fileKeys(folder, { make: false, random })
  writePrivate(folder, 'current', id)
}

function mustNotBeMount(folder: string): void {
  if (!existsSync(join(folder, '..data'))) return
  throw new BrokerError('precondition_failed', `${folder} is a volume of Kubernetes, which is written through its Secret`, {
    hint: 'print a key with keyturn kek new ID --out -, and put it and `current` into the Secret',
  })
}
