import type { Target } from './policy.ts'
import { lower, type Ranked, type Rule } from './rule.ts'

/** Rules that ask for the same label names, by the values they ask for. */
interface LabelGroup {
  readonly names: readonly string[]
  readonly byValues: Map<string, Ranked>
}

/** The deciding rule for each set of labels. One look-up for each set of label names, however many values there are. */
class LabelIndex {
  #unlabelled: Ranked | undefined
  #groups: Map<string, LabelGroup> | undefined

  add(labels: Rule['labels'], ranked: Ranked): void {
    if (labels === null) {
      this.#unlabelled = lower(this.#unlabelled, ranked)
      return
    }
    const names = labels.map(([name]) => name)
    this.#groups ??= new Map()
    const key = JSON.stringify(names)
    const group = this.#groups.get(key) ?? { names, byValues: new Map() }
    this.#groups.set(key, group)
    const values = JSON.stringify(labels.map(([, value]) => value))
    group.byValues.set(values, lower(group.byValues.get(values), ranked) ?? ranked)
  }

  get unlabelled(): Ranked | undefined {
    return this.#unlabelled
  }

  get labelled(): boolean {
    return this.#groups !== undefined
  }

  deciding(labels: Target['labels']): Ranked | undefined {
    let found = this.#unlabelled
    if (this.#groups === undefined || labels === undefined) return found
    for (const { names, byValues } of this.#groups.values()) {
      if (!names.every(name => Object.hasOwn(labels, name))) continue
      found = lower(found, byValues.get(JSON.stringify(names.map(name => labels[name]))))
    }
    return found
  }
}

/** The deciding rule by type and labels, of rules that agree in everything else. */
export class ConditionIndex {
  #untyped: LabelIndex | undefined
  #byType: Map<string, LabelIndex> | undefined

  add(rule: Pick<Rule, 'types' | 'labels'>, ranked: Ranked): void {
    if (rule.types === null) {
      this.#untyped ??= new LabelIndex()
      this.#untyped.add(rule.labels, ranked)
      return
    }
    this.#byType ??= new Map()
    for (const type of rule.types) {
      const held = this.#byType.get(type) ?? new LabelIndex()
      this.#byType.set(type, held)
      held.add(rule.labels, ranked)
    }
  }

  deciding(target: Target): Ranked | undefined {
    const untyped = this.#untyped?.deciding(target.labels)
    if (this.#byType === undefined || target.type === undefined) return untyped
    return lower(untyped, this.#byType.get(target.type)?.deciding(target.labels))
  }

  get unconditional(): Ranked | undefined {
    return this.#untyped?.unlabelled
  }

  get conditional(): boolean {
    return this.#byType !== undefined || this.#untyped?.labelled === true
  }
}
