import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { secretName } from './name.ts'

const refused = expect.objectContaining({ code: 'invalid_argument' })

describe('the name of a secret', () => {
  test.each([
    'a',
    'payments/stripe',
    'app/db.credentials_1',
    'team@eu/key-1+2=3:4~5',
    'grün/schlüssel',
    '日本/鍵',
    'a'.repeat(512),
    '...',
    'a/..b/c..',
  ])('takes %s as it is', text => {
    expect(secretName(text)).toBe(text)
  })

  test.each([
    ['nothing', ''],
    ['a leading slash', '/a'],
    ['a trailing slash', 'a/'],
    ['an empty segment', 'a//b'],
    ['the same place', 'a/./b'],
    ['the place above', 'a/../b'],
    ['only the place above', '..'],
    ['a backslash', 'a\\b'],
    ['what is percent-encoded', 'a%2fb'],
    ['a percent sign', 'a%'],
    ['a star', 'a/*'],
    ['a question mark', 'a?b'],
    ['a fragment', 'a#b'],
    ['a space', 'a b'],
    ['a no-break space', 'a\u00a0b'],
    ['a line', 'a\nb'],
    ['NUL', 'a\0b'],
    ['DEL', 'a\u007fb'],
    ['a bidi override', 'a\u202eb'],
    ['a zero width joiner', 'a\u200db'],
    ['a byte order mark', '\ufeffa'],
    ['a line separator', 'a\u2028b'],
    ['a lone surrogate', 'a\ud800b'],
    ['what is not NFC', 'gru\u0308n'],
    ['513 bytes', 'a'.repeat(513)],
    ['513 bytes in fewer characters', 'ü'.repeat(257)],
    ['17 segments', Array(17).fill('a').join('/')],
  ])('refuses %s and does not repair it', (_, text) => {
    expect(() => secretName(text)).toThrow(refused)
  })

  test('has 16 segments at most', () => {
    const text = Array(16).fill('a').join('/')
    expect(secretName(text)).toBe(text)
  })

  test('is a fixed point of every form that something between us and a store may put it in', () => {
    const characters = fc.constantFrom(...'ab/.%2eE~\\ \u0301\u00e9é?#*;:@', '\u202e', '\u0000', '😀', '\ufb01', '/../', '//')
    const texts = fc.oneof(
      fc.array(characters, { maxLength: 12 }).map(parts => parts.join('')),
      fc.string({ unit: 'binary' }),
    )
    let accepted = 0
    fc.assert(
      fc.property(texts, text => {
        let name: string
        try {
          name = secretName(text)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_argument' })
          return
        }
        accepted += 1
        expect(name).toBe(text)
        expect(name.normalize('NFC')).toBe(name)
        expect(decodeURIComponent(name)).toBe(name)
        expect(decodeURIComponent(new URL(`http://h/${encodeURI(name)}`).pathname)).toBe(`/${name}`)
        expect(secretName(name)).toBe(name)
      }),
      { numRuns: 3_000 },
    )
    expect(accepted).toBeGreaterThan(100)
  })
})
