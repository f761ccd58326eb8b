import { describe, expect, test } from 'vitest'
import { readPattern } from './name-pattern.ts'

describe('a pattern', () => {
  test.each([
    ['payments/stripe', { segments: ['payments', 'stripe'], rest: null }],
    ['payments/*', { segments: ['payments'], rest: '' }],
    ['payments/str*', { segments: ['payments'], rest: 'str' }],
    ['+/db/+', { segments: [null, 'db', null], rest: null }],
    ['+/*', { segments: [null], rest: '' }],
    ['*', { segments: [], rest: '' }],
    ['a+b', { segments: ['a+b'], rest: null }],
    ['+a*', { segments: [], rest: '+a' }],
    ['a/.*', { segments: ['a'], rest: '.' }],
  ])('%s is read', (text, expected) => {
    expect(readPattern(text)).toEqual(expected)
  })

  test.each([
    ['', 'an empty pattern matches no name', 'write a name, or * for every name'],
    ['a/**', '** is no pattern: one star already covers every level below', 'write "a/*"'],
    ['**', '** is no pattern: one star already covers every level below', 'write "*"'],
    ['a/*/b', 'a star stands only at the end, where it is the rest of the name', 'write + for one whole segment, as in "a/+/b"'],
    ['a/x*y/*', 'a star stands only at the end, where it is the rest of the name', 'write + for one whole segment, as in "a/+/*"'],
    ['**/db', 'a star stands only at the end, where it is the rest of the name', 'write + for one whole segment, as in "+/db"'],
    ['+*', '+* mixes one segment and the rest', 'write "+/*" or "*"'],
    ['a/+*', '+* mixes one segment and the rest', 'write "a/+/*" or "a/*"'],
    ['/a', 'a name does not start with a slash', 'write "a"'],
    ['/a/*', 'a name does not start with a slash', 'write "a/*"'],
    ['a/', 'a name does not end with a slash', 'write "a/*" for all below it'],
  ])('%j is refused with the right form', (text, message, remedy) => {
    expect(readPattern(text)).toEqual({ message, remedy })
  })

  test.each([
    'a//b',
    'a/../b',
    '.',
    'a b',
    'a?',
    'a\\b',
    'a%2Fb',
    'a#b',
    'a\u0000b',
    'cafe\u0301',
    `${'a/'.repeat(16)}a`,
    'x'.repeat(513),
    'a/../*',
  ])('%j, which no canonical name can match, is refused', text => {
    expect(readPattern(text)).toHaveProperty('message', expect.stringMatching(/^no name of a secret can match: /))
  })
})
