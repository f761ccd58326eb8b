import type { Campaign, Instance, KekRecord } from '@keyturn/ledger'
import { activeOf } from '../keys/promotion.ts'

/** What is known of the KEKs of the deployment when a campaign is looked at. */
export interface Situation {
  readonly records: readonly KekRecord[]
  readonly live: readonly Instance[]
  /** What this process closes new values with, and what its config calls current. */
  readonly own: { readonly currentId: string; readonly wanted: string }
}

/** The KEK that closes new values in the whole deployment. */
export function currentOf({ records, own }: Situation): string {
  return activeOf(records)?.id ?? own.currentId
}

/**
 * The KEK that a campaign which begins now leads to: the one that a broker, the one started last before others, wants and that waits to become current
 * for the first time; or the one that all want back; else the current one. An old broker that still wants the old one does not turn it round.
 */
export function targetOf(situation: Situation): string {
  const { records, live, own } = situation
  const current = currentOf(situation)
  const youngest = [...live].sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime())
  const wishes = [...youngest.map(({ wanted }) => wanted), own.wanted]
  const waiting = wishes.find(wanted => wanted !== current && records.some(({ id, state }) => id === wanted && state === 'pre-active'))
  if (waiting !== undefined) return waiting
  const [first = current] = wishes
  const fit = records.some(({ id, state }) => id === first && state === 'deactivated')
  return fit && wishes.every(wanted => wanted === first) ? first : current
}

/**
 * Why a campaign cannot begin yet; null: it can. It begins when every live broker closes new values with its KEK: what one of them closed under another
 * one later would be behind the place where the pass is.
 */
export function hindrance({ kekId }: Pick<Campaign, 'kekId'>, situation: Situation): string | null {
  if (kekId === null) return null
  if (currentOf(situation) !== kekId) return `KEK ${kekId} is not current yet`
  const late = situation.live.filter(({ using }) => using !== kekId).map(({ id }) => id)
  return late.length === 0 ? null : `KEK ${kekId} is not yet in use by every broker: ${late.join(', ')}`
}
