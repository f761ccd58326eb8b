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

  add(rule: Rule, place: Ranked): void {
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
    return this.#more === undefined ? first : lower(first, this.#more.get(action)?.first(target))
  }
}
