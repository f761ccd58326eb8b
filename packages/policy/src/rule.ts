import type { Position } from './input.ts'
import type { NamePattern } from './name-pattern.ts'
import type { Action, Decision } from './policy.ts'

/** One rule, checked. A condition that was left out is null, and holds. */
export interface Rule {
  readonly role: string
  readonly effect: 'allow' | 'deny'
  readonly at: Position
  readonly types: readonly string[] | null
  readonly secrets: readonly NamePattern[] | null
  /** Sorted by name. */
  readonly labels: readonly (readonly [name: string, value: string])[] | null
  readonly actions: readonly Action[] | null
}

/** A rule in its place: of all that match, the one with the lowest rank decides. Every deny ranks before every allow, then the first as written. */
export interface Ranked {
  readonly rank: number
  /** Made once, so that deciding makes nothing. */
  readonly decision: Decision
}

const denyRanks = 2 ** 40

/** The ranked form of the `order`th rule as written. */
export function ranked({ role, effect, at }: Rule, order: number): Ranked {
  const decision = Object.freeze({ allowed: effect === 'allow', rule: Object.freeze({ role, effect, at }) })
  return { rank: effect === 'deny' ? order - denyRanks : order, decision }
}

export const lower = (a: Ranked | undefined, b: Ranked | undefined): Ranked | undefined =>
  a === undefined || (b !== undefined && b.rank < a.rank) ? b : a
