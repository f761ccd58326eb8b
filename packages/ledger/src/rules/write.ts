import type { LedgerVersion, VersionId } from '@keyturn/core'
import type { PendingWrite, WriteIntent } from '../ledger.ts'
import { blank } from './version.ts'

/** What became of a write through the broker, as the store told it. */
export type WriteOutcome = { readonly version: VersionId; readonly graceUntil: Date | null; readonly nextRotationAt: Date | null }

/** How long a write may go unfinished before another broker settles it: longer than any request may take. */
export const writeSettlesAfterMs = 60_000

/** The ledger's row of the version that a write supersedes: the newest one of that id that still counts. Ids made of content come back. */
export function supersededRow(versions: readonly LedgerVersion[], version: VersionId): LedgerVersion | undefined {
  return versions.filter(row => row.version === version && row.fate === null).sort((a, b) => b.number - a.number)[0]
}

/** The superseded version's row once its value is kept. Unknown to the ledger so far: it is current unless another row says so. */
export function keptRow(
  superseded: NonNullable<PendingWrite['superseded']>,
  number: number,
  secretId: LedgerVersion['secretId'],
  versions: readonly LedgerVersion[],
  now: Date,
): LedgerVersion {
  const known = versions.find(row => row.number === number)
  const label = versions.some(row => row.label === 'current') ? null : 'current'
  const row = known ?? { ...blank(secretId, number, now), version: superseded.version, label }
  return { ...row, sealed: superseded.seal(number), sealedAs: 'previous' }
}

/** The rows that a write changes when the store made a version: it becomes current, and whatever was current is superseded. */
export function writtenRows(
  intent: WriteIntent,
  made: WriteOutcome,
  versions: readonly LedgerVersion[],
  now: Date,
): readonly LedgerVersion[] {
  const superseded = versions.find(row => row.number === intent.superseded?.number && row.fate === null)
  // an id made of content, and the same content: nothing was superseded
  const same = superseded?.version === made.version ? superseded : undefined
  const former = versions.filter(row => row !== same && (row === superseded || row.label === 'current'))
  const status = versions.some(row => row.status === 'primary') ? 'primary' : null
  const current: LedgerVersion =
    same === undefined
      ? { ...blank(intent.secretId, intent.number, now), version: made.version, label: 'current', status }
      : { ...same, label: 'current', supersededAt: null, graceUntil: null }
  // what was written behind the broker's back was promised to nobody
  return [...former.map(row => supersede(row, row === superseded ? made.graceUntil : null, now)), current]
}

function supersede(row: LedgerVersion, graceUntil: Date | null, now: Date): LedgerVersion {
  const status = row.status === 'primary' ? 'active' : row.status
  return { ...row, label: graceUntil === null ? null : 'previous', status, supersededAt: now, graceUntil }
}

/** Whether a write that is not open any more ended with this outcome. */
export function endedSo(intent: WriteIntent, made: WriteOutcome | null, versions: readonly LedgerVersion[]): boolean {
  const row = versions.find(version => version.number === intent.number)
  if (made === null) return row === undefined
  return row?.version === made.version || made.version === intent.superseded?.version
}
