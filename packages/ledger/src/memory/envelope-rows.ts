import type { EnvelopeRow, KekUse, Sealed, SecretId } from '@keyturn/core'
import type { MemoryState } from './state.ts'

/** Where a sealed value is kept. */
export type Kept = 'versions' | 'writes' | 'records'

/** A sealed value in its place. */
export interface HeldEnvelope extends EnvelopeRow {
  readonly kept: Kept
  /** In the order of the keys within its kind. */
  readonly key: string
  readonly part: 'pending' | 'journal' | 'records'
  readonly madeAt: Date | null
}

/** Everything sealed, in the order of a pass. */
export function heldEnvelopes({ versions, writes, sealed }: MemoryState): readonly HeldEnvelope[] {
  const ofVersions = [...versions].flatMap(([secretId, rows]) =>
    [...rows.values()].flatMap((row): readonly HeldEnvelope[] => {
      if (row.sealed === null || row.sealedAs === null) return []
      const part = row.sealedAs === 'pending' ? 'pending' : 'journal'
      const slot = { secretId, number: row.number, kind: row.sealedAs }
      const key = `${secretId} ${String(row.number).padStart(16, '0')}`
      return [{ kept: 'versions', key, part, slot, sealed: row.sealed, madeAt: row.createdAt }]
    }),
  )
  const ofWrites = [...writes].map(([secretId, { intent, begunAt }]): HeldEnvelope => {
    const slot = { secretId, number: intent.number, kind: 'pending' } as const
    return { kept: 'writes', key: secretId, part: 'pending', slot, sealed: intent.next, madeAt: begunAt }
  })
  const ofRecords = [...sealed].map(([name, record]): HeldEnvelope => {
    // a record goes by its name wherever a value goes by its secret
    const slot = { secretId: name as SecretId, number: 1, kind: name === 'root' ? 'root' : 'previous' } as const
    return { kept: 'records', key: name, part: 'records', slot, sealed: record, madeAt: null }
  })
  return [...ofVersions, ...ofWrites, ...ofRecords].sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** How many of them need a KEK, by what they are. */
export function needsOf(rows: readonly HeldEnvelope[], kekId: string): KekUse['needs'] {
  const counts = new Map<string, number>()
  for (const { sealed, part } of rows) if (sealed.kekId === kekId) counts.set(part, (counts.get(part) ?? 0) + 1)
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Puts a new form in the place of a row that is still what was read; whether it was. What is kept is never changed, only replaced. */
export function replaced(state: MemoryState, { kept, slot, sealed }: HeldEnvelope, next: Sealed): boolean {
  const { versions, writes, sealed: records } = state
  const { secretId, number, kind } = slot
  if (kept === 'versions') {
    const row = versions.get(secretId)?.get(number)
    if (row?.sealed !== sealed || row.sealedAs !== kind) return false
    state.putVersions(secretId, [{ ...row, sealed: next }])
  } else if (kept === 'writes') {
    const write = writes.get(secretId)
    if (write?.intent.next !== sealed) return false
    writes.set(secretId, { ...write, intent: { ...write.intent, next } })
  } else {
    if (records.get(secretId) !== sealed) return false
    records.set(secretId, next)
  }
  return true
}
