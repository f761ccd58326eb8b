import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { reference } from '../test/reference.ts'
import { sourceOf } from '../test/source.ts'
import { actions, compile, type Policy, type PolicyForm, type RuleForm, type Target } from './index.ts'

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
  }, 120_000)

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

describe('a thicket of patterns', () => {
  // every way to write four segments of a, b and +, so that a search meets many nodes
  const segments = ['a', 'b', '+']
  const thicket = segments.flatMap(one =>
    segments.flatMap(two => segments.flatMap(three => segments.map(four => [one, two, three, four].join('/')))),
  )
  const ofActions = { actions: some(fc.constantFrom(...actions.slice(0, 4))) }
  const conditions: fc.Arbitrary<RuleForm> = fc.oneof(
    { weight: 3, arbitrary: fc.record(ofActions) },
    { weight: 1, arbitrary: fc.record({ types: some(fc.constantFrom(...types)), labels, ...ofActions }, { requiredKeys: [] }) },
  )
  const shrub = fc.record({
    secrets: fc.subarray(thicket, { minLength: 1 }).map(chosen => chosen.map((text, at) => (at % 3 === 0 ? `${text}/*` : text))),
    more: conditions,
  })
  const grown = fc.record({ allow: fc.array(shrub, { minLength: 2, maxLength: 5 }), deny: fc.array(shrub, { maxLength: 3 }) })
  const deep = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 3, maxLength: 6 }).map(parts => parts.join('/'))

  test('decides as the reference does, the first time and after', () => {
    const asked = fc.array(
      fc.record({
        name: deep,
        action: fc.constantFrom(...actions.slice(0, 5)),
        facts: fc.record({ type: fc.constantFrom(...types), labels }, { requiredKeys: [] }),
      }),
      {
        minLength: 6,
        maxLength: 6,
      },
    )
    const check = (
      role: typeof grown extends fc.Arbitrary<infer R> ? R : never,
      list: typeof asked extends fc.Arbitrary<infer A> ? A : never,
    ) => {
      const rules = (shrubs: typeof role.allow) => shrubs.map(({ secrets, more }) => ({ secrets, ...more }))
      const form: PolicyForm = { roles: { r: { allow: rules(role.allow), deny: rules(role.deny) } } }
      const policy = policyOf(form)
      const principal = { id: '', roles: ['r'] }
      // every name with every question, so that what is kept for a name answers others than it was made by
      for (const { name } of list) {
        for (const { action, facts } of list) {
          const target = { ...facts, name } as Target // canonical by the way it is made
          const decision = policy.decide(principal, action, target)
          expect({ allowed: decision.allowed, rule: decision.rule?.at?.file ?? null }).toEqual(reference(form, principal, action, target))
        }
      }
    }
    fc.assert(fc.property(grown, asked, check), { numRuns: 200, seed: 7 })
  })

  test('decides rightly for more names than it keeps', () => {
    const policy = policyOf({ roles: { r: { allow: [{ secrets: thicket }], deny: [{ secrets: ['+/+/+/d9999'] }] } } })
    const read = (name: string) => policy.decide({ id: '', roles: ['r'] }, 'read', { name } as Target).allowed // as above
    for (const _ of [1, 2]) {
      for (let at = 0; at < 10_000; at++) expect(read(`a/a/a/d${at}`)).toBe(at !== 9999)
    }
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
