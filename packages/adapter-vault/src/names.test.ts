import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { folderOf, kvOf, nameOf, pathInV2, placeInV1, placeInV2, wirePath } from './names.ts'

describe('the kind of a path', () => {
  test.each([
    ['secret/data/agentaskit/api-keys', {}, 2],
    ['secret/agentaskit/api-keys', {}, 1],
    ['secret/database', {}, 1],
    ['team/kv/data/app', {}, 1],
    ['team/kv/data/app', { mount: 'team/kv' }, 2],
    ['kv/data/app', { kv: 1 }, 1],
    ['secret/data/', {}, 2],
  ] as const)('%s with %j is KV v%i', (path, options, kv) => {
    expect(kvOf(path, options)).toBe(kv)
  })
})

describe('a name', () => {
  test.each([
    ['secret/data/agentaskit/api-keys', {}, 'agentaskit/api-keys'],
    ['team/kv/data/app/db', { mount: 'team/kv' }, 'app/db'],
    ['kv/app/db', {}, 'kv/app/db'],
  ])('of %s with %j is %s', (path, options, name) => {
    expect(nameOf(path, options)).toBe(name)
  })
})

test('of a whole mount is for a person to say', () => {
  expect(() => nameOf('secret/data')).toThrow(expect.objectContaining({ code: 'invalid_argument', hint: expect.stringContaining('name:') }))
})

describe('a path is refused, never repaired', () => {
  test.each([
    '',
    'secret',
    'secret/data',
    'secret/data/',
    'secret/data//x',
    'secret/data/../../sys/raw/x',
    'secret/data/./x',
    'secret/data/x/..',
    '/secret/data/x',
    'secret/data/x/',
    'secret/data/x?version=1',
    'secret/data/x#y',
    'secret/data/%2e%2e/x',
    'secret/data/a%2fb',
    'secret/data/a\\b',
    'secret/data/a\nb',
    'secret/data/a\0b',
    'secret/data/\u202ex',
    'secret/data/ x',
    'secret/data/x ',
    `secret/data/${'x'.repeat(2_000)}`,
    'secret/metadata/x',
    'other/secret/data/x',
  ])('%j', path => {
    expect(() => placeInV2(path, { mount: 'secret' })).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
  })

  test('and a KV v1 path outside its mount too', () => {
    expect(() => placeInV1('other/x', { mount: 'kv' })).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
  })
})

test('a path that is accepted comes back as it was, and its wire form decodes to it', () => {
  const segment = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), segments => {
      const path = `secret/data/${segments.join('/')}`
      let place: ReturnType<typeof placeInV2>
      try {
        place = placeInV2(path, {})
      } catch {
        return
      }
      expect(pathInV2(place)).toBe(path)
      expect(decodeURIComponent(wirePath(path))).toBe(path)
      expect(new URL(`http://h/v1/${wirePath(path)}`).pathname).toBe(`/v1/${wirePath(path).replaceAll("'", '%27').replaceAll('%27', "'")}`)
    }),
  )
})

describe('a prefix', () => {
  test.each([
    ['secret/data/app/', {}, { mount: 'secret', folder: 'app/', start: '' }],
    ['secret/data/app/d', {}, { mount: 'secret', folder: 'app/', start: 'd' }],
    ['secret/data/', {}, { mount: 'secret', folder: '', start: '' }],
    ['secret/da', {}, { mount: 'secret', folder: '', start: '' }],
    ['', { mount: 'team/kv' }, { mount: 'team/kv', folder: '', start: '' }],
  ])('%j with %j is %j', (prefix, options, folder) => {
    expect(folderOf(prefix, options, 2)).toEqual(folder)
  })

  test.each(['', 'secret/metadata/x', 'secret/data/../x/', 'secret/data//x'])('%j is refused', prefix => {
    expect(() => folderOf(prefix, {}, 2)).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
  })
})
