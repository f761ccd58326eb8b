import { wrapsHard, wrapsSoft } from '@keyturn/envelope'
import type { KekRecord } from '@keyturn/ledger'

const dayMs = 24 * 3_600_000
/** The longest that one key closes values (NIST SP 800-57 part 1 rev. 5, 5.3.6), whatever the config says. */
const yearMs = 365 * dayMs

/** Why a KEK is to be replaced. */
export interface Due {
  readonly reasons: readonly string[]
  /** It is past what any config may allow. */
  readonly grave: boolean
}

/** How many whole days ago it first became current; null: it never was. */
export function ageDays({ currentSince }: KekRecord, now: Date): number | null {
  return currentSince === null ? null : Math.max(0, Math.floor((now.getTime() - currentSince.getTime()) / dayMs))
}

/** Whether the KEK that closes new values is too old, or was used too often in all databases together. */
export function dueOf(active: KekRecord, wraps: number, now: Date, thresholdMs: number): Due {
  const { id, currentSince } = active
  const ageMs = currentSince === null ? 0 : now.getTime() - currentSince.getTime()
  const days = ageDays(active, now) ?? 0
  const tooOld = ageMs > yearMs
  const old = `KEK ${id} has closed values for ${days} days`
  return {
    grave: tooOld || wraps >= wrapsHard,
    reasons: [
      ...(tooOld
        ? [`${old}; a year is the most for one key`]
        : ageMs >= thresholdMs
          ? [`${old}; the threshold is ${thresholdMs / dayMs}`]
          : []),
      ...(wraps >= wrapsSoft
        ? [`KEK ${id} has closed ${wraps} values; it is to be replaced from ${wrapsSoft} on and closes nothing more from ${wrapsHard} on`]
        : []),
    ],
  }
}
