import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nameOf, pathOf, sameInVault, vaultName } from './names.ts'

/** What Key Vault takes. */
const allowed = /^[0-9A-Za-z-]{1,127}$/
const segment = fc.string({ unit: fc.constantFrom('a', 'B', '0', '-', '_', '.', ' ', 'é', '\u{1f511}'), minLength: 1, maxLength: 5 })
const path = fc.oneof(
  fc.array(segment, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/')),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
  fc.stringMatching(/^[0-9A-Za-z-]{1,12}$/),
)

function named(each: string): string | undefined {
  try {
    return vaultName(each)
  } catch {
    return undefined
  }
}

describe('names of Key Vault', () => {
  test.each([
    ['StripeApiKey', 'StripeApiKey'],
    ['ConnectionStrings--Orders', 'ConnectionStrings--Orders'],
    ['shop/stripe_key', 'shop---stripe----5fkey'],
    ['shop/Stripe', 'shop----2f----53tripe'],
    ['a'.repeat(127), 'a'.repeat(127)],
  ])('%s is %s, and back', (each, name) => {
    expect([vaultName(each), pathOf(name), nameOf(each)]).toEqual([name, each, each])
  })

  test.each([
    ['', 'empty'],
    ['a'.repeat(128), '128 characters'],
    [`${'é'.repeat(11)}/x`, 'characters, of at most 127'],
    ['a---b', 'three dashes'],
    ['x/\ud800', 'half a character'],
  ])('%j is refused', (each, why) => {
    expect(() => vaultName(each)).toThrow(expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining(why) }))
  })

  test('a path that looks like an escaped name is told what it means', () => {
    expect(() => vaultName('shop---stripe')).toThrow(expect.objectContaining({ hint: 'write "shop/stripe"' }))
    expect(() => vaultName('Shop---Stripe')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('no path leads to this one') }),
    )
  })

  test.each(['Shop---Stripe', 'a---', 'a----zz', 'a----2d----2d-b'])('%s belongs to no path', name => {
    expect(pathOf(name)).toBeUndefined()
  })

  test('every path has a name that Key Vault takes and that leads back, or is refused', () => {
    fc.assert(
      fc.property(path, each => {
        const name = named(each)
        if (name === undefined) return
        expect(name).toMatch(allowed)
        expect(pathOf(name)).toBe(each)
      }),
      { numRuns: 3_000 },
    )
  })

  test('two paths share a name, in whatever case, only where both are plain names that differ in case', () => {
    fc.assert(
      fc.property(path, path, (one, other) => {
        const [a, b] = [named(one), named(other)]
        if (one === other || a === undefined || b === undefined || a.toLowerCase() !== b.toLowerCase()) return
        expect([one, other].every(each => allowed.test(each)) && one.toLowerCase() === other.toLowerCase()).toBe(true)
        expect(sameInVault([one, 'x', other])).toEqual([one, other])
      }),
      { numRuns: 3_000 },
    )
    fc.assert(
      fc.property(
        fc.array(
          fc.stringMatching(/^[abAB-]{1,3}$/).filter(each => !each.includes('---')),
          { maxLength: 6 },
        ),
        paths => {
          const folded = new Set([...new Set(paths)].map(each => each.toLowerCase()))
          expect(sameInVault(paths) === undefined).toBe(folded.size === new Set(paths).size)
        },
      ),
    )
  })
})
