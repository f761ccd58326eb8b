import type { SecretName } from '@keyturn/core'
import type { Position } from './input.ts'

/** Everything that can be allowed or denied. Closed: another word in a policy is a complaint. */
export const actions = [
  'list',
  'read-metadata',
  'read',
  'write',
  'delete',
  'stage',
  'promote',
  'rotate',
  'revoke',
  'compromise',
  'approve',
  'admin',
] as const
/** One of `actions`. */
export type Action = (typeof actions)[number]

/** The role that is always there: every action on every name. A policy may bind it, never redefine it. */
export const adminRole = 'admin'

/** Who asks, after authentication. */
export interface Principal {
  /** `token:NAME` or `serviceAccount:NAMESPACE/NAME`: what bindings and the audit know it by. */
  readonly id: string
  /** Roles it brings with it, beside those that are bound to it: the role its token was made with. Unknown ones give nothing. */
  readonly roles: readonly string[]
}

/** What is asked for. */
export interface Target {
  /** null: the broker itself (tokens, reload, keys): only rules without `secrets`, or with `*` alone, hold for it. */
  readonly name: SecretName | null
  /** Left out for a name that no store knows: then only rules without `types` hold. A secret without a row is `generic`. */
  readonly type?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** The rule that decided. Without one nothing matched, which denies. */
export interface DecidingRule {
  readonly role: string
  readonly effect: 'allow' | 'deny'
  /** Null for the built-in role. */
  readonly at: Position | null
}

/** The answer to one question, with its reason. */
export interface Decision {
  readonly allowed: boolean
  readonly rule: DecidingRule | null
}

/** The port: every form of policy answers these two questions, purely and without waiting. */
export interface Policy {
  /** Whether the principal may. Deny by default, deny wins, order never matters. */
  decide(principal: Principal, action: Action, target: Target): Decision
  /** Whether there could be a target that the principal may: false lets a list be refused without looking at a row. */
  mayAny(principal: Principal, action: Action): boolean
  /** Whether a role is defined (or built in). */
  hasRole(role: string): boolean
}
