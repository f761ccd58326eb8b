import { BrokerError } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkReadable, checkWritable, nameOf, pathOf } from './names.ts'

const kebab = { names: 'kebab' } as const
const same = { names: 'same' } as const
const variables = fc.stringMatching(/^[\w.-]{1,20}$/)

describe('the name of a variable', () => {
  test('is its own, or its small letters', () => {
    expect(nameOf('DATABASE_URL', same)).toBe('DATABASE_URL')
    expect(nameOf('DATABASE_URL', kebab)).toBe('database-url')
    expect(nameOf('Mixed_Case', kebab)).toBe('Mixed_Case')
    expect(pathOf('database-url', kebab)).toBe('DATABASE_URL')
  })

  test('is refused where it would be that of another variable', () => {
    expect(() => nameOf('test-secret', kebab)).toThrow('test-secret is the name of TEST_SECRET')
    expect(() => pathOf('TEST_SECRET', kebab)).toThrow('small letters')
    expect(nameOf('test-secret', same)).toBe('test-secret')
  })

  test.each([same, kebab])('leads back to the variable, and no two share one: $names', options => {
    const seen = new Map<string, string>()
    fc.assert(
      fc.property(variables, variable => {
        const name = named(variable, options)
        if (name === undefined) return
        expect(pathOf(name, options)).toBe(variable)
        expect(seen.get(name) ?? variable).toBe(variable)
        seen.set(name, variable)
      }),
      { numRuns: 2_000, seed: 41 },
    )
    expect(seen.size).toBeGreaterThan(500)
  })
})

describe('what is no name of a variable', () => {
  test.each(['', 'a b', 'a=b', 'a/b', 'a\nB', 'é', '$A', '__proto__'])('%j is not read', path => {
    expect(() => checkReadable(path)).toThrow(BrokerError)
    expect(() => nameOf(path, same)).toThrow(BrokerError)
  })

  test.each(['1A', 'a-b', 'a.b', '__proto__', '', 'x'.repeat(513)])('%j is not written', path => {
    expect(() => checkWritable(path)).toThrow(BrokerError)
  })

  test.each(['A', '_a1', 'Mixed_Case', 'constructor'])('%j is written', path => {
    expect(() => checkWritable(path)).not.toThrow()
  })
})

function named(variable: string, options: Parameters<typeof nameOf>[1]): string | undefined {
  try {
    return nameOf(variable, options)
  } catch (error) {
    expect(error).toBeInstanceOf(BrokerError)
    return undefined
  }
}
