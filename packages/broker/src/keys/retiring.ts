import type { KekRecord } from '@keyturn/ledger'
import { type KekFacts, needsOf } from './kek-facts.ts'
import { activeOf } from './promotion.ts'

/** Whether a KEK may be taken away for good, and if not, what keeps it. */
export interface Safety {
  readonly safe: boolean
  readonly reasons: readonly string[]
}

const words: Readonly<Record<string, string>> = {
  versions: 'versions',
  pending: 'pending values',
  journal: 'values in the journal',
  records: 'records of the broker',
}

/**
 * What still needs a KEK: rows, backups that are kept, brokers that do not use the current one yet, and what began while it was current. What could
 * not be asked may need it.
 */
export function safetyOf(facts: KekFacts, record: KekRecord): Safety {
  const { id, state } = record
  if (state === 'retired' || state === 'destroyed') return { safe: true, reasons: [] }
  const active = activeOf(facts.records)
  if (active === undefined || active.id === id) return { safe: false, reasons: [`KEK ${id} closes new values: promote another one first`] }
  const reasons = [
    ...rowReasons(facts, id),
    ...backupReasons(facts, id),
    ...facts.uses.flatMap(({ part, error }) => (error === undefined ? [] : [`${part} could not be asked: ${error.message}`])),
    ...instanceReasons(facts, id, active.id),
    ...operationReasons(facts, active),
    ...exposure(facts, record),
  ]
  return { safe: reasons.length === 0, reasons }
}

/** Why everything must be encrypted anew, which no re-wrap replaces; empty: it need not. */
export function exposure({ reencrypted }: Pick<KekFacts, 'reencrypted'>, { id, state, stateAt }: KekRecord): readonly string[] {
  if (state !== 'compromised') return []
  if (reencrypted !== null && reencrypted.startedAt >= stateAt) return []
  return [`KEK ${id} is compromised: every value is to be encrypted anew (keyturn kek reencrypt), not only wrapped anew`]
}

function rowReasons(facts: KekFacts, id: string): readonly string[] {
  const { backups: _, ...rows } = needsOf(facts, id)
  return Object.entries(rows)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${words[kind] ?? kind} need it`)
}

function backupReasons({ backups }: KekFacts, id: string): readonly string[] {
  const kept = backups.filter(({ keks }) => (keks[id] ?? 0) > 0).map(backup => backup.id)
  return kept.length === 0 ? [] : [`backups that are kept need it: ${kept.join(', ')}`]
}

function instanceReasons({ live }: KekFacts, id: string, active: string): readonly string[] {
  return live.flatMap(instance => {
    const { loaded, using, wanted } = instance
    return [
      ...(loaded.includes(active) ? [] : [`broker ${instance.id} does not hold the current KEK ${active}`]),
      ...(using === active ? [] : [`broker ${instance.id} still closes new values with ${using}`]),
      ...(wanted === id ? [`broker ${instance.id} has it as the current one in its config`] : []),
    ]
  })
}

function operationReasons({ openOps }: KekFacts, active: KekRecord): readonly string[] {
  return openOps
    .filter(({ kind, started }) => kind !== 'rotate' || started < active.stateAt)
    .map(({ op_id, kind, state }) => `a ${kind} is ${state}${op_id === null ? '' : `: ${op_id}`}`)
}
