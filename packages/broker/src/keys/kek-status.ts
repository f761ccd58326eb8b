import type { BrokerError } from '@keyturn/core'
import type { KekRecord } from '@keyturn/ledger'
import { type DamagedValue, damageFindings } from '../campaigns/scrubs.ts'
import { ageDays, dueOf } from './kek-due.ts'
import { type KekFacts, needsOf, wrapsOf } from './kek-facts.ts'
import { kekFindings } from './kek-findings.ts'
import { activeOf, promotion, promotionWord, wished } from './promotion.ts'
import { exposure, safetyOf } from './retiring.ts'
import { sumOf } from './sealed-parts.ts'

/** What a broker adds to the facts that all brokers share. */
export interface Asker {
  readonly wanted: string
  readonly using: string
  readonly loaded: readonly string[]
  readonly thresholdMs: number
  /** Why the keys that its provider gives now were not taken over; null: they were. */
  readonly refusal: string | null
  /** Destroyed KEKs that are still where its keys come from, and why. */
  readonly left: ReadonlyMap<string, BrokerError>
  /** What scrubs found damaged. */
  readonly damaged: readonly DamagedValue[]
}

/** The answer of `GET /admin/v1/secrets/kek-status`. */
export function kekStatus(facts: KekFacts, asker: Asker): object {
  const { now, records, live, openOps } = facts
  const active = activeOf(records)
  const known = records.filter(({ state }) => state !== 'destroyed')
  const stale = known.filter(({ id }) => id !== active?.id)
  const due = dueReasons(facts, asker.thresholdMs)
  const wanted = wished(records, live, asker.wanted)
  return {
    current: active?.id ?? asker.using,
    wanted,
    promotion: promotionWord(promotion(records, live, wanted), live.length),
    loaded: asker.loaded,
    stale_counts: Object.fromEntries(stale.map(({ id }) => [id, sumOf(needsOf(facts, id))])),
    oldest_row: oldestRow(facts, stale),
    instances: live.map(({ id, loaded, wanted, using, seenAt, startedAt, version }) => ({
      id,
      loaded,
      wanted,
      using,
      seen_at: seenAt,
      started_at: startedAt,
      version,
    })),
    open_ops: openOps
      .filter(({ kind, started }) => kind !== 'rotate' || active === undefined || started < active.stateAt)
      .map(({ op_id, kind, state, started }) => ({ op_id, kind, state, started })),
    safe_to_retire: Object.fromEntries(known.map(record => [record.id, safetyOf(facts, record)])),
    refusal: asker.refusal,
    findings: [
      ...damageFindings(asker.damaged),
      ...kekFindings(facts, { ids: asker.loaded, wanted, thresholdMs: asker.thresholdMs, left: asker.left }),
    ],
    due: due.length > 0,
    due_reasons: due,
    unreachable: facts.uses.flatMap(({ part, error }) => (error === undefined ? [] : [{ part, code: error.code, detail: error.message }])),
    keks: Object.fromEntries(
      records.map(record => [
        record.id,
        {
          state: record.state,
          since: record.stateAt,
          age_days: ageDays(record, now),
          wraps: wrapsOf(facts, record.id),
          fingerprint: record.fingerprint,
          needs: needsOf(facts, record.id),
        },
      ]),
    ),
  }
}

/** Why it is time to act: the current KEK is to be replaced, or a compromised one has left its traces. */
export function dueReasons(facts: KekFacts, thresholdMs: number): readonly string[] {
  const active = activeOf(facts.records)
  const own = active === undefined ? [] : dueOf(active, wrapsOf(facts, active.id), facts.now, thresholdMs).reasons
  return [...own, ...facts.records.flatMap(record => exposure(facts, record))]
}

function oldestRow({ uses }: KekFacts, stale: readonly KekRecord[]): { readonly kek: string; readonly created_at: Date } | null {
  const ids = new Set(stale.map(({ id }) => id))
  const rows = uses
    .flatMap(({ keks = [] }) => keks)
    .flatMap(({ id, oldest }) => (oldest === null || !ids.has(id) ? [] : [{ kek: id, created_at: oldest }]))
  return rows.sort((a, b) => a.created_at.getTime() - b.created_at.getTime())[0] ?? null
}
