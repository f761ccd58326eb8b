import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Alphabet, escapedName, unescapedName } from './escaped-name.ts'

const folding: Alphabet = { allowed: /^[0-9A-Za-z-]+$/, literal: /[0-9a-z]/ }
const wide: Alphabet = { allowed: /^[\w-]+$/, literal: /\w/ }

describe('escaped names', () => {
  test.each([
    ['database-password', 'database-password'],
    ['ConnectionStrings--Db', 'ConnectionStrings--Db'],
    ['prod/payments/stripe-key', 'prod---payments---stripe-key'],
    ['a---b', 'a----2d----2d-b'],
    ['a/-b', 'a----2f-b'],
    ['app/Db_url', 'app----2f----44b----5furl'],
    ['app/ü', 'app----2f----c3----bc'],
  ])('%s', (path, name) => {
    expect(escapedName(path, folding)).toBe(name)
    expect(unescapedName(name, folding)).toBe(path)
  })

  test.each(['a----zz', 'a----ff', 'a----41', 'a---', 'b_c'])('%s is the name of no path', name => {
    expect(unescapedName(name, folding)).toBeUndefined()
  })

  test('half a character is refused', () => {
    expect(() => escapedName('a/\ud800', folding)).toThrow('half a character')
  })

  test.each([folding, wide])('no two paths meet, and every name leads back', alphabet => {
    const path = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', 'F', '2', '-', '--', '/', '_', '.', '----41', '---', 'é'), minLength: 1 }),
      fc.string({ unit: 'binary', minLength: 1 }),
    )
    fc.assert(
      fc.property(path, each => {
        const name = escapedName(each, alphabet)
        expect(name).toMatch(alphabet.allowed)
        expect(unescapedName(name, alphabet)).toBe(each)
      }),
      { numRuns: 2_000 },
    )
  })

  test('names that only differ in capitals stand for paths that need no escape', () => {
    const needy = fc.string({ unit: fc.constantFrom('a', 'A', '/', '-', 'b', 'B'), minLength: 2 }).filter(path => path.includes('/'))
    fc.assert(
      fc.property(needy, needy, (one, other) => {
        const [a, b] = [escapedName(one, folding), escapedName(other, folding)]
        expect(a.toLowerCase() === b.toLowerCase()).toBe(one === other)
      }),
    )
  })
})
