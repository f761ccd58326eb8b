import { readBinding } from './binding-form.ts'
import { FormReader, type PlainMap } from './form-reader.ts'
import type { Complaint, KeyPath, PolicySource, Position } from './input.ts'
import { adminRole, type Policy } from './policy.ts'
import type { PolicyTest } from './policy-test.ts'
import type { Rule } from './rule.ts'
import { readRule } from './rule-form.ts'
import { type Binding, RulePolicy } from './rule-policy.ts'
import { readTest } from './test-form.ts'

/** A policy with its own tests, or everything that is wrong with it. */
export type Compiled = { readonly policy: Policy; readonly tests: readonly PolicyTest[] } | { readonly complaints: readonly Complaint[] }

/** What a policy is checked against. */
export interface CompileOptions {
  /** The closed list of types a secret can have. */
  readonly types: readonly string[]
}

const roleForm = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/

/** One source, its top members read. */
interface Part {
  readonly reader: FormReader
  readonly form: PlainMap
  readonly roles: PlainMap
}

/**
 * Joins all sources into one policy: a role is defined once, and may be bound and tested anywhere. All complaints come at once,
 * in the order of the sources; a policy with a complaint is none.
 */
export function compile(sources: readonly PolicySource[], options: CompileOptions): Compiled {
  const complaints: Complaint[] = []
  const parts = sources.flatMap(source => {
    const reader = new FormReader(source, complaints)
    const form = reader.map(source.value, [], ['roles', 'bindings', 'tests'])
    if (form === undefined) return []
    return [{ reader, form, roles: form.roles === undefined ? {} : (reader.anyMap(form.roles, ['roles'], 'roles by name') ?? {}) }]
  })
  const roles = readRoles(parts)
  const rules = parts.flatMap(part => readRules(part, options.types))
  const defined = new Set(roles.keys())
  const bindings = parts.flatMap(part => items(part, 'bindings', (value, path) => readBinding(part.reader, value, path, defined)))
  const tests = parts.flatMap(part => items(part, 'tests', (value, path) => readTest(part.reader, value, path, defined)))
  if (complaints.length > 0) return { complaints }
  return { policy: new RulePolicy(defined, rules, bindings satisfies Binding[]), tests }
}

function readRoles(parts: readonly Part[]): ReadonlyMap<string, Position> {
  const roles = new Map<string, Position>()
  for (const part of parts) {
    const { reader } = part
    for (const role of Object.keys(part.roles)) {
      const path = ['roles', role]
      const before = roles.get(role)
      if (role === adminRole)
        reader.complain(path, 'the role admin is built in', 'choose another name; every action on every name is what admin may')
      else if (!roleForm.test(role)) reader.complain(path, 'is no name for a role', 'write letters, digits and ._:-, as in worker-role')
      else if (before !== undefined) {
        reader.complain(path, `the role is also defined at ${before.file}:${before.line}:${before.column}`, 'keep one of the two')
      } else roles.set(role, reader.locate(path))
    }
  }
  return roles
}

function readRules(part: Part, types: readonly string[]): Rule[] {
  const { reader } = part
  return Object.entries(part.roles).flatMap(([role, value]) => {
    const form = reader.map(value, ['roles', role], ['allow', 'deny'])
    return (['allow', 'deny'] as const).flatMap(effect => {
      const given = form?.[effect]
      if (given === undefined) return []
      const path = ['roles', role, effect]
      const list = reader.list(given, path) ?? []
      return list.flatMap((item, at) => readRule(reader, item, { path: [...path, at], role, effect, types }) ?? [])
    })
  })
}

function items<T extends object>({ reader, form }: Part, key: string, read: (value: unknown, path: KeyPath) => T | undefined): T[] {
  const given = form[key]
  if (given === undefined) return []
  return (reader.list(given, [key]) ?? []).flatMap((value, at) => read(value, [key, at]) ?? [])
}
