import { secretName } from '@keyturn/core'
import { expect, test } from 'vitest'
import { pathOf } from './names.ts'
import { nameOf, options } from './options.ts'

test('a name is its own path, there and back', () => {
  for (const name of ['a', 'payments/stripe', 'über/ß@1']) expect(nameOf(pathOf(secretName(name)))).toBe(name)
})

test.each(['', 'a//b', '../a', 'a b', 'a\0', 'e\u0301', 'x'.repeat(600)])('%j is no path', path => {
  expect(() => nameOf(path)).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
})

test('options: a file, and nothing else', () => {
  expect(options.parse({})).toEqual({})
  expect(options.safeParse({ file: '' }).success).toBe(false)
  expect(options.safeParse({ file: 'a\0b' }).success).toBe(false)
  expect(options.safeParse({ path: 'x' }).success).toBe(false)
})
