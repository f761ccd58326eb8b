import { BrokerError, type SecretVersion, type StoreAdapter, type VersionInfo } from '@keyturn/core'
import { type ApiError, hasStatus } from './classify.ts'
import { type Kv, misplaced } from './kv.ts'
import { absent, KvV2Calls, stale, taken } from './kv-v2-calls.ts'
import { infoOf, type Known, numberOf } from './kv-v2-version.ts'
import { MountKinds } from './mount.ts'
import { folderOf, type MountOptions, type Place, pathInV2, placeInV2 } from './names.ts'
import { decodeFields, encodeFields } from './values.ts'

type Basics = Pick<StoreAdapter, 'read' | 'write' | 'list'>
type Versions = Required<Pick<StoreAdapter, 'versions' | 'disable' | 'enable' | 'destroy'>>
type Whole = Required<Pick<StoreAdapter, 'delete' | 'restore'>>

/**
 * KV v2: numbered versions and compare-and-set. Disabling a version is Vault's soft delete of that version; deleting a secret is the
 * soft delete of its current one.
 */
export function openV2(kv: Kv, options: MountOptions, now: () => Date): Basics & Versions & Whole {
  const calls = new KvV2Calls(kv, now)
  const placed = (path: string) => placeInV2(path, options)
  return { ...basics(calls, placed, options), ...versions(calls, placed), ...whole(calls, placed) }
}

type Placed = (path: string) => Place

function basics(calls: KvV2Calls, placed: Placed, options: MountOptions): Basics {
  const kinds = new MountKinds(calls.kv, 2)
  return {
    async read(path, { version, signal }): Promise<SecretVersion> {
      const place = placed(path)
      // the etag and the state of any version follow from the current one, and a deleted secret shows none
      const current = await calls.present(place, signal)
      const number = version === undefined ? current.version : numberOf(version)
      if (number === current.version) return { ...infoOf(current, current.version), value: decodeFields(current.fields) }
      const asked = number === 0 ? undefined : await calls.find(place, signal, number)
      if (asked === undefined) throw new BrokerError('not_found', `vault: ${path} has no version ${version}`)
      if (asked.fields === undefined) throw withheld(path, asked)
      return { ...infoOf(asked, current.version), value: decodeFields(asked.fields) }
    },

    async write(path, value, { ifMatch, signal }) {
      const place = placed(path)
      const fields = encodeFields(value)
      await kinds.assure(place.mount, path, signal)
      try {
        if (ifMatch === undefined) return await calls.add(place, fields, undefined, signal)
        if (ifMatch === null) return await create(calls, place, fields, signal)
        return await calls.add(place, fields, (await calls.expected(place, ifMatch, signal)).version, signal)
      } catch (error) {
        if (hasStatus(error, 404)) throw misplaced(path, error)
        throw says(error, 'check-and-set parameter required') ? casRequired(path, error) : error
      }
    },

    async *list(prefix, { signal }) {
      signal.throwIfAborted()
      const { mount, folder, start } = folderOf(prefix, options, 2)
      for await (const key of calls.kv.keys(`${mount}/metadata/`, folder, start, signal)) yield pathInV2({ mount, key })
    },
  }
}

function versions(calls: KvV2Calls, placed: Placed): Versions {
  return {
    async *versions(path, { signal }) {
      signal.throwIfAborted()
      const place = placed(path)
      const all = await calls.known(place, signal)
      const [current] = all
      if (current?.gone !== undefined) throw taken(place, current)
      for (const each of all) yield infoOf(each, current?.version ?? 0)
    },

    async disable(path, version, { signal }) {
      const place = placed(path)
      const { version: number, gone } = await calls.notCurrent(place, version, signal)
      if (gone === undefined) await calls.act('delete', place, number, signal)
    },

    async enable(path, version, { signal }) {
      const place = placed(path)
      const found = (await calls.known(place, signal)).find(each => each.version === numberOf(version))
      if (found === undefined) throw new BrokerError('not_found', `vault: ${path} has no version ${version}`)
      if (found.gone === 'destroyed') throw withheld(path, found)
      if (found.gone === 'deleted') await calls.act('undelete', place, found.version, signal)
    },

    async destroy(path, version, { signal }) {
      const place = placed(path)
      const { version: number, gone } = await calls.notCurrent(place, version, signal)
      if (gone !== 'destroyed') await calls.act('destroy', place, number, signal)
    },
  }
}

function whole(calls: KvV2Calls, placed: Placed): Whole {
  return {
    async delete(path, { ifMatch, signal }) {
      const place = placed(path)
      if (ifMatch === null) throw stale(place)
      if (ifMatch === undefined) {
        const current = await calls.find(place, signal)
        if (current === undefined) throw absent(place)
        if (current.gone === undefined) await calls.kv.delete(pathInV2(place), signal)
        return
      }
      const { version } = await calls.expected(place, ifMatch, signal)
      await calls.act('delete', place, version, signal)
      // the server compares nothing here: if another version came in between, this one was not the secret any more
      if ((await calls.find(place, signal))?.version === version) return
      await calls.act('undelete', place, version, signal)
      throw stale(place)
    },

    async restore(path, { signal }) {
      const place = placed(path)
      const current = await calls.find(place, signal)
      if (current === undefined) throw absent(place)
      if (current.gone === 'destroyed') throw taken(place, current)
      if (current.gone === 'deleted') await calls.act('undelete', place, current.version, signal)
    },
  }
}

/** Only where nothing is to be read: over a soft-deleted version too, whose number the server still compares with. */
async function create(calls: KvV2Calls, place: Place, fields: string, signal: AbortSignal): Promise<VersionInfo> {
  try {
    return await calls.add(place, fields, 0, signal)
  } catch (error) {
    if (!says(error, 'check-and-set parameter did not match')) throw error
    const found = await calls.find(place, signal)
    if (found?.gone === undefined) throw error
    return calls.add(place, fields, found.version, signal)
  }
}

function says(error: unknown, text: string): error is ApiError {
  return hasStatus(error, 400) && error.response.body.errors.some(each => each.includes(text))
}

function casRequired(path: string, cause: ApiError): BrokerError {
  return new BrokerError('invalid_argument', `vault: ${path} takes no unconditional write: its mount or metadata says cas_required`, {
    hint: 'read the secret first and write with its etag (If-Match)',
    cause,
  })
}

/** An earlier version without its value. */
function withheld(path: string, { gone, version }: Known): BrokerError {
  if (gone === 'destroyed') return new BrokerError('not_found', `vault: version ${version} of ${path} was destroyed`)
  return new BrokerError('precondition_failed', `vault: version ${version} of ${path} is disabled`, { hint: 'enable it first' })
}
