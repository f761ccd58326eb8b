import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError, type Clock, type Random } from '@keyturn/core'
import { isKekId, type KekProvider, type KeyringContent, mustBeKekId, parseKek } from '@keyturn/envelope'
import { makePrivateFolder, mustBePrivate, writePrivate } from '../../private-file.ts'
import { destroyFile, writeOnce } from './key-file.ts'
import { shownId } from './shown-id.ts'
import { watchFolder } from './watch-folder.ts'

const suffix = '.key'
const firstId = 'k1'
const keyBytes = 32

export interface FileProviderParts {
  readonly folder: string
  readonly random: Random
  readonly clock: Clock
  /** Nothing was ever closed here: when the folder is absent or empty it is made, with `k1`. */
  readonly make: boolean
}

/**
 * KEKs from a folder, or a mounted one: one `<id>.key` each (43 characters base64url) and `current` with an id. Other keys are taken up while it
 * runs. What others than its owner may read is refused with `precondition_failed`; in a mount of Kubernetes the owner's group may read.
 */
export function fileProvider({ folder, random, clock, make }: FileProviderParts): KekProvider {
  return {
    kind: 'file',
    maxAgeMs: null,
    async load() {
      return { ...fileKeys(folder, { make, random }), missing: [] }
    },
    watch: changed => watchFolder(folder, clock, changed),
    async make(id) {
      mustBeKekId(id)
      if (fileKeys(folder, { make: false, random }).keks.has(id)) throw taken(id)
      const material = Buffer.from(random.bytes(keyBytes))
      try {
        if (!writeOnce(folder, `${id}${suffix}`, material.toString('base64url'))) throw taken(id)
      } finally {
        material.fill(0)
      }
      writePrivate(folder, 'current', id)
    },
    async destroy(id) {
      mustBeKekId(id)
      if (readPrivate(folder, 'current') === id) {
        throw new BrokerError('conflict', `KEK ${id} is the one that ${join(folder, 'current')} names`, {
          hint: 'let another become current first',
        })
      }
      destroyFile(folder, `${id}${suffix}`, size => random.bytes(size))
    },
    async examine() {
      const { keks, current } = fileKeys(folder, { make: false, random })
      return [{ ok: true, what: 'keys', detail: `current ${current}, in ${folder}: ${[...keks.keys()].sort().join(' ')}` }]
    },
    async close() {},
  }
}

/** What the folder holds now. */
export function fileKeys(folder: string, options: { readonly make: boolean; readonly random: Random }): KeyringContent {
  if (options.make) makeFirst(folder, options.random)
  if (!existsSync(folder)) {
    throw new BrokerError('precondition_failed', `the folder of keys ${folder} is missing`, {
      hint: 'put the keys back: what they closed stays unreadable until then',
    })
  }
  if (!isMount(folder)) mustBePrivate(folder)
  const ids = readdirSync(folder)
    .filter(name => name.endsWith(suffix))
    .map(name => name.slice(0, -suffix.length))
  const keks = new Map(ids.map(id => [id, parseKek(mustNameId(folder, id), readPrivate(folder, `${id}${suffix}`))]))
  if (keks.size === 0) {
    throw new BrokerError('precondition_failed', `the folder of keys ${folder} holds none`, {
      hint: 'put the keys back: what they closed stays unreadable until then',
    })
  }
  const current = readPrivate(folder, 'current')
  if (!isKekId(current)) {
    throw new BrokerError('invalid_argument', `${join(folder, 'current')} holds no id of a KEK: ${shownId(current)}`, {
      hint: `write the name of a file there, without ${suffix}`,
    })
  }
  return { keks, current }
}

function makeFirst(folder: string, random: Random): void {
  makePrivateFolder(folder)
  if (readdirSync(folder).length > 0) return
  writePrivate(folder, `${firstId}${suffix}`, Buffer.from(random.bytes(keyBytes)).toString('base64url'))
  writePrivate(folder, 'current', firstId)
}

function mustNameId(folder: string, id: string): string {
  if (isKekId(id)) return id
  throw new BrokerError('invalid_argument', `a file in ${folder} is named after no id of a KEK: ${shownId(id)}`, {
    hint: `an id is 1 to 64 letters, digits, - or _, and is not the key itself; name the file <id>${suffix}`,
  })
}

/** A volume of Kubernetes, whose folder anybody may enter and whose files are links that are swapped as one. */
function isMount(folder: string): boolean {
  return existsSync(join(folder, '..data'))
}

function readPrivate(folder: string, name: string): string {
  const path = join(folder, name)
  if (!existsSync(path)) {
    throw new BrokerError('precondition_failed', `${path} is missing`, { hint: 'put it back from the backup of the keys' })
  }
  // with `fsGroup`, Kubernetes lets the group read whatever `defaultMode` says
  if (!isMount(folder) || (statSync(path).mode & 0o037) !== 0) mustBePrivate(path)
  return readFileSync(path, 'utf8').replace(/\n$/, '')
}

function taken(id: string): BrokerError {
  return new BrokerError('conflict', `KEK ${id} is there already`, { hint: 'take an id that was never used' })
}
