import { ConditionIndex } from './condition-index.ts'
import { type Action, actions, type Target } from './policy.ts'
import { lower, type Ranked, type Rule } from './rule.ts'

const bits = new Map<Action, number>(actions.map((action, at) => [action, 1 << at]))

/** The actions of a rule as bits; all of them when it names none. */
export const maskOf = (chosen: readonly Action[] | null): number => (chosen ?? actions).reduce((mask, action) => mask | bitOf(action), 0)
export const bitOf = (action: Action): number => bits.get(action) ?? 0

/**
 * The rules that share one pattern, by action and conditions. The first one without types and labels is held right here: with
 * very many patterns, each step to another object is a miss of the processor's cache, and most patterns have one such rule.
 */
export class PatternRules {
  #first: Ranked | undefined
  #firstActions = 0
  #more: Map<number, ConditionIndex> | undefined

  add(rule: Pick<Rule, 'types' | 'labels' | 'actions'>, place: Ranked): void {
    const mask = maskOf(rule.actions)
    if (this.#first === undefined && rule.types === null && rule.labels === null) {
      this.#first = place
      this.#firstActions = mask
      return
    }
    this.#more ??= new Map()
    for (const action of rule.actions ?? actions) {
      const index = this.#more.get(bitOf(action)) ?? new ConditionIndex()
      this.#more.set(bitOf(action), index)
      index.add(rule, place)
    }
  }

  deciding(action: number, target: Target): Ranked | undefined {
    const first = (this.#firstActions & action) === 0 ? undefined : this.#first
    return this.#more === undefined ? first : lower(first, this.#more.get(action)?.deciding(target))
  }

  /** What decides about an action where types and labels do not matter. */
  unconditional(action: number): Ranked | undefined {
    const first = (this.#firstActions & action) === 0 ? undefined : this.#first
    return lower(first, this.#more?.get(action)?.unconditional)
  }

  /** Whether types or labels can matter. */
  get conditional(): boolean {
    return this.#more?.values().some(index => index.conditional) ?? false
  }
}

/** The patterns that match one name, as few as decide: many patterns without conditions become one rule for each action. */
export class MatchingRules {
  readonly #unconditional = new Map<number, Ranked>()
  readonly #conditional: readonly PatternRules[]

  constructor(patterns: readonly PatternRules[]) {
    for (const action of bits.values()) {
      const best = patterns.reduce<Ranked | undefined>((found, rules) => lower(found, rules.unconditional(action)), undefined)
      if (best !== undefined) this.#unconditional.set(action, best)
    }
    this.#conditional = patterns.filter(rules => rules.conditional)
  }

  deciding(action: number, target: Target): Ranked | undefined {
    let best = this.#unconditional.get(action)
    for (const rules of this.#conditional) best = lower(best, rules.deciding(action, target))
    return best
  }
}
