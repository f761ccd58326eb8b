import { BrokerError, type Etag, type SecretId, type SecretVersion, type StorePath, type VersionId, type VersionInfo } from '@keyturn/core'
import type { EnvelopeSealer } from '@keyturn/envelope'
import { nameOf } from './names.ts'
import type { Rows, SecretRow, VersionFacts, VersionRow } from './rows.ts'

/** As much of a secret as its versions need. */
export interface Place {
  readonly id: SecretId
  readonly path: string
  readonly revision: number
}

/** The secret of this path, if it is there and not deleted; otherwise `not_found` with the reason. */
export function find(rows: Rows, path: StorePath): SecretRow {
  const secret = rows.secret(path)
  if (secret === undefined || secret.deleted_at !== null) throw gone(rows, path)
  return secret
}

/** The version of this id, whatever its state; `not_found` when there never was one. */
export function findVersion(rows: Rows, secret: SecretRow, version: VersionId): VersionRow {
  const number = /^[1-9][0-9]{0,14}$/.test(version) ? Number(version) : undefined
  const found = number === undefined ? undefined : rows.version(secret.number, number)
  if (found !== undefined) return found
  throw new BrokerError('not_found', `${secret.path} has no version ${JSON.stringify(version)}`)
}

/** Why nothing can be read at a path: it is no name, was deleted, has only staged versions, or never was. */
export function gone(rows: Rows, path: StorePath): BrokerError {
  nameOf(path)
  const secret = rows.secret(path)
  if (secret === undefined) return new BrokerError('not_found', `no secret at ${path}`)
  if (secret.deleted_at === null) {
    return new BrokerError('not_found', `${path} has no current version`, { hint: 'promote a staged version, or write one' })
  }
  const since = new Date(secret.deleted_at).toISOString()
  return new BrokerError('not_found', `${path} was deleted at ${since}`, { hint: 'restore it; its versions are kept' })
}

/** What is told about a version; never its value. */
export function infoOf(secret: Pick<Place, 'revision'>, version: VersionFacts): VersionInfo {
  return {
    version: String(version.number) as VersionId,
    state: stateOf(version),
    createdAt: new Date(version.created_at),
    etag: etagOf(secret),
    order: version.number,
  }
}

/** One etag for a secret at a time, the revision of what is current. */
export function etagOf({ revision }: Pick<Place, 'revision'>): Etag {
  return `r${revision}` as Etag
}

function stateOf({ kek, disabled, label }: VersionFacts): VersionInfo['state'] {
  if (kek === null) return 'destroyed'
  return disabled === 1 ? 'disabled' : (label ?? 'older')
}

/** The version with its value. `precondition_failed` when it is disabled or destroyed. */
export function unsealed(sealer: EnvelopeSealer, place: Place, row: VersionRow): SecretVersion {
  const { kek, payload, wrap } = row
  if (kek === null || payload === null || wrap === null) {
    throw new BrokerError('precondition_failed', `version ${row.number} of ${place.path} is destroyed`)
  }
  if (row.disabled === 1) {
    throw new BrokerError('precondition_failed', `version ${row.number} of ${place.path} is disabled`, { hint: 'enable it first' })
  }
  const slot = { secretId: place.id, number: row.number, kind: row.kind }
  return { ...infoOf(place, row), value: sealer.open(slot, { kekId: kek, payload, wrap }) }
}
