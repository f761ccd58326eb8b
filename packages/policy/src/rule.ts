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

/** A rule in its place: of all that match, the first as written is the one that is named. */
export interface Ranked {
  readonly rank: number
  /** Made once, so that deciding makes nothing. */
  readonly decision: Decision
}

export const earlier = (a: Ranked | undefined, b: Ranked | undefined): Ranked | undefined =>
  a === undefined || (b !== undefined && b.rank < a.rank) ? b : a
