import { BrokerError, type Etag, type SecretVersion, type StorePath, type VersionId, type VersionInfo } from '@keyturn/core'
import type { EnvelopeSealer } from '@keyturn/envelope'
import { nameOf } from './names.ts'
import type { Place, Reader, Rows, SealedRow, SecretRow, VersionFacts } from './rows.ts'

/** The secret of this path, if it is there and not deleted; otherwise `not_found` with the reason. */
export function mustBeThere(secret: SecretRow | undefined, path: StorePath): SecretRow {
  if (secret === undefined || secret.deletedAt !== null) throw gone(secret, path)
  return secret
}

/** The version of this id, whatever its state; `not_found` when there never was one. */
export async function findVersion(on: Reader, rows: Rows, secret: SecretRow, version: VersionId): Promise<SealedRow> {
  const number = /^[1-9][0-9]{0,14}$/.test(version) ? Number(version) : undefined
  const found = number === undefined ? undefined : await rows.version(on, secret, number)
  if (found !== undefined) return found
  throw new BrokerError('not_found', `${secret.path} has no version ${JSON.stringify(version)}`)
}

/** Why nothing can be read at a path: it is no name, was deleted, has only staged versions, or never was. */
export function gone(secret: SecretRow | undefined, path: StorePath): BrokerError {
  nameOf(path)
  if (secret === undefined) return new BrokerError('not_found', `no secret at ${path}`)
  if (secret.deletedAt === null) {
    return new BrokerError('not_found', `${path} has no current version`, { hint: 'promote a staged version, or write one' })
  }
  const since = new Date(secret.deletedAt).toISOString()
  return new BrokerError('not_found', `${path} was deleted at ${since}`, { hint: 'restore it; its versions are kept' })
}

/** What is told about a version; never its value. */
export function infoOf(secret: Pick<Place, 'revision'>, version: VersionFacts): VersionInfo {
  return {
    version: String(version.number) as VersionId,
    state: stateOf(version),
    createdAt: new Date(version.createdAt),
    etag: etagOf(secret),
    order: version.number,
  }
}

/** One etag for a secret at a time, the revision of what is current. */
export function etagOf({ revision }: Pick<Place, 'revision'>): Etag {
  return `r${revision}` as Etag
}

function stateOf({ kekId, disabled, label }: VersionFacts): VersionInfo['state'] {
  if (kekId === null) return 'destroyed'
  return disabled === 1 ? 'disabled' : (label ?? 'older')
}

/** The version with its value. `precondition_failed` when it is disabled or destroyed. */
export function unsealed(sealer: EnvelopeSealer, secret: Place, row: SealedRow): SecretVersion {
  const { kekId, payload, wrap } = row
  if (kekId === null || payload === null || wrap === null) {
    throw new BrokerError('precondition_failed', `version ${row.number} of ${secret.path} is destroyed`)
  }
  if (row.disabled === 1) {
    throw new BrokerError('precondition_failed', `version ${row.number} of ${secret.path} is disabled`, { hint: 'enable it first' })
  }
  const slot = { secretId: secret.id, number: row.number, kind: row.kind }
  return { ...infoOf(secret, row), value: sealer.open(slot, { kekId, payload, wrap }) }
}
