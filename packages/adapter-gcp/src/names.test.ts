import { BrokerError } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { folderOf, nameOf, pathOf, placeOf, secretName } from './names.ts'

const home = { project: 'shop-prod' }

function codeOf(run: () => unknown): string {
  try {
    run()
    return 'ended well'
  } catch (error) {
    return error instanceof BrokerError ? error.code : 'another error'
  }
}

describe('a path', () => {
  test.each([
    ['stripe-key', 'projects/shop-prod/secrets/stripe-key'],
    ['A_b-1', 'projects/shop-prod/secrets/A_b-1'],
    ['prod/payments/stripe', 'projects/shop-prod/secrets/prod---payments---stripe'],
    ['a.b', 'projects/shop-prod/secrets/a----2eb'],
    ['projects/other-1/secrets/stripe-key', 'projects/other-1/secrets/stripe-key'],
    ['projects/4711/secrets/a---b', 'projects/4711/secrets/a---b'],
    ['projects/example.com:shop/secrets/a', 'projects/example.com:shop/secrets/a'],
  ])('%s is %s', (path, name) => {
    expect(secretName(placeOf(path, home))).toBe(name)
  })

  test('in a location is below it', () => {
    const here = { ...home, location: 'europe-west3' }
    expect(secretName(placeOf('a', here))).toBe('projects/shop-prod/locations/europe-west3/secrets/a')
    expect(secretName(placeOf('projects/p/locations/europe-west3/secrets/a', here))).toBe('projects/p/locations/europe-west3/secrets/a')
    expect(codeOf(() => placeOf('projects/p/secrets/a', here))).toBe('invalid_argument')
    expect(codeOf(() => placeOf('projects/p/locations/europe-west1/secrets/a', here))).toBe('invalid_argument')
    expect(codeOf(() => placeOf('projects/p/locations/europe-west3/secrets/a', home))).toBe('invalid_argument')
  })

  test.each([
    '',
    'projects/',
    'projects/p',
    'projects/p/secrets',
    'projects/p/secrets/',
    'projects/p/secrets/a/versions/1',
    'projects/p/secrets/a b',
    'projects/p/secrets/a.b',
    'projects/p/secrets/..',
    'projects/P/secrets/a',
    'projects/p%2fx/secrets/a',
    'projects/../secrets/a',
    `projects/p/secrets/${'a'.repeat(256)}`,
    'a'.repeat(256),
    `${'ü'.repeat(40)}`,
    'x\ud800',
  ])('%j is refused', path => {
    expect(codeOf(() => placeOf(path, home))).toBe('invalid_argument')
  })

  test('of a section without a project needs its full name', () => {
    expect(codeOf(() => placeOf('a', {}))).toBe('invalid_argument')
    expect(secretName(placeOf('projects/p/secrets/a', {}))).toBe('projects/p/secrets/a')
  })
})

describe('two paths', () => {
  // full names are left out: they say the same secret in other words
  const path = fc
    .oneof(
      fc.string({ unit: fc.constantFrom('a', 'B', '2', '-', '--', '/', '_', '.', '----41', '---', 'é', ' '), minLength: 1, maxLength: 30 }),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
    )
    .filter(each => each.isWellFormed() && !each.startsWith('projects/') && codeOf(() => placeOf(each, home)) === 'ended well')

  test('never meet, and each is listed as itself', () => {
    fc.assert(
      fc.property(path, path, (one, other) => {
        const [first, second] = [secretName(placeOf(one, home)), secretName(placeOf(other, home))]
        expect(first === second).toBe(one === other)
        expect(first).toMatch(/^projects\/shop-prod\/secrets\/[A-Za-z0-9_-]{1,255}$/)
        // the service names projects by their number
        expect(pathOf(first.replace('shop-prod', '4711'), '')).toBe(one)
      }),
      { numRuns: 2_000 },
    )
  })

  test('that say one secret in full and in short are one place', () => {
    expect(placeOf('projects/shop-prod/secrets/a', home)).toEqual(placeOf('a', home))
  })
})

describe('a listed secret', () => {
  test.each([
    ['prod---payments---stripe', 'prod/', 'prod/payments/stripe'],
    ['stripe', '', 'stripe'],
    ['stripe', 'projects/shop-prod/secrets/', 'projects/shop-prod/secrets/stripe'],
    ['a---b', 'projects/shop-prod/secrets/', 'projects/shop-prod/secrets/a---b'],
    // no path leads to this id
    ['a----zz', '', 'projects/4711/secrets/a----zz'],
  ])('%s below %j is %s, which leads back', (id, prefix, path) => {
    expect(pathOf(`projects/4711/secrets/${id}`, prefix)).toBe(path)
    expect(placeOf(path, home).id).toBe(id)
  })

  test('is looked for in the project that the prefix names', () => {
    expect(folderOf('prod/', home)).toBe('projects/shop-prod')
    expect(folderOf('projects/other/secrets/', home)).toBe('projects/other')
    expect(folderOf('projects/other/secrets/app', home)).toBe('projects/other')
    for (const prefix of ['projects/', 'projects/other/', 'projects/o/locations/l/secrets/']) {
      expect(codeOf(() => folderOf(prefix, home))).toBe('invalid_argument')
    }
  })
})

describe('the broker’s name', () => {
  test('of a full name is the id', () => {
    expect(nameOf('projects/p/secrets/stripe-key')).toBe('stripe-key')
    expect(nameOf('projects/p/locations/l/secrets/stripe-key', { location: 'l' })).toBe('stripe-key')
    expect(nameOf('prod/stripe')).toBe('prod/stripe')
  })

  test.each(['a---b', 'a----2eb', '---'])('of %s is refused: it could be another path’s id', path => {
    expect(codeOf(() => nameOf(path))).toBe('invalid_argument')
    expect(nameOf(`projects/p/secrets/${path}`)).toBe(path)
  })
})
