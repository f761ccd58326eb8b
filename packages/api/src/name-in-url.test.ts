import { BrokerError, type SecretId, type SecretName, secretName } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkTarget, nameInTarget, pathOfName, pathOfReference, referenceInTarget } from './name-in-url.ts'

const prefix = '/v1/secrets/'

/** The name, or undefined when the target is refused; anything but a refusal fails. */
function nameOrRefusal(target: string): string | undefined {
  try {
    return nameInTarget(target, prefix)
  } catch (error) {
    expect(error).toBeInstanceOf(BrokerError)
    expect((error as BrokerError).code).toBe('invalid_argument')
    return undefined
  }
}

// what attackers put between the door that decides and the one that fetches, encoded once, twice, overlong and by halves
const dots = [
  '.',
  '..',
  '...',
  '%2e',
  '%2E',
  '%2e.',
  '.%2e',
  '%2e%2e',
  '%2E%2e',
  '%252e',
  '%252e%252e',
  '%25252e',
  '%c0%ae',
  '%c0%ae%c0%ae',
  '%e0%80%ae',
  '%uff0e',
  '%u002e%u002e',
  '\uff0e\uff0e',
  '%ef%bc%8e%ef%bc%8e',
  '..;',
  '..;x=y',
  '.;',
  ';..',
  '..%00',
  '..%20',
  '%20..',
  '..%09',
  '..\\',
  '..%5c',
  '%2e%2e%5c',
  '..%c1%9c',
  '..%ff',
  '%2e%2e%2f',
  '..%2f',
  '%2f..',
  '..%252f',
  '%e2%80%a5',
  '\u2025',
]
const slashes = [
  '',
  '/',
  '//',
  '%2f',
  '%2F',
  '%2f%2f',
  '%252f',
  '%255c',
  '\\',
  '%5c',
  '%5C',
  '%c0%af',
  '%e0%80%af',
  '%f0%80%80%af',
  '\uff0f',
  '%ef%bc%8f',
  '\u2215',
  '%e2%88%95',
  '%u2215',
]
const signs = [
  '%',
  '%%',
  '%2',
  '%zz',
  '%2g',
  '%25',
  '%2525',
  '?',
  '%3f',
  '#',
  '%23',
  '*',
  '%2a',
  ';',
  '%3b',
  ';a=b',
  ':',
  '%3a',
  '@',
  '&',
  '=',
  '+',
  '%2b',
  '~',
  '%7e',
  '$',
  '|',
  '"',
  '<',
  '>',
  '{',
  '}',
  '^',
  '`',
  "'",
  ',',
  '!',
  '(',
  ')',
  '[',
  ']',
]
const spaces = [
  ' ',
  '%20',
  '\t',
  '%09',
  '\n',
  '%0a',
  '%0d%0a',
  '%0d',
  '\r\n',
  '%0b',
  '%0c',
  '%85',
  '%c2%85',
  '%c2%a0',
  '%e2%80%a8',
  '%e3%80%80',
  '\u00a0',
  '\u0000',
  '%00',
  '%00.env',
  '%01',
  '%1f',
  '%7f',
  '%c2%80',
  '%e2%80%8b',
  '%e2%80%ae',
  '%e2%81%a6',
  '%ef%bb%bf',
  '%f3%a0%81%81',
  '%c2%ad',
]
const texts = [
  'e%cc%81',
  'e\u0301',
  '%c3%a9',
  'é',
  '%ed%a0%80',
  '%ed%b0%80',
  '%f4%90%80%80',
  '%f8%88%80%80%80',
  '%80',
  '%c3',
  '%c3%28',
  '%e2%84%aa',
  '%e2%84%ab',
  '%f0%9f%94%91',
  'K\u212a',
  'x'.repeat(513),
  '%78'.repeat(513),
  'x/'.repeat(16),
  'x%2f'.repeat(17),
  '__proto__',
  'constructor',
  'http://evil/',
  '//evil/x',
  '@evil',
  ':80',
]
const pieces = [...dots, ...slashes, ...signs, ...spaces, ...texts]
const places = [
  (piece: string) => piece,
  (piece: string) => `${piece}/b`,
  (piece: string) => `a/${piece}`,
  (piece: string) => `a/${piece}/b`,
  (piece: string) => `a%2F${piece}%2Fb`,
  (piece: string) => `a${piece}b`,
  (piece: string) => `a/${piece}/${piece}/b`,
  (piece: string) => `a/b?x=${piece}`,
]
const corpus = places.flatMap(place => pieces.map(piece => `${prefix}${place(piece)}`))

describe('the corpus of hostile targets', () => {
  test('has at least 500 different ones, and both ends occur', () => {
    expect(new Set(corpus).size).toBeGreaterThanOrEqual(500)
    const accepted = corpus.filter(target => nameOrRefusal(target) !== undefined)
    expect(accepted.length).toBeGreaterThan(100)
    expect(corpus.length - accepted.length).toBeGreaterThan(500)
  })

  test.each(places.map((place, at) => [place('PIECE'), at] as const))(
    '%s is refused, or yields exactly the name that was meant',
    (_, at) => {
      for (const piece of pieces) {
        const target = `${prefix}${places[at]?.(piece)}`
        const name = nameOrRefusal(target)
        if (name === undefined) continue
        // what a plain reading of the text means, decoded once and with nothing resolved
        const meant = decodeURIComponent(target.slice(prefix.length).split('?')[0] ?? '')
        expect(name, target).toBe(meant)
        expect(secretName(name)).toBe(name)
        // what any other parser on the way makes of it
        expect(decodeURIComponent(new URL(target, 'http://other').pathname.slice(prefix.length)), target).toBe(name)
        expect(
          name.split('/').some(segment => segment === '' || segment === '.' || segment === '..'),
          target,
        ).toBe(false)
      }
    },
  )

  test.each([
    'a/../b',
    'a/%2e%2e/b',
    'a%2f..%2fb',
    'a%2F%2E%2E%2Fb',
    '..%2f..%2fetc',
    'a//b',
    'a%2f%2fb',
    '/a',
    'a/',
    'a%2f',
    '',
    '.',
    '%2e',
    'a/./b',
    'a%5cb',
    'a\\b',
    'a%252fb',
    'a%00',
    'a%20b',
    'a b',
    'a%0ab',
    'a#b',
    'a%23b',
    'a%3fb',
    'a*',
    'a%2a',
    'a%25',
    '%c0%af',
    'a%',
    'e%cc%81',
    'a%e2%80%aeb',
    `${'x'.repeat(513)}`,
    '%78'.repeat(513),
    `${'x/'.repeat(16)}x`,
  ])('%.40s is refused', rest => {
    expect(nameOrRefusal(prefix + rest)).toBeUndefined()
  })

  test.each([
    ['a/b', 'a/b'],
    ['a%2Fb', 'a/b'],
    ['a%2fb?stage=previous', 'a/b'],
    ['%61/b', 'a/b'],
    ['.env', '.env'],
    ['a/..b', 'a/..b'],
    ['a/...', 'a/...'],
    ['caf%C3%A9', 'café'],
    ['a;b', 'a;b'],
    ['a@b:c+d=e~f', 'a@b:c+d=e~f'],
    ['%F0%9F%94%91', '🔑'],
  ])('%s means %s', (rest, name) => {
    expect(nameInTarget(prefix + rest, prefix)).toBe(name)
  })
})

describe('a refusal', () => {
  test('says which rule and echoes nothing of the target', () => {
    for (const rest of ['hunter2%zz', 'hunter2/../x', 'hunter2 ', 'hunter2//', 'hunter2#']) {
      try {
        nameInTarget(prefix + rest, prefix)
        expect.unreachable()
      } catch (error) {
        expect(JSON.stringify(error)).not.toContain('hunter2')
      }
    }
  })

  test.each([
    '*',
    'http://broker/v1/secrets/a',
    'v1/secrets/a',
    '//evil/v1/secrets/a',
    '/\\evil',
    '',
    '/v1/other/a',
    `/v1/secrets/${'a'.repeat(4096)}`,
  ])('meets the target %.40s', target => {
    expect(nameOrRefusal(target)).toBeUndefined()
  })

  test('meets every target that a URL parser would change, and no other', () => {
    const piece = fc.constantFrom(
      'a',
      '.',
      '..',
      '/',
      '//',
      '%2e',
      '%2F',
      '%',
      '?',
      '#',
      '\\',
      ' ',
      '\t',
      'é',
      ';',
      ':',
      '@',
      '"',
      "'",
      '|',
      '~',
      '=',
      '_',
      '-',
      '+',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), parts => {
        const target = `/${parts.join('')}`
        const kept =
          !target.includes('#') &&
          [URL.parse(`http://h${target}`), URL.parse(target, 'http://h')].every(url => url?.href === `http://h${target}`)
        let accepted = true
        try {
          checkTarget(target)
        } catch (error) {
          expect(error).toBeInstanceOf(BrokerError)
          accepted = false
        }
        expect(accepted, target).toBe(kept)
      }),
      { numRuns: 5000, seed: 1 },
    )
  })
})

describe('paths made for clients', () => {
  const character = fc.oneof(fc.constantFrom(...'abcXYZ019._-@+=:~;,!$&\'()[]{}<>|^`"'), fc.constantFrom('é', '日', '🔑'))
  const name = fc
    .array(fc.string({ unit: character, minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 5 })
    .map(segments => segments.join('/'))
    .filter(text => !text.split('/').some(segment => segment === '.' || segment === '..'))
    .map(text => secretName(text))

  test('lead back to the name, whatever it is made of', () => {
    fc.assert(
      fc.property(name, meant => {
        expect(nameInTarget(pathOfName(prefix, meant), prefix)).toBe(meant)
        expect(referenceInTarget(pathOfReference('/r/', { name: meant }), '/r/')).toEqual({ name: meant })
        expect(pathOfReference('/r/', { name: meant }).slice(3)).not.toContain('/')
      }),
      { numRuns: 3000, seed: 1 },
    )
  })

  test('and any other percent-encoding of a name leads to it or is refused', () => {
    const encoded = (text: string, choices: readonly number[]) =>
      [...Buffer.from(text)].map((byte, at) => {
        const hex = byte.toString(16).padStart(2, '0')
        const choice = byte > 0x7f ? 1 + ((choices[at % choices.length] ?? 0) % 2) : (choices[at % choices.length] ?? 0)
        return choice === 0 ? String.fromCharCode(byte) : `%${choice === 1 ? hex : hex.toUpperCase()}`
      })
    fc.assert(
      fc.property(name, fc.array(fc.nat(2), { minLength: 1, maxLength: 20 }), (meant, choices) => {
        const found = nameOrRefusal(prefix + encoded(meant, choices).join(''))
        if (found !== undefined) expect(found).toBe(meant)
      }),
      { numRuns: 3000, seed: 2 },
    )
  })

  test('an id stands for itself; what only looks like one is a name', () => {
    const id = 'sec_01JD8Z4T5V9QW3R7XK2M6N8P0A' as SecretId
    expect(referenceInTarget(pathOfReference('/r/', { id }), '/r/')).toEqual({ id })
    expect(referenceInTarget('/r/sec_short', '/r/')).toEqual({ name: 'sec_short' as SecretName })
    expect(referenceInTarget(`/r/${id}%2Fx`, '/r/')).toEqual({ name: `${id}/x` })
  })
})
