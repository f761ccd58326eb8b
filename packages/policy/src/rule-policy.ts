import { type Action, adminRole, type Decision, type Policy, type Principal, type Target } from './policy.ts'
import { lower, type Ranked, type Rule, ranked } from './rule.ts'
import { RuleIndex } from './rule-index.ts'

const denied: Decision = Object.freeze({ allowed: false, rule: null })
const byAdmin: Ranked = {
  // the built-in role is named only where no written rule allows
  rank: Number.POSITIVE_INFINITY,
  decision: Object.freeze({ allowed: true, rule: Object.freeze({ role: adminRole, effect: 'allow', at: null }) }),
}
// its one segment is empty, which only a bare star matches
const nameless = ''

/** Who holds a role, by principal id. */
export interface Binding {
  readonly role: string
  readonly principals: readonly string[]
}

/** The YAML form: roles with allow and deny rules. The cost of a decision does not grow with the number of rules. */
export class RulePolicy implements Policy {
  readonly #roles = new Map<string, RuleIndex>()
  readonly #bound = new Map<string, string[]>()

  constructor(roles: Iterable<string>, rules: Iterable<Rule>, bindings: Iterable<Binding>) {
    for (const role of roles) this.#roles.set(role, new RuleIndex())
    let order = 0
    for (const rule of rules) this.#roles.get(rule.role)?.add(rule, ranked(rule, order++))
    for (const { role, principals } of bindings) {
      for (const id of principals) this.#bound.set(id, [...new Set([...(this.#bound.get(id) ?? []), role])])
    }
  }

  decide(principal: Principal, action: Action, target: Target): Decision {
    const name = target.name ?? nameless
    let best: Ranked | undefined
    for (const role of principal.roles) best = lower(best, this.#deciding(role, name, action, target))
    const bound = this.#bound.get(principal.id)
    if (bound !== undefined) for (const role of bound) best = lower(best, this.#deciding(role, name, action, target))
    return best?.decision ?? denied
  }

  mayAny(principal: Principal, action: Action): boolean {
    const roles = [...principal.roles, ...(this.#bound.get(principal.id) ?? [])]
    if (roles.some(role => this.#roles.get(role)?.deniesAll(action))) return false
    return roles.some(role => role === adminRole || this.#roles.get(role)?.allows(action))
  }

  hasRole(role: string): boolean {
    return role === adminRole || this.#roles.has(role)
  }

  #deciding(role: string, name: string, action: Action, target: Target): Ranked | undefined {
    return role === adminRole ? byAdmin : this.#roles.get(role)?.deciding(name, action, target)
  }
}
