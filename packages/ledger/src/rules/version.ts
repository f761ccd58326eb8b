import type { LedgerVersion, Revocation, RevocationPatch, RotationId, SecretId, VersionPatch } from '@keyturn/core'
import { broken } from './refusal.ts'

/** A row as it is made: a number and nothing else yet. */
export function blank(secretId: SecretId, number: number, now: Date): LedgerVersion {
  return {
    secretId,
    number,
    version: null,
    label: null,
    status: null,
    fate: null,
    sealed: null,
    sealedAs: null,
    rotation: null,
    createdAt: now,
    supersededAt: null,
    graceUntil: null,
    revokedAt: null,
  }
}

/** The rows that a change makes of a secret's versions: only those it touches. A fate is final, and what has one carries no label. */
export function patchedVersions(
  secretId: SecretId,
  before: readonly LedgerVersion[],
  patches: readonly VersionPatch[],
  now: Date,
): readonly LedgerVersion[] {
  const touched = new Map<number, LedgerVersion>()
  for (const patch of patches) {
    const row = touched.get(patch.number) ?? before.find(version => version.number === patch.number)
    const after: LedgerVersion = { ...(row ?? blank(secretId, patch.number, now)), ...patch }
    if (row !== undefined && row.fate !== null && after.fate !== row.fate) throw broken(`version ${row.number} is ${row.fate} for good`)
    if (after.fate !== null && after.label !== null) throw broken(`version ${after.number} is ${after.fate} and cannot be ${after.label}`)
    if ((after.sealed === null) !== (after.sealedAs === null)) throw broken(`version ${after.number} is half sealed`)
    touched.set(patch.number, after)
  }
  mustBeSingle(before, touched)
  return [...touched.values()]
}

function mustBeSingle(before: readonly LedgerVersion[], touched: ReadonlyMap<number, LedgerVersion>): void {
  const after = [...before.filter(row => !touched.has(row.number)), ...touched.values()]
  for (const label of ['current', 'pending'] as const) {
    const numbers = after.filter(row => row.label === label).map(row => row.number)
    if (numbers.length > 1) throw broken(`versions ${numbers.join(' and ')} would both be ${label}`)
  }
  const primaries = after.filter(row => row.status === 'primary').map(row => row.number)
  if (primaries.length > 1) throw broken(`versions ${primaries.join(' and ')} would both be primary`)
}

/** The revocation rows that a change touches, each of a version that is there. A credential that was revoked is never due again. */
export function patchedRevocations(
  rotation: { readonly id: RotationId; readonly secretId: SecretId },
  before: readonly Revocation[],
  patches: readonly RevocationPatch[],
  versions: readonly LedgerVersion[],
): readonly Revocation[] {
  return patches.map(patch => {
    if (!versions.some(({ number }) => number === patch.number)) throw broken(`there is no version ${patch.number} to revoke`)
    const row = before.find(revocation => revocation.number === patch.number)
    // a rollback cancelled it; a later rotation supersedes the version anew
    if (row === undefined || (row.state === 'cancelled' && row.rotation !== rotation.id)) return madeRevocation(rotation, patch)
    const after = { ...row, ...patch }
    const isFinal = row.state !== 'pending' && row.state !== 'cancelled'
    if (isFinal && (after.state === 'pending' || after.state === 'cancelled'))
      throw broken(`the revocation of version ${row.number} is ${row.state}`)
    return after
  })
}

function madeRevocation(rotation: { readonly id: RotationId; readonly secretId: SecretId }, patch: RevocationPatch): Revocation {
  const { number, dueAt, state } = patch
  if (dueAt === undefined) throw broken(`a revocation of version ${number} needs a due time`)
  return { secretId: rotation.secretId, number, rotation: rotation.id, dueAt, state: state ?? 'pending' }
}
