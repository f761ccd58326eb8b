import { BrokerError } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from './limits.ts'
import { readStrictJson } from './strict-json.ts'

const read = (text: string) => readStrictJson(Buffer.from(text))

function refusal(body: Uint8Array): BrokerError {
  try {
    readStrictJson(body)
  } catch (error) {
    if (error instanceof BrokerError) return error
    throw error
  }
  throw new Error('it was accepted')
}

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const strings = (count: number) => JSON.stringify(Array.from({ length: count }, () => 's'))

describe('a JSON body', () => {
  test('means what JSON.parse makes of it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), text => {
        if (text.includes('__proto__')) return
        expect(JSON.stringify(read(text))).toBe(JSON.stringify(JSON.parse(text)))
      }),
      { numRuns: 2000, seed: 1 },
    )
  })

  test('that was damaged is refused, or means what JSON.parse makes of it', () => {
    const damage = fc.record({
      at: fc.nat(),
      cut: fc.nat(3),
      put: fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0eE+-.1tfn \n\u0000é'), maxLength: 3 }),
    })
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), damage, (text, { at, cut, put }) => {
        const from = at % (text.length + 1)
        const damaged = text.slice(0, from) + put + text.slice(from + cut)
        let value: unknown
        try {
          value = readStrictJson(Buffer.from(damaged))
        } catch (error) {
          expect(error).toBeInstanceOf(BrokerError)
          return
        }
        expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(damaged)))
      }),
      { numRuns: 3000, seed: 2 },
    )
  })

  test('of random bytes never ends in anything but a refusal or a value', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
        try {
          readStrictJson(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(BrokerError)
        }
      }),
      { numRuns: 2000, seed: 3 },
    )
  })

  test.each([
    ['{"a":1,"a":2}', 'an object has the same member twice'],
    ['{"a":1,"\\u0061":2}', 'an object has the same member twice'],
    ['{"__proto__":{"admin":true}}', 'a member is named __proto__'],
    ['{"\\u005f_proto__":1}', 'a member is named __proto__'],
    ['"\\ud800"', 'a string has a lone surrogate'],
    ['1e999', 'a number is out of range'],
    ['01', 'something follows its end'],
    ['{} {}', 'something follows its end'],
    ['', 'a value is missing or no JSON'],
    ['[1,]', 'a value is missing or no JSON'],
    ['{"a":1,}', 'a member has no name'],
    ['{a:1}', 'a member has no name'],
    ['{"a" 1}', 'a member has no colon'],
    ['[1', 'a list or an object is not closed'],
    ['"a', 'a string is not closed or holds a character that must be escaped'],
    ['"\n"', 'a string is not closed or holds a character that must be escaped'],
    ['"\\x41"', 'a string is not closed or holds a character that must be escaped'],
    ['nul', 'a value is missing or no JSON'],
    ['NaN', 'a value is missing or no JSON'],
    ['-', 'a value is missing or no JSON'],
    ['// x\n1', 'a value is missing or no JSON'],
    ['\ufeff{}', 'a value is missing or no JSON'],
  ])('%j is refused: %s', (text, why) => {
    expect(refusal(Buffer.from(text))).toMatchObject({ code: 'invalid_argument', message: `the body is no acceptable JSON: ${why}` })
  })

  test('that is not UTF-8 is refused', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0xaf, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
    ]) {
      expect(refusal(Uint8Array.from(bytes)).message).toBe('the body is no acceptable JSON: it is not UTF-8')
    }
  })

  test('may be exactly as heavy as the limits say, and no heavier', () => {
    expect(read(nested(limits.jsonDepthMax))).toBeDefined()
    expect(refusal(Buffer.from(nested(limits.jsonDepthMax + 1)))).toMatchObject({
      code: 'invalid_argument',
      detail: { reason: 'json_too_complex' },
    })
    expect(read(strings(limits.jsonStringsMax))).toHaveLength(limits.jsonStringsMax)
    expect(refusal(Buffer.from(strings(limits.jsonStringsMax + 1)))).toMatchObject({ detail: { reason: 'json_too_complex' } })
    const padded = (size: number) => Buffer.from(`"${'x'.repeat(size - 2)}"`)
    expect(readStrictJson(padded(limits.bodyBytesMax))).toHaveLength(limits.bodyBytesMax - 2)
    expect(refusal(padded(limits.bodyBytesMax + 1)).code).toBe('too_large')
  })

  test('counts names of members as strings, and forgets no branch', () => {
    const members = (count: number) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, at) => [`m${at}`, { a: 's' }])))
    expect(read(members(333))).toBeDefined()
    expect(refusal(Buffer.from(members(334))).detail).toEqual({ reason: 'json_too_complex' })
  })

  test('gives objects without a prototype', () => {
    const value = read('{"constructor":1,"toString":2}')
    expect(Object.getPrototypeOf(value)).toBeNull()
    expect(Object.entries(value as object)).toEqual([
      ['constructor', 1],
      ['toString', 2],
    ])
  })

  test('that is refused is never echoed', () => {
    for (const text of ['{"hunter2":1,"hunter2":2}', '"hunter2', 'hunter2', '["hunter2" "hunter2"]', '{"hunter2":\\}']) {
      expect(JSON.stringify(refusal(Buffer.from(text)))).not.toContain('hunter2')
    }
  })
})
