import type { Instance, KekRecord } from '@keyturn/ledger'

/** Whether the KEK that a broker wants closes new values, is about to, or has to wait. */
export type Promotion =
  | { readonly kind: 'done' }
  | { readonly kind: 'ready'; readonly from: string | null; readonly to: string }
  /** So many of the live brokers hold it, or, of one that was current before, want it. */
  | { readonly kind: 'waiting'; readonly ready: number }
  /** It may close nothing any more. */
  | { readonly kind: 'refused'; readonly why: string }

/** The KEK that closes new values in the whole deployment; undefined before the first promotion. */
export function activeOf(records: readonly KekRecord[]): KekRecord | undefined {
  return records.find(({ state }) => state === 'active')
}

/**
 * What becomes of the KEK that a broker wants. One that never was current takes over when every live broker holds it, so that nobody meets a row
 * that it cannot read. The way back to an earlier one needs all to want it: else brokers that were not restarted yet would undo each promotion.
 */
export function promotion(records: readonly KekRecord[], live: readonly Instance[], wanted: string): Promotion {
  const active = activeOf(records)
  if (active?.id === wanted) return { kind: 'done' }
  const record = records.find(({ id }) => id === wanted)
  const why = record === undefined ? `KEK ${wanted} is not in the register` : unfit(record)
  if (record === undefined || why !== undefined) return { kind: 'refused', why: why ?? '' }
  const ready = live.filter(instance => agrees(record, instance)).length
  if (!allows(record, live)) return { kind: 'waiting', ready }
  return { kind: 'ready', from: active?.id ?? null, to: wanted }
}

/**
 * The KEK that the deployment is to go to, as any of its brokers sees it: what this one wants, or else the new KEK that a broker which was started
 * since wants. Behind one address the answer must not depend on who gives it.
 */
export function wished(records: readonly KekRecord[], live: readonly Instance[], own: string): string {
  if (activeOf(records)?.id !== own) return own
  const isNew = (id: string) => records.some(record => record.id === id && record.currentSince === null && unfit(record) === undefined)
  const asking = live.filter(({ wanted }) => isNew(wanted)).sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime())
  return asking[0]?.wanted ?? own
}

/** Whether the brokers that are live let it become current. */
export function allows(record: KekRecord, live: readonly Instance[]): boolean {
  return live.every(instance => agrees(record, instance))
}

/** Why it may close nothing any more; undefined: it may. */
export function unfit({ id, state, stateAt }: KekRecord): string | undefined {
  if (state !== 'compromised' && state !== 'retired' && state !== 'destroyed') return undefined
  return `KEK ${id} is ${state} since ${stateAt.toISOString()} and closes nothing any more`
}

function agrees(record: KekRecord, { loaded, wanted }: Instance): boolean {
  return loaded.includes(record.id) && (record.currentSince === null || wanted === record.id)
}

/** As `kek-status` says it. */
export function promotionWord(promotion: Promotion, live: number): string {
  if (promotion.kind === 'done') return 'done'
  const ready = promotion.kind === 'waiting' ? promotion.ready : promotion.kind === 'ready' ? live : 0
  return `waiting ${ready}/${live}`
}
