import { secretName } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { sourceOf } from '../test/source.ts'
import { type Action, actions, compile, type Policy, type PolicyForm, serviceAccountId, tokenId } from './index.ts'

const types = ['api-key', 'database', 'jwt', 'generic']

function policyOf(form: PolicyForm): Policy {
  const compiled = compile([sourceOf(form)], { types })
  if ('complaints' in compiled) throw new Error(JSON.stringify(compiled.complaints))
  return compiled.policy
}

const as = (...roles: string[]) => ({ id: 'token:t', roles })
const target = (name: string, more: { type?: string; labels?: Record<string, string> } = {}) => ({ name: secretName(name), ...more })

describe('the table of the agentaskit deployment', () => {
  const policy = policyOf({
    roles: {
      'api-gateway-role': { allow: [{ types: ['api-key'], actions: ['read'] }] },
      'worker-role': { allow: [{ types: ['database', 'api-key'], actions: ['read'] }] },
      'orchestrator-role': { allow: [{ secrets: ['agentaskit/*'], actions: ['read', 'list'] }] },
    },
    bindings: [
      { role: 'api-gateway-role', serviceAccounts: ['agentaskit/gateway'] },
      { role: 'worker-role', serviceAccounts: ['agentaskit/workers'] },
      { role: 'orchestrator-role', serviceAccounts: ['agentaskit/orchestrator'] },
    ],
  })
  const secrets = [
    ['agentaskit/api-keys', 'api-key'],
    ['agentaskit/db-credentials', 'database'],
    ['agentaskit/jwt-signing', 'jwt'],
  ] as const

  test.each([
    ['gateway', [true, false, false]],
    ['workers', [true, true, false]],
    ['orchestrator', [true, true, true]],
    ['stranger', [false, false, false]],
  ])('%s reads as written, and writes nothing', (account, expected) => {
    const principal = { id: serviceAccountId(`agentaskit/${account}`), roles: [] }
    expect(secrets.map(([name, type]) => policy.decide(principal, 'read', target(name, { type })).allowed)).toEqual(expected)
    expect(secrets.some(([name, type]) => policy.decide(principal, 'write', target(name, { type })).allowed)).toBe(false)
  })

  test('a name that no store knows is met by rules without types only', () => {
    const absent = target('agentaskit/absent')
    expect(policy.decide(as('worker-role'), 'read', absent)).toEqual({ allowed: false, rule: null })
    expect(policy.decide(as('orchestrator-role'), 'read', absent).allowed).toBe(true)
  })
})

describe('a decision', () => {
  test('is no, where nothing matches: no policy allows nothing', () => {
    const policy = policyOf({})
    for (const action of actions) {
      expect(policy.decide(as('gone'), action, target('a'))).toEqual({ allowed: false, rule: null })
      expect(policy.mayAny(as('gone'), action)).toBe(false)
    }
  })

  test('is the deny, wherever it is written', () => {
    const policy = policyOf({
      roles: { wide: { allow: [{ secrets: ['a/b'] }] }, narrow: { deny: [{ secrets: ['+/b'], actions: ['read'] }] } },
    })
    expect(policy.decide(as('wide', 'narrow'), 'read', target('a/b'))).toMatchObject({
      allowed: false,
      rule: { role: 'narrow', effect: 'deny' },
    })
    expect(policy.decide(as('wide', 'narrow'), 'write', target('a/b'))).toMatchObject({ allowed: true, rule: { role: 'wide' } })
    expect(policy.decide(as('narrow', 'admin'), 'read', target('a/b')).allowed).toBe(false)
  })

  test('names the deciding rule and where it stands', () => {
    const policy = policyOf({ roles: { r: { allow: [{ secrets: ['x'] }, { secrets: ['a/*'] }, { secrets: ['a/b'] }] } } })
    expect(policy.decide(as('r'), 'read', target('a/b')).rule).toEqual({
      role: 'r',
      effect: 'allow',
      at: { file: 'roles.r.allow.1', line: 1, column: 1 },
    })
  })

  test('needs every condition of a rule', () => {
    const policy = policyOf({
      roles: { r: { allow: [{ types: ['jwt'], labels: { tier: 'gold', team: 'x' }, secrets: ['a'], actions: ['read'] }] } },
    })
    const whole = { type: 'jwt', labels: { tier: 'gold', team: 'x', more: 'y' } }
    const read = (name: string, facts: object, action: Action = 'read') => policy.decide(as('r'), action, target(name, facts)).allowed
    expect(read('a', whole)).toBe(true)
    expect(read('b', whole)).toBe(false)
    expect(read('a', whole, 'list')).toBe(false)
    expect(read('a', { ...whole, type: 'database' })).toBe(false)
    expect(read('a', { labels: whole.labels })).toBe(false)
    expect(read('a', { type: 'jwt' })).toBe(false)
    expect(read('a', { ...whole, labels: { tier: 'gold', team: 'z' } })).toBe(false)
  })

  test('does not mistake inherited members for labels, or labels for one another', () => {
    const policy = policyOf({ roles: { r: { allow: [{ labels: { toString: 'x' } }, { labels: { a: 'p"', b: 'q' } }] } } })
    expect(policy.decide(as('r'), 'read', target('n', { labels: {} })).allowed).toBe(false)
    expect(policy.decide(as('r'), 'read', target('n', { labels: { a: 'p', b: '"q' } })).allowed).toBe(false)
    expect(policy.decide(as('r'), 'read', target('n', { labels: { toString: 'x' } })).allowed).toBe(true)
  })

  test.each([
    ['a/b', 'a/b/c', false],
    ['a/*', 'a', false],
    ['a/*', 'a/b/c', true],
    ['a*', 'ab/c', true],
    ['a*', 'a', true],
    ['+', 'a/b', false],
    ['+/b', 'a/b', true],
    ['+/b', 'b', false],
    ['+/b*', 'a/bc/d', true],
    ['A', 'a', false],
  ])('%s over %s: %s', (pattern, name, expected) => {
    const policy = policyOf({ roles: { r: { allow: [{ secrets: [pattern] }] } } })
    expect(policy.decide(as('r'), 'read', target(name)).allowed).toBe(expected)
  })

  test('about the broker itself is met by rules for everything only', () => {
    const policy = policyOf({
      roles: {
        a: { allow: [{ actions: ['admin'] }] },
        b: { allow: [{ secrets: ['*'] }] },
        c: { allow: [{ secrets: ['+', 'a*', 'a'] }] },
        d: { allow: [{ types: ['jwt'] }] },
      },
    })
    const broker = (role: string) => policy.decide(as(role), 'admin', { name: null }).allowed
    expect(['a', 'b', 'c', 'd', 'admin'].map(broker)).toEqual([true, true, false, false, true])
  })
})

describe('roles and principals', () => {
  test('the built-in role allows every action on every name', () => {
    const policy = policyOf({ bindings: [{ role: 'admin', tokens: ['root'] }] })
    for (const action of actions) {
      expect(policy.decide({ id: tokenId('root'), roles: [] }, action, target('any/name'))).toEqual({
        allowed: true,
        rule: { role: 'admin', effect: 'allow', at: null },
      })
      expect(policy.mayAny({ id: tokenId('root'), roles: [] }, action)).toBe(true)
    }
  })

  test('a principal has the roles it brings and those bound to it; a token is no service account', () => {
    const policy = policyOf({
      roles: { r: { allow: [{ secrets: ['a'] }] }, s: { allow: [{ secrets: ['b'] }] } },
      bindings: [
        { role: 'r', tokens: ['x'] },
        { role: 's', serviceAccounts: ['x/x'], tokens: ['y'] },
      ],
    })
    const reads = (id: string, roles: string[] = []) => ['a', 'b'].map(name => policy.decide({ id, roles }, 'read', target(name)).allowed)
    expect(reads(tokenId('x'))).toEqual([true, false])
    expect(reads(tokenId('x'), ['s'])).toEqual([true, true])
    expect(reads(serviceAccountId('x/x'))).toEqual([false, true])
    expect(reads('x')).toEqual([false, false])
  })

  test('hasRole knows defined roles and admin', () => {
    const policy = policyOf({ roles: { r: {} } })
    expect(['r', 'admin', 's', 'toString'].map(role => policy.hasRole(role))).toEqual([true, true, false, false])
  })

  test('mayAny sees through a deny of everything, and not through a narrower one', () => {
    const allow = [{ actions: ['list'] }]
    const policy = policyOf({
      roles: {
        open: { allow },
        shut: { allow, deny: [{ secrets: ['*'], actions: ['list'] }] },
        partly: { allow, deny: [{ types: ['jwt'] }] },
      },
    })
    expect(['open', 'shut', 'partly'].map(role => policy.mayAny(as(role), 'list'))).toEqual([true, false, true])
    expect(policy.mayAny(as('open'), 'read')).toBe(false)
    expect(policy.mayAny(as('open', 'shut'), 'list')).toBe(false)
  })
})
