import type { SecretName } from '@keyturn/core'
import type { Complaint, Position } from './input.ts'
import type { Action, Decision, Policy, Principal, Target } from './policy.ts'

/** What an author of a policy expects of it: one line under `tests`. */
export interface PolicyTest {
  /** As written: a role or a principal. */
  readonly as: string
  readonly principal: Principal
  readonly action: Action
  readonly secret: SecretName
  readonly expect: 'allow' | 'deny'
  readonly at: Position
  readonly path: string
}

/** Type and labels of a name, as the config has them; undefined for a name that no store knows. */
export type FactsOf = (name: SecretName) => Omit<Target, 'name'> | undefined

/** The tests that the policy does not pass, each with the rule that decided. */
export function failedTests(policy: Policy, tests: readonly PolicyTest[], factsOf: FactsOf): readonly Complaint[] {
  return tests.flatMap(test => {
    const decision = policy.decide(test.principal, test.action, { ...factsOf(test.secret), name: test.secret })
    if (decision.allowed === (test.expect === 'allow')) return []
    const { at, path, action, secret, as, expect } = test
    const message = `${action} ${secret} as ${as} is ${decision.allowed ? 'allowed' : 'denied'} by ${explained(decision)}`
    return [{ at, path, message, remedy: `the test expects ${expect}: change the rule or the test` }]
  })
}

/** The rule behind a decision, as people read it: `deny rule of worker-role at roles.yaml:3:5`. */
export function explained({ rule }: Decision): string {
  if (rule === null) return 'no rule: what nothing allows is denied'
  if (rule.at === null) return `the built-in role ${rule.role}`
  return `the ${rule.effect} rule of ${rule.role} at ${rule.at.file}:${rule.at.line}:${rule.at.column}`
}
