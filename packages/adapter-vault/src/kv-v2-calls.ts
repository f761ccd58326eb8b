import { BrokerError, type Etag, type VersionId, type VersionInfo } from '@keyturn/core'
import { hasStatus } from './classify.ts'
import { membersOf } from './json-source.ts'
import { type Kv, misplaced, saysAbsent } from './kv.ts'
import { infoOf, type Known, knownOf, numberOf, type Stored, storedOf, versionsOf } from './kv-v2-version.ts'
import { type Place, pathInV2 } from './names.ts'

/** The requests of KV v2, with what their answers mean. https://openbao.org/api-docs/secret/kv/kv-v2/ */
export class KvV2Calls {
  readonly kv: Kv
  readonly #now: () => Date

  constructor(kv: Kv, now: () => Date) {
    this.kv = kv
    this.#now = now
  }

  /** The newest version, gone or not, or the one asked for; undefined when there is none. */
  async find(place: Place, signal: AbortSignal, version?: number): Promise<Stored | undefined> {
    const path = pathInV2(place)
    try {
      return storedOf(await this.kv.read(path, signal, version === undefined ? undefined : `version=${version}`))
    } catch (error) {
      if (!hasStatus(error, 404)) throw error
      if (saysAbsent(error)) return undefined
      // a version that is gone answers 404 with its metadata
      if (error.response.body.has('data')) return storedOf(error.response.body)
      throw misplaced(path, error)
    }
  }

  /** The current version with its fields; `not_found` when the secret is not there, or taken away. */
  async present(place: Place, signal: AbortSignal): Promise<Known & { readonly fields: string }> {
    const found = await this.find(place, signal)
    if (found === undefined) throw absent(place)
    if (found.fields === undefined) throw taken(place, found)
    return { ...found, fields: found.fields }
  }

  /** The newest version, which must be there, live, and the one expected; else `conflict`. */
  async expected(place: Place, ifMatch: Etag, signal: AbortSignal): Promise<Known> {
    const found = await this.find(place, signal)
    // a soft delete leaves the number that the server compares with, so that the server would not notice it
    if (found === undefined || found.gone !== undefined || String(found.version) !== ifMatch) throw stale(place)
    return found
  }

  /** All versions, newest first. */
  async known(place: Place, signal: AbortSignal): Promise<readonly Known[]> {
    const path = `${place.mount}/metadata/${place.key}`
    try {
      return versionsOf(await this.kv.read(path, signal), this.#now())
    } catch (error) {
      if (!hasStatus(error, 404)) throw error
      throw saysAbsent(error) ? absent(place) : misplaced(path, error)
    }
  }

  /** A version that may be withheld or ended: it is there and not current, and since numbers only grow it never will be. */
  async notCurrent(place: Place, id: VersionId, signal: AbortSignal): Promise<Known> {
    const all = await this.known(place, signal)
    const found = all.find(each => each.version === numberOf(id))
    if (found === undefined) throw new BrokerError('not_found', `vault: ${pathInV2(place)} has no version ${id}`)
    if (found !== all[0]) return found
    const message = `vault: version ${id} of ${pathInV2(place)} is the current one`
    throw new BrokerError('precondition_failed', message, { hint: 'write a new version first' })
  }

  /** Adds a version; with `cas` only after that one, 0 for none. */
  async add(place: Place, fields: string, cas: number | undefined, signal: AbortSignal): Promise<VersionInfo> {
    const condition = cas === undefined ? '' : `"options":{"cas":${cas}},`
    const answer = await this.kv.write(pathInV2(place), `{${condition}"data":${fields}}`, signal)
    const made = knownOf(membersOf(answer?.member('data') ?? ''))
    return infoOf(made, made.version)
  }

  async act(verb: 'delete' | 'undelete' | 'destroy', { mount, key }: Place, version: number, signal: AbortSignal): Promise<void> {
    await this.kv.write(`${mount}/${verb}/${key}`, JSON.stringify({ versions: [version] }), signal)
  }
}

/** Never written, or its metadata are gone. */
export function absent(place: Place): BrokerError {
  return new BrokerError('not_found', `vault: ${pathInV2(place)} does not exist`)
}

/** Somebody else was first. */
export function stale(place: Place): BrokerError {
  return new BrokerError('conflict', `vault: ${pathInV2(place)} has another current version than expected`, { hint: 'read it again' })
}

/** A secret whose current version is gone. */
export function taken(place: Place, { gone, version }: Known): BrokerError {
  const deleted = gone === 'deleted'
  return new BrokerError('not_found', `vault: ${pathInV2(place)} is ${deleted ? 'soft-deleted' : 'destroyed'} (version ${version})`, {
    hint: deleted ? 'restore it, or write a new version' : 'write a new version',
    detail: { reason: deleted ? 'soft_deleted' : 'destroyed' },
  })
}
