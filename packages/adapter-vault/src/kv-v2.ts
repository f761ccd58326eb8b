import { BrokerError, type Etag, type SecretVersion, type StoreAdapter, type VersionId, type VersionInfo } from '@keyturn/core'
import type { Answer } from './answer.ts'
import { type ApiError, hasStatus } from './classify.ts'
import { membersOf, parsed } from './json-source.ts'
import { type Kv, misplaced, saysAbsent } from './kv.ts'
import { folderOf, type MountOptions, type Place, pathInV2, placeInV2 } from './names.ts'
import { decodeFields, encodeFields } from './values.ts'

type V2 = Required<Pick<StoreAdapter, 'read' | 'write' | 'list' | 'versions' | 'disable' | 'enable' | 'destroy' | 'delete' | 'restore'>>

/** What the server knows of one version. `gone`: its value is not to be had. */
interface Known {
  readonly version: number
  readonly createdAt: Date
  readonly gone: 'deleted' | 'destroyed' | undefined
}

/** A version as it was read: with its fields unless it is gone. */
interface Stored extends Known {
  readonly fields: string | undefined
}

/**
 * KV v2: numbered versions and compare-and-set. Disabling a version is Vault's soft delete of that version; deleting a secret is the
 * soft delete of its current one. https://openbao.org/api-docs/secret/kv/kv-v2/
 */
export function openV2(kv: Kv, options: MountOptions, now: () => Date): V2 {
  const data = ({ mount, key }: Place) => `${mount}/data/${key}`
  const act = (verb: 'delete' | 'undelete' | 'destroy', { mount, key }: Place, version: number, signal: AbortSignal) =>
    kv.write(`${mount}/${verb}/${key}`, JSON.stringify({ versions: [version] }), signal)

  /** The newest version, gone or not; undefined when the secret never was. */
  const newest = (place: Place, signal: AbortSignal) => stored(data(place), () => kv.read(data(place), signal))

  const present = async (place: Place, signal: AbortSignal): Promise<Stored & { readonly fields: string }> => {
    const found = await newest(place, signal)
    if (found === undefined) throw new BrokerError('not_found', `vault: ${data(place)} does not exist`)
    if (found.fields === undefined) throw taken(place, found)
    return { ...found, fields: found.fields }
  }

  const known = async (place: Place, signal: AbortSignal): Promise<readonly Known[]> => {
    const path = `${place.mount}/metadata/${place.key}`
    try {
      return versionsOf(await kv.read(path, signal), now())
    } catch (error) {
      throw hasStatus(error, 404) ? absence(path, error) : error
    }
  }

  /** A version that may be withheld or ended: it is there and not current, and since numbers only grow it never will be. */
  const notCurrent = async (place: Place, id: VersionId, signal: AbortSignal): Promise<Known> => {
    const all = await known(place, signal)
    const found = all.find(each => each.version === numberOf(id))
    if (found === undefined) throw new BrokerError('not_found', `vault: ${data(place)} has no version ${id}`)
    if (found === all[0]) {
      throw new BrokerError('precondition_failed', `vault: version ${id} of ${data(place)} is the current one`, {
        hint: 'write a new version first',
      })
    }
    return found
  }

  const send = async (place: Place, fields: string, cas: number | undefined, signal: AbortSignal): Promise<VersionInfo> => {
    const condition = cas === undefined ? '' : `"options":{"cas":${cas}},`
    const answer = await kv.write(data(place), `{${condition}"data":${fields}}`, signal)
    const made = knownOf(membersOf(answer?.member('data') ?? ''))
    return infoOf(made, made.version)
  }

  /** Only where nothing is to be read: over a soft-deleted version too, whose number the server still compares with. */
  const create = async (place: Place, fields: string, signal: AbortSignal): Promise<VersionInfo> => {
    try {
      return await send(place, fields, 0, signal)
    } catch (error) {
      const found = isConflict(error) ? await newest(place, signal) : undefined
      if (found?.gone === undefined) throw error
      return send(place, fields, found.version, signal)
    }
  }

  return {
    async read(path, { version, signal }): Promise<SecretVersion> {
      const place = placeInV2(path, options)
      const current = await present(place, signal)
      const number = version === undefined ? current.version : numberOf(version)
      if (number === current.version) return { ...infoOf(current, current.version), value: decodeFields(current.fields) }
      const asked = number === 0 ? undefined : await stored(path, () => kv.read(data(place), signal, `version=${number}`))
      if (asked === undefined) throw new BrokerError('not_found', `vault: ${path} has no version ${version}`)
      if (asked.fields === undefined) throw withheld(path, asked)
      return { ...infoOf(asked, current.version), value: decodeFields(asked.fields) }
    },

    async write(path, value, { ifMatch, signal }) {
      const place = placeInV2(path, options)
      const fields = encodeFields(value)
      try {
        if (ifMatch === undefined) return await send(place, fields, undefined, signal)
        if (ifMatch === null) return await create(place, fields, signal)
        // a soft delete leaves the number that the server compares with, so it is looked for first
        const current = await newest(place, signal)
        if (current === undefined || current.gone !== undefined || String(current.version) !== ifMatch) throw stale(path)
        return await send(place, fields, current.version, signal)
      } catch (error) {
        throw hasStatus(error, 400) && wantsCas(error) ? casRequired(path, error) : hasStatus(error, 404) ? misplaced(path, error) : error
      }
    },

    async *list(prefix, { signal }) {
      signal.throwIfAborted()
      const { mount, folder, start } = folderOf(prefix, options, 2)
      for await (const key of kv.keys(`${mount}/metadata/`, folder, start, signal)) yield pathInV2({ mount, key })
    },

    async *versions(path, { signal }) {
      signal.throwIfAborted()
      const place = placeInV2(path, options)
      const all = await known(place, signal)
      const [current] = all
      if (current?.gone !== undefined) throw taken(place, current)
      for (const each of all) yield infoOf(each, current?.version ?? 0)
    },

    async disable(path, version, { signal }) {
      const place = placeInV2(path, options)
      const { version: number, gone } = await notCurrent(place, version, signal)
      if (gone === undefined) await act('delete', place, number, signal)
    },

    async enable(path, version, { signal }) {
      const place = placeInV2(path, options)
      const found = (await known(place, signal)).find(each => each.version === numberOf(version))
      if (found === undefined || found.gone === 'destroyed') {
        throw new BrokerError(
          'not_found',
          `vault: ${path} has no version ${version}${found === undefined ? '' : ' any more: it was destroyed'}`,
        )
      }
      if (found.gone === 'deleted') await act('undelete', place, found.version, signal)
    },

    async destroy(path, version, { signal }) {
      const place = placeInV2(path, options)
      const { version: number, gone } = await notCurrent(place, version, signal)
      if (gone !== 'destroyed') await act('destroy', place, number, signal)
    },

    async delete(path, { ifMatch, signal }) {
      const place = placeInV2(path, options)
      const current = await newest(place, signal)
      if (ifMatch === undefined) {
        if (current === undefined) throw new BrokerError('not_found', `vault: ${path} does not exist`)
        if (current.gone === undefined) await kv.delete(data(place), signal)
        return
      }
      if (current === undefined || current.gone !== undefined || String(current.version) !== ifMatch) throw stale(path)
      await act('delete', place, current.version, signal)
      // the server compares nothing here: if another version came in between, this one was not the secret any more
      const after = await newest(place, signal)
      if (after?.version === current.version) return
      await act('undelete', place, current.version, signal)
      throw stale(path)
    },

    async restore(path, { signal }) {
      const place = placeInV2(path, options)
      const current = await newest(place, signal)
      if (current === undefined) throw new BrokerError('not_found', `vault: ${path} does not exist`)
      if (current.gone === 'destroyed') throw taken(place, current)
      if (current.gone === 'deleted') await act('undelete', place, current.version, signal)
    },
  }
}

/** Reads one version; a deleted or destroyed one answers 404 with its metadata and no value. */
async function stored(path: string, call: () => Promise<Answer | undefined>): Promise<Stored | undefined> {
  const of = (answer: Answer | undefined): Stored => {
    const data = membersOf(answer?.member('data') ?? '')
    const fields = data.get('data') ?? 'null'
    const version = knownOf(membersOf(data.get('metadata') ?? ''))
    return fields === 'null' ? { ...version, gone: version.gone ?? 'deleted', fields: undefined } : { ...version, gone: undefined, fields }
  }
  try {
    return of(await call())
  } catch (error) {
    if (!hasStatus(error, 404)) throw error
    if (saysAbsent(error)) return undefined
    if (error.response.body.has('data')) return of(error.response.body)
    throw misplaced(path, error)
  }
}

function absence(path: string, error: ApiError): BrokerError {
  return saysAbsent(error) ? new BrokerError('not_found', `vault: ${path} does not exist`) : misplaced(path, error)
}

/** Versions, newest first. One with a time of deletion ahead is still there. */
function versionsOf(answer: Answer | undefined, now: Date): readonly Known[] {
  const versions = membersOf(membersOf(answer?.member('data') ?? '').get('versions') ?? '')
  const all = [...versions].map(([number, source]) => {
    const members = membersOf(source)
    const deletedAt = dateOf(members.get('deletion_time'))
    const known = knownOf(members, Number(number))
    return known.gone === 'deleted' && deletedAt !== undefined && deletedAt > now ? { ...known, gone: undefined } : known
  })
  return all.sort((a, b) => b.version - a.version)
}

function knownOf(members: ReadonlyMap<string, string>, number = Number(members.get('version'))): Known {
  const createdAt = dateOf(members.get('created_time'))
  if (!Number.isSafeInteger(number) || number < 1 || createdAt === undefined) {
    throw new BrokerError('corrupt', 'vault: the metadata of a version has no number or no time')
  }
  const deleted = dateOf(members.get('deletion_time')) !== undefined
  return { version: number, createdAt, gone: members.get('destroyed') === 'true' ? 'destroyed' : deleted ? 'deleted' : undefined }
}

function dateOf(source: string | undefined): Date | undefined {
  const text = source === undefined ? '' : parsed(source)
  const date = new Date(typeof text === 'string' ? text : '')
  return Number.isNaN(date.getTime()) ? undefined : date
}

function infoOf({ version, createdAt, gone }: Known, current: number): VersionInfo {
  const etag = String(current) as Etag
  return { version: String(version) as VersionId, state: stateOf(version, gone, current), createdAt, etag, order: version }
}

function stateOf(version: number, gone: Known['gone'], current: number): VersionInfo['state'] {
  if (gone !== undefined) return gone === 'deleted' ? 'disabled' : 'destroyed'
  if (version === current) return 'current'
  return version === current - 1 ? 'previous' : 'older'
}

/** 0 for what can be no number of a version. */
function numberOf(version: VersionId): number {
  return /^[1-9]\d{0,14}$/.test(version) ? Number(version) : 0
}

function isConflict(error: unknown): boolean {
  return hasStatus(error, 400) && error.response.body.errors.some(text => text.includes('check-and-set parameter did not match'))
}

function wantsCas({ response: { body } }: ApiError): boolean {
  return body.errors.some(text => text.includes('check-and-set parameter required'))
}

function casRequired(path: string, cause: ApiError): BrokerError {
  return new BrokerError('invalid_argument', `vault: ${path} takes no unconditional write: its mount or metadata says cas_required`, {
    hint: 'read the secret first and write with its etag (If-Match)',
    cause,
  })
}

function stale(path: string): BrokerError {
  return new BrokerError('conflict', `vault: ${path} has another current version than expected`, { hint: 'read it again' })
}

function taken({ mount, key }: Place, { gone, version }: Known): BrokerError {
  const hint = gone === 'deleted' ? 'restore it, or write a new version' : 'write a new version'
  return new BrokerError(
    'not_found',
    `vault: ${mount}/data/${key} is ${gone === 'deleted' ? 'soft-deleted' : 'destroyed'} (version ${version})`,
    {
      hint,
      detail: { reason: gone === 'deleted' ? 'soft_deleted' : 'destroyed' },
    },
  )
}

function withheld(path: string, { gone, version }: Known): BrokerError {
  if (gone === 'destroyed') return new BrokerError('not_found', `vault: version ${version} of ${path} was destroyed`)
  return new BrokerError('precondition_failed', `vault: version ${version} of ${path} is disabled`, { hint: 'enable it first' })
}
