import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sourceOf } from '../test/source.ts'
import { actions, type Complaint, compile, failedTests, type PolicySource } from './index.ts'

const types = ['api-key', 'database', 'generic']

function complaintsOf(...sources: PolicySource[]): readonly Complaint[] {
  const compiled = compile(sources, { types })
  return 'complaints' in compiled ? compiled.complaints : []
}

const lines = (value: unknown) =>
  complaintsOf(sourceOf(value, ['access'])).map(({ path, message, remedy }) => `${path}: ${message}; ${remedy}`)
const ruleLines = (rule: unknown) => lines({ roles: { r: { allow: [rule] } } }).map(line => line.replace('access.roles.r.allow[0]', '#'))

describe('a complaint', () => {
  test.each([
    [{ typs: ['api-key'] }, ['#.typs: unknown key typs; did you mean types?']],
    [{ paths: ['a'] }, ['#.paths: unknown key paths; did you mean secrets?']],
    [{ zzz: 1 }, ['#.zzz: unknown key zzz; write one of types, secrets, labels, actions']],
    [{}, ['#: a rule without conditions holds for everything; if that is meant, write { secrets: ["*"] }']],
    [null, ['#: is empty, not a map; write a map of types, secrets, labels, actions']],
    [[], ['#: is a list, not a map; write a map of types, secrets, labels, actions']],
    [{ types: ['api-keys'] }, ['#.types[0]: api-keys is no type of secret; did you mean api-key?']],
    [{ types: [] }, ['#.types: is an empty list; name at least one, or leave the key out to mean every type']],
    [{ types: 'jwt' }, ['#.types: is text, not a list; write it in brackets, as in [a, b]']],
    [
      { secrets: ['a/**', 7] },
      [
        '#.secrets[0]: ** is no pattern: one star already covers every level below; write "a/*"',
        '#.secrets[1]: is a number, not text; write it in quotes, as in "7"',
      ],
    ],
    [{ actions: ['reed'] }, ['#.actions[0]: reed is no action; did you mean read?']],
    [{ actions: ['update'] }, ['#.actions[0]: update is no action; write: it makes a secret or a new version of one']],
    [{ actions: ['*'] }, ['#.actions[0]: * is no action; leave the key out to mean every action']],
    [{ actions: ['constructor'] }, [`#.actions[0]: constructor is no action; write one of ${actions.join(', ')}`]],
    [{ labels: {} }, ['#.labels: names no label; name at least one, or leave the key out to mean any labels']],
    [
      { labels: { tier: 1, on: true } },
      [
        '#.labels.on: is a boolean, not text; write it in quotes, as in "true"',
        '#.labels.tier: is a number, not text; write it in quotes, as in "1"',
      ],
    ],
  ])('about the rule %j', (rule, expected) => {
    expect(ruleLines(rule)).toEqual(expected)
  })

  test.each([
    [{ tets: [] }, ['access.tets: unknown key tets; did you mean tests?']],
    [7, ['access: is a number, not a map; write a map of roles, bindings, tests']],
    [{ roles: [] }, ['access.roles: is a list, not a map; write roles by name']],
    [
      { roles: { admin: {} } },
      ['access.roles.admin: the role admin is built in; choose another name; every action on every name is what admin may'],
    ],
    [{ roles: { 'a b': {} } }, ['access.roles["a b"]: is no name for a role; write letters, digits and ._:-, as in worker-role']],
    [{ roles: { r: { alow: [] } } }, ['access.roles.r.alow: unknown key alow; did you mean allow?']],
    [{ bindings: [{ tokens: ['x'] }] }, ['access.bindings[0]: names no role; add role: with the name of a role']],
    [
      { roles: { worker: {} }, bindings: [{ role: 'worke', tokens: ['x'] }] },
      ['access.bindings[0].role: no role is named worke; did you mean worker?'],
    ],
    [
      { bindings: [{ role: 'admin' }] },
      ['access.bindings[0]: binds the role to nobody; add serviceAccounts: ["namespace/name"] or tokens: [name]'],
    ],
    [
      { bindings: [{ role: 'admin', tokens: [] }] },
      ['access.bindings[0].tokens: is an empty list; name at least one, or leave the key out'],
    ],
    [
      { bindings: [{ role: 'admin', tokens: ['x'], jwt: [] }] },
      ['access.bindings[0].jwt: unknown key jwt; this build binds serviceAccounts and tokens'],
    ],
    [
      { bindings: [{ role: 'admin', serviceAccounts: ['shop/*', 'shop'] }] },
      ['shop/*', 'shop'].map(
        (text, at) =>
          `access.bindings[0].serviceAccounts[${at}]: ${text} is no service account; write namespace/name, as in shop/checkout; stars are not read here`,
      ),
    ],
    [
      { bindings: [{ role: 'admin', tokens: ['a b'] }] },
      ['access.bindings[0].tokens[0]: a b is no name of a token; write letters, digits and ._-, as in ci-deploy'],
    ],
    [
      { tests: [{ as: 'admin' }] },
      ['access.tests[0]: a test needs action, secret, expect; write { as: ROLE, action: read, secret: NAME, expect: allow }'],
    ],
    [
      { tests: [{ as: 'admn', action: 'raed', secret: 'a//b', expect: 'yes' }] },
      [
        'access.tests[0].as: admn is no role and no principal; did you mean admin?',
        'access.tests[0].action: raed is no action; did you mean read?',
        'access.tests[0].secret: not a name of a secret: it has an empty segment; write segments of letters, digits and ._-@+=:~ joined by single slashes, as in payments/stripe',
        'access.tests[0].expect: yes is no answer; write one of allow, deny',
      ],
    ],
  ])('about %j', (value, expected) => {
    expect(lines(value)).toEqual(expected)
  })

  test('comes with its place, and all of them come at once', () => {
    const found = complaintsOf(sourceOf({ roles: { r: { allow: [{ typs: [] }, { actions: ['reed'] }] } }, tets: 1 }, ['access']))
    expect(found.map(({ at }) => at.file)).toEqual(['access.tets', 'access.roles.r.allow.0.typs', 'access.roles.r.allow.1.actions.0'])
  })

  test('about a role that two sources define names the other place', () => {
    const [found] = complaintsOf(sourceOf({ roles: { r: {} } }, ['one']), sourceOf({ roles: { r: {} } }, ['two']))
    expect(found).toMatchObject({ at: { file: 'two.roles.r' }, message: 'the role is also defined at one.roles.r:1:1' })
  })
})

describe('sources', () => {
  test('are one policy: a role may be bound and tested in another file', () => {
    const compiled = compile(
      [
        sourceOf({ bindings: [{ role: 'r', tokens: ['x'] }], tests: [{ as: 'r', action: 'read', secret: 'a', expect: 'allow' }] }),
        sourceOf({ roles: { r: { allow: [{ secrets: ['a'] }] } } }),
      ],
      { types },
    )
    expect(compiled).toHaveProperty('policy')
  })

  test('of any shape give complaints or a policy, and never throw', () => {
    const key = fc.constantFrom(
      'roles',
      'bindings',
      'tests',
      'r',
      'allow',
      'deny',
      'secrets',
      'labels',
      'as',
      '__proto__',
      'role',
      'tokens',
    )
    const { tree } = fc.letrec(tie => ({
      tree: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom<unknown>(null, '', 'r', 'a/*', 7, true),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      ),
    }))
    const form = fc.record(
      { roles: fc.dictionary(key, tree), bindings: fc.array(tree, { maxLength: 3 }), tests: fc.array(tree, { maxLength: 3 }) },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.oneof(tree, form), value => {
        const compiled = compile([sourceOf(value)], { types })
        if ('complaints' in compiled) expect(compiled.complaints.length).toBeGreaterThan(0)
      }),
      { numRuns: 3000, seed: 1 },
    )
  })
})

describe('tests of a policy', () => {
  const source = (tests: unknown) =>
    sourceOf(
      {
        roles: { worker: { allow: [{ types: ['database'], actions: ['read'] }] } },
        bindings: [{ role: 'worker', serviceAccounts: ['shop/web'] }],
        tests,
      },
      ['access'],
    )
  const factsOf = (name: string) => (name === 'shop/db' ? { type: 'database' } : name === 'shop/x' ? { type: 'generic' } : undefined)

  function failures(tests: unknown): readonly Complaint[] {
    const compiled = compile([source(tests)], { types })
    if ('complaints' in compiled) throw new Error(JSON.stringify(compiled.complaints))
    return failedTests(compiled.policy, compiled.tests, factsOf)
  }

  test('pass for roles and principals, by the types that the config knows', () => {
    expect(
      failures([
        { as: 'worker', action: 'read', secret: 'shop/db', expect: 'allow' },
        { as: 'serviceAccount:shop/web', action: 'read', secret: 'shop/db', expect: 'allow' },
        { as: 'token:web', action: 'read', secret: 'shop/db', expect: 'deny' },
        { as: 'worker', action: 'read', secret: 'shop/x', expect: 'deny' },
        { as: 'worker', action: 'read', secret: 'unknown', expect: 'deny' },
      ]),
    ).toEqual([])
  })

  test('fail with the place of the test and the rule that decided', () => {
    expect(
      failures([
        { as: 'worker', action: 'read', secret: 'shop/db', expect: 'deny' },
        { as: 'worker', action: 'write', secret: 'shop/db', expect: 'allow' },
      ]),
    ).toEqual([
      {
        at: { file: 'access.tests.0', line: 1, column: 1 },
        path: 'access.tests[0]',
        message: 'read shop/db as worker is allowed by the allow rule of worker at access.roles.worker.allow.0:1:1',
        remedy: 'the test expects deny: change the rule or the test',
      },
      {
        at: { file: 'access.tests.1', line: 1, column: 1 },
        path: 'access.tests[1]',
        message: 'write shop/db as worker is denied by no rule: what nothing allows is denied',
        remedy: 'the test expects allow: change the rule or the test',
      },
    ])
  })
})
