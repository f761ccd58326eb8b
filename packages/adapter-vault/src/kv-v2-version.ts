import { BrokerError, type Etag, type VersionId, type VersionInfo } from '@keyturn/core'
import type { Answer } from './answer.ts'
import { membersOf, parsed } from './json-source.ts'

/** What the server knows of one version. `gone`: its value is not to be had. */
export interface Known {
  readonly version: number
  readonly createdAt: Date
  readonly gone: 'deleted' | 'destroyed' | undefined
}

/** A version as it was read: with the source text of its fields unless it is gone. */
export interface Stored extends Known {
  readonly fields: string | undefined
}

/** Reads the answer about one version. A deleted or destroyed one has metadata and null for its fields. */
export function storedOf(answer: Answer | undefined): Stored {
  const data = membersOf(answer?.member('data') ?? '')
  const fields = data.get('data') ?? 'null'
  const known = knownOf(membersOf(data.get('metadata') ?? ''))
  // a time of deletion ahead takes nothing away yet: what counts is whether the fields came
  return fields === 'null' ? { ...known, gone: known.gone ?? 'deleted', fields: undefined } : { ...known, gone: undefined, fields }
}

/** Reads the metadata of a secret: its versions, newest first. One whose time of deletion is ahead is still there. */
export function versionsOf(answer: Answer | undefined, now: Date): readonly Known[] {
  const versions = membersOf(membersOf(answer?.member('data') ?? '').get('versions') ?? '')
  const all = [...versions].map(([number, source]) => {
    const members = membersOf(source)
    const deletedAt = dateOf(members.get('deletion_time'))
    const known = knownOf(members, Number(number))
    return known.gone === 'deleted' && deletedAt !== undefined && deletedAt > now ? { ...known, gone: undefined } : known
  })
  return all.sort((a, b) => b.version - a.version)
}

/** Reads the metadata of one version, whose number may stand outside. */
export function knownOf(members: ReadonlyMap<string, string>, number = Number(members.get('version'))): Known {
  const createdAt = dateOf(members.get('created_time'))
  if (!Number.isSafeInteger(number) || number < 1 || createdAt === undefined) {
    throw new BrokerError('corrupt', 'vault: the metadata of a version has no number or no time')
  }
  const deleted = dateOf(members.get('deletion_time')) !== undefined
  return { version: number, createdAt, gone: members.get('destroyed') === 'true' ? 'destroyed' : deleted ? 'deleted' : undefined }
}

/** A version as the broker knows it; `current` is the newest number, and the etag of the secret. */
export function infoOf({ version, createdAt, gone }: Known, current: number): VersionInfo {
  const etag = String(current) as Etag
  return { version: String(version) as VersionId, state: stateOf(version, gone, current), createdAt, etag, order: version }
}

/** The number of a version; 0, which none has, for what can be no number. */
export function numberOf(version: VersionId): number {
  return /^[1-9]\d{0,14}$/.test(version) ? Number(version) : 0
}

function stateOf(version: number, gone: Known['gone'], current: number): VersionInfo['state'] {
  if (gone !== undefined) return gone === 'deleted' ? 'disabled' : 'destroyed'
  if (version === current) return 'current'
  return version === current - 1 ? 'previous' : 'older'
}

function dateOf(source: string | undefined): Date | undefined {
  const text = source === undefined ? '' : parsed(source)
  const date = new Date(typeof text === 'string' ? text : '')
  return Number.isNaN(date.getTime()) ? undefined : date
}
