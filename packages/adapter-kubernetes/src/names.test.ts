import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nameOf, namespaceOf, Places } from './names.ts'

const places = new Places([{ path: 'shop/a---b' }, { path: 'shop/stripe' }, { path: 'shop/' }])

describe('a path', () => {
  test.each([
    ['shop/stripe', 'stripe'],
    ['shop/tls.example.com', 'tls.example.com'],
    ['shop/payments/stripe', 'payments---stripe'],
    ['shop/db_url', 'db----5furl'],
    ['shop/appKey', 'app----4bey'],
    ['shop/a---c', 'a----2d----2d-c'],
    ['shop/v1.2/key', 'v1----2e2---key'],
  ])('%s is the Secret %s', (path, name) => {
    expect(places.of(path)).toEqual({ namespace: 'shop', name })
    expect(places.pathOf({ namespace: 'shop', name })).toBe(path)
  })

  test('that the config names is used as it is, though it looks like an escape', () => {
    expect(places.of('shop/a---b')).toEqual({ namespace: 'shop', name: 'a---b' })
    expect(places.pathOf({ namespace: 'shop', name: 'a---b' })).toBe('shop/a---b')
    expect(() => places.of('shop/a/b')).toThrow('which the config names as a secret of its own')
    expect(new Places().of('shop/a/b')).toEqual({ namespace: 'shop', name: 'a---b' })
  })

  test.each([
    ['', 'namespace'],
    ['shop', 'namespace'],
    ['shop/', 'names no Secret'],
    ['/stripe', 'namespace'],
    ['Shop/stripe', 'namespace'],
    ['../stripe', 'namespace'],
    ['shop%2f/stripe', 'namespace'],
    [`${'n'.repeat(64)}/stripe`, 'namespace'],
    ['shop/Stripe', 'start and end'],
    ['shop/-x', 'start and end'],
    ['shop/.x', 'start and end'],
    [`shop/${'x'.repeat(254)}`, '253'],
    [`shop/${'é'.repeat(20)}`, 'start and end'],
    [`shop/${'x'.repeat(2_000)}`, 'longer than 1024 bytes'],
    ['shop/a\ud800', 'half a character'],
  ])('%j is refused: %s', (path, why) => {
    expect(() => places.of(path)).toThrow(why)
  })

  test('meets no other path in a Secret, and every Secret leads back', () => {
    const part = fc.oneof(
      fc.constantFrom('a', 'F', '2', '-', '--', '/', '_', '.', '----41', '---', 'é', '2e'),
      fc.string({ unit: 'binary', minLength: 1 }),
    )
    const rest = fc.array(part, { minLength: 1, maxLength: 8 }).map(parts => `x${parts.join('')}y`)
    const seen = new Map<string, string>()
    fc.assert(
      fc.property(fc.constantFrom('shop', 'a', 'a-b'), rest, (namespace, each) => {
        const path = `${namespace}/${each}`
        let place: ReturnType<Places['of']>
        try {
          place = places.of(path)
        } catch {
          return
        }
        expect(place.name).toMatch(/^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)
        expect(places.pathOf(place)).toBe(path)
        const key = `${place.namespace}/${place.name}`
        expect(seen.get(key) ?? path).toBe(path)
        seen.set(key, path)
      }),
      { numRuns: 1_000 },
    )
    expect(seen.size).toBeGreaterThan(200)
  })

  test('of a Secret that nobody’s path means is not made up', () => {
    for (const name of ['a----zz', 'a----61b', 'x---y-------']) expect(places.pathOf({ namespace: 'shop', name })).toBeUndefined()
  })
})

describe('the default name', () => {
  test('is the path, and the namespace for all below it', () => {
    expect(nameOf('shop/stripe')).toBe('shop/stripe')
    expect(nameOf('shop')).toBe('shop')
    for (const path of ['', 'Shop', 'Shop/x', 'shop/X']) expect(() => nameOf(path)).toThrow('not a path of kubernetes')
  })
})

describe('a prefix', () => {
  test('lies in one namespace or may cover several', () => {
    expect(namespaceOf('shop/pay')).toBe('shop')
    expect(namespaceOf('sho')).toBeUndefined()
    expect(namespaceOf('')).toBeUndefined()
    expect(() => namespaceOf('../')).toThrow('a prefix starts with a namespace')
  })
})
