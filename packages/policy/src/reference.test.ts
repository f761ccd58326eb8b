import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sourceOf } from '../test/source.ts'
import { type Action, actions, type BindingForm, compile, type Policy, type PolicyForm, type RuleForm, type Target } from './index.ts'

/** The rules again, slow and obvious: every rule is looked at, every condition asked in turn. */
function reference(form: PolicyForm, principal: { id: string; roles: string[] }, action: Action, target: Target) {
  const held = new Set(principal.roles)
  for (const binding of form.bindings ?? []) if (idsOf(binding).includes(principal.id)) held.add(binding.role)
  const matching = (effect: 'allow' | 'deny') =>
    Object.entries(form.roles ?? {}).flatMap(([role, { [effect]: rules }]) =>
      (rules ?? []).flatMap((rule, at) => (held.has(role) && holds(rule, action, target) ? [`roles.${role}.${effect}.${at}`] : [])),
    )
  const [deny] = matching('deny')
  if (deny !== undefined) return { allowed: false, rule: deny }
  const [allow] = matching('allow')
  if (allow !== undefined) return { allowed: true, rule: allow }
  return held.has('admin') ? { allowed: true, rule: 'admin' } : { allowed: false, rule: null }
}

function idsOf(binding: BindingForm): string[] {
  return [...(binding.tokens ?? []).map(name => `token:${name}`), ...(binding.serviceAccounts ?? []).map(name => `serviceAccount:${name}`)]
}

function holds(rule: RuleForm, action: Action, target: Target): boolean {
  if (rule.actions !== undefined && !rule.actions.includes(action)) return false
  if (rule.types !== undefined && (target.type === undefined || !rule.types.includes(target.type))) return false
  if (rule.secrets !== undefined && !rule.secrets.some(pattern => covers(pattern, target.name))) return false
  return Object.entries(rule.labels ?? {}).every(([name, value]) => target.labels?.[name] === value)
}

function covers(pattern: string, name: string | null): boolean {
  if (pattern === '*') return true
  if (name === null) return false
  const [first = '', ...more] = pattern.split('/')
  const [segment = '', ...rest] = name.split('/')
  if (more.length === 0 && first.endsWith('*')) return name.startsWith(first.slice(0, -1))
  if (first !== '+' && first !== segment) return false
  if (more.length === 0 || rest.length === 0) return more.length === rest.length
  return covers(more.join('/'), rest.join('/'))
}

const types = ['api-key', 'database', 'generic']
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { minLength: 1, maxLength: 3 })
const segment = fc.constantFrom('a', 'b', 'ab', 'abc', 'ba')
const name = fc.array(segment, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/'))
const pattern = fc
  .tuple(fc.array(fc.oneof(segment, fc.constant('+')), { maxLength: 3 }), fc.constantFrom('', '*', 'a*', 'ab*', 'b*'))
  .map(([parts, rest]) => [...parts, ...(rest === '' ? [] : [rest])].join('/') || '*')
const labels = fc.dictionary(fc.constantFrom('tier', 'team'), fc.constantFrom('x', 'y'), { minKeys: 1 })
const rule: fc.Arbitrary<RuleForm> = fc
  .record(
    { types: some(fc.constantFrom(...types)), secrets: some(pattern), labels, actions: some(fc.constantFrom(...actions.slice(0, 4))) },
    { requiredKeys: [] },
  )
  .map(given => (Object.keys(given).length === 0 ? { secrets: ['*'] } : given))
const role = fc.record({ allow: fc.array(rule, { maxLength: 4 }), deny: fc.array(rule, { maxLength: 2 }) }, { requiredKeys: [] })
const policyForm: fc.Arbitrary<PolicyForm> = fc.record({
  roles: fc.record({ r0: role, r1: role }),
  bindings: fc.constant([
    { role: 'r1', tokens: ['ci'] },
    { role: 'r0', serviceAccounts: ['shop/web'], tokens: ['both'] },
    { role: 'r1', tokens: ['both'] },
  ]),
})
const principal = fc.record({
  id: fc.constantFrom('token:ci', 'token:both', 'token:nobody', 'serviceAccount:shop/web'),
  roles: fc.subarray(['r0', 'admin', 'gone']),
})
const question = fc.record({
  principal,
  action: fc.constantFrom(...actions.slice(0, 5)),
  target: fc
    .record(
      {
        name: fc.oneof({ weight: 20, arbitrary: name }, { weight: 1, arbitrary: fc.constant(null) }),
        type: fc.constantFrom(...types),
        labels,
      },
      { requiredKeys: ['name'] },
    )
    .map(target => target as Target), // the names are canonical by the way they are made
})
type Question = typeof question extends fc.Arbitrary<infer Q> ? Q : never
const questions = fc.array(question, { minLength: 4, maxLength: 4 })

function policyOf(form: PolicyForm): Policy {
  const compiled = compile([sourceOf(form)], { types })
  if ('complaints' in compiled) throw new Error(JSON.stringify(compiled.complaints))
  return compiled.policy
}

describe('against the reference', () => {
  test('10,000 random policies decide as the reference does, and name the same rule', () => {
    let allowed = 0
    let denied = 0
    const check = (form: PolicyForm, asked: Question[]) => {
      const policy = policyOf(form)
      for (const { principal, action, target } of asked) {
        const decision = policy.decide(principal, action, target)
        const expected = reference(form, principal, action, target)
        expect({ allowed: decision.allowed, rule: decision.rule?.at?.file ?? decision.rule?.role ?? null }).toEqual(expected)
        if (expected.allowed && expected.rule !== 'admin') allowed++
        if (!expected.allowed && expected.rule !== null) denied++
      }
    }
    fc.assert(fc.property(policyForm, questions, check), { numRuns: 10_000, seed: 1 })
    // a run that never meets a rule would prove nothing
    expect(allowed).toBeGreaterThan(1000)
    expect(denied).toBeGreaterThan(1000)
  })

  test('mayAny is true wherever something is allowed', () => {
    const check = (form: PolicyForm, asked: Question[]) => {
      const policy = policyOf(form)
      for (const { principal, action, target } of asked) {
        if (policy.decide(principal, action, target).allowed) expect(policy.mayAny(principal, action)).toBe(true)
      }
    }
    fc.assert(fc.property(policyForm, questions, check), { numRuns: 1000, seed: 2 })
  })
})

describe('changes that must not change', () => {
  const same = (before: PolicyForm, after: PolicyForm, asked: Question[], may: (was: boolean, is: boolean) => boolean) => {
    const [old, young] = [policyOf(before), policyOf(after)]
    for (const { principal, action, target } of asked) {
      const [was, is] = [old.decide(principal, action, target).allowed, young.decide(principal, action, target).allowed]
      expect(may(was, is), JSON.stringify({ principal, action, target, was, is })).toBe(true)
    }
  }

  test('a deny more never widens', () => {
    const added = (form: PolicyForm, more: RuleForm): PolicyForm => ({
      ...form,
      roles: { ...form.roles, r0: { ...form.roles?.r0, deny: [...(form.roles?.r0?.deny ?? []), more] } },
    })
    fc.assert(
      fc.property(policyForm, rule, questions, (form, more, asked) => same(form, added(form, more), asked, (was, is) => was || !is)),
      {
        numRuns: 1000,
        seed: 3,
      },
    )
  })

  test('an allow more never narrows', () => {
    const added = (form: PolicyForm, more: RuleForm): PolicyForm => ({
      ...form,
      roles: { ...form.roles, r1: { ...form.roles?.r1, allow: [more, ...(form.roles?.r1?.allow ?? [])] } },
    })
    fc.assert(
      fc.property(policyForm, rule, questions, (form, more, asked) => same(form, added(form, more), asked, (was, is) => is || !was)),
      {
        numRuns: 1000,
        seed: 4,
      },
    )
  })

  test('the order of rules, roles and bindings is irrelevant', () => {
    const turned = (form: PolicyForm): PolicyForm => ({
      roles: Object.fromEntries(
        Object.entries(form.roles ?? {})
          .reverse()
          .map(([id, { allow = [], deny = [] }]) => [id, { deny: deny.toReversed(), allow: allow.toReversed() }]),
      ),
      bindings: (form.bindings ?? []).toReversed(),
    })
    fc.assert(
      fc.property(policyForm, questions, (form, asked) => same(form, turned(form), asked, (was, is) => was === is)),
      {
        numRuns: 1000,
        seed: 5,
      },
    )
  })

  test('renaming every name consistently changes nothing', () => {
    const renamed = (text: string) => text.replaceAll('a', 'Z').replaceAll('b', 'ü')
    const over = (form: PolicyForm): PolicyForm =>
      JSON.parse(JSON.stringify(form, (key, value) => (key === 'secrets' ? value.map(renamed) : value)))
    const check = (form: PolicyForm, asked: Question[]) => {
      const [old, young] = [policyOf(form), policyOf(over(form))]
      for (const { principal, action, target } of asked) {
        const moved = { ...target, name: target.name === null ? null : renamed(target.name) } as Target // renaming keeps a name canonical
        expect(young.decide(principal, action, moved).allowed).toBe(old.decide(principal, action, target).allowed)
      }
    }
    fc.assert(fc.property(policyForm, questions, check), { numRuns: 1000, seed: 6 })
  })
})
