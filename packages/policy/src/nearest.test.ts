import { expect, test } from 'vitest'
import { nearest } from './nearest.ts'

test.each([
  ['raed', 'read'],
  ['Read', 'read'],
  ['rotatee', 'rotate'],
  ['x', undefined],
  ['completely-else', undefined],
  ['r'.repeat(100_000), undefined],
])('the word nearest to %.20s is %s', (word, expected) => {
  expect(nearest(word, ['read', 'write', 'rotate'])).toBe(expected)
})
