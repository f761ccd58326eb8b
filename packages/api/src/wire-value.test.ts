import { BrokerError, type ErrorCode, type FieldInput, SecretValue } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from './limits.ts'
import { readStrictJson } from './strict-json.ts'
import { fromWire, toPlain, toWire, type WireValue } from './wire-value.ts'

const codeOf = (run: () => unknown): ErrorCode | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    return error instanceof BrokerError ? error.code : undefined
  }
}

describe('a value on the wire', () => {
  test.each<[string, SecretValue, WireValue]>([
    ['text', SecretValue.text('päss\u0000\ufeff'), { value: 'päss\u0000\ufeff' }],
    ['nothing', SecretValue.text(''), { value: '' }],
    ['bytes that are text', SecretValue.bytes(Buffer.from('abc')), { value: 'abc' }],
    ['bytes', SecretValue.bytes(Uint8Array.of(0xff, 0)), { value: { base64: '/wA=' } }],
    [
      'fields',
      SecretValue.fields({ user: 'u', key: Uint8Array.of(0x80), port: { json: '12345678901234567890' } }),
      { fields: { user: 'u', key: { base64: 'gA==' }, port: '12345678901234567890' } },
    ],
    ['one named field', SecretValue.fields({ constructor: 'x' }), { fields: { constructor: 'x' } }],
  ])('%s', (_, value, wire) => {
    expect(toWire(value)).toEqual(wire)
  })

  test('comes back byte for byte, through JSON', () => {
    const content = fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 50 }), fc.string({ unit: 'binary' }))
    const name = fc.string({ minLength: 1, maxLength: 10, unit: 'grapheme' }).filter(text => text !== '__proto__')
    const set = fc.uniqueArray(fc.tuple(name, content), { minLength: 1, maxLength: 5, selector: ([key]) => key })
    const one = content.map(input => (typeof input === 'string' ? SecretValue.text(input) : SecretValue.bytes(input)))
    const value = fc.oneof(
      one,
      set.map(entries => SecretValue.fields(new Map<string, FieldInput>(entries))),
    )
    fc.assert(
      fc.property(value, meant => {
        const body = readStrictJson(Buffer.from(JSON.stringify(toWire(meant))))
        expect(fromWire(body as unknown as WireValue).equals(meant)).toBe(true) // the body is what toWire made
      }),
      { numRuns: 2000, seed: 1 },
    )
  })

  test('of one field has `value` only', () => {
    const value = SecretValue.fields({ user: 'u', port: { json: '5432' } })
    expect(toWire(value, 'port')).toEqual({ value: '5432' })
    expect(codeOf(() => toWire(value, 'absent'))).toBe('not_found')
    expect(codeOf(() => toWire(SecretValue.text('x'), 'user'))).toBe('not_found')
    expect(codeOf(() => toWire(value, 'toString'))).toBe('not_found')
  })

  test('with a field that JSON readers drop is refused whole, and served by its field', () => {
    const value = SecretValue.fields(
      new Map([
        ['__proto__', 'x'],
        ['a', 'b'],
      ]),
    )
    expect(codeOf(() => toWire(value))).toBe('unsupported')
    expect(toWire(value, '__proto__')).toEqual({ value: 'x' })
  })
})

describe('plain text', () => {
  test('is the bytes of one field', () => {
    expect(toPlain(SecretValue.bytes(Uint8Array.of(0xff, 10)))).toEqual(Buffer.of(0xff, 10))
    expect(toPlain(SecretValue.fields({ a: 'x' }))).toEqual(Buffer.from('x'))
    expect(toPlain(SecretValue.fields({ a: 'x', b: 'y' }), 'b')).toEqual(Buffer.from('y'))
  })

  test('of several fields is not acceptable, and the refusal names them without their values', () => {
    try {
      toPlain(SecretValue.fields({ b: 'hunter2', a: 'hunter2' }))
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid_argument', detail: { reason: 'not_acceptable', fields: ['a', 'b'] } })
      expect(JSON.stringify(error)).not.toContain('hunter2')
    }
  })
})

describe('a body', () => {
  test.each([
    ['both forms', { value: 'a', fields: { b: 'c' } }],
    ['neither', {}],
    ['an empty set', { fields: {} }],
    ['no base 64', { value: { base64: '***' } }],
    ['base 64 without padding', { value: { base64: 'gA' } }],
    ['base 64 for URLs', { value: { base64: '_wA=' } }],
    ['base 64 with a line break', { value: { base64: '/wA=\n' } }],
    ['a lone surrogate', { value: '\ud800' }],
  ])('with %s is refused', (_, body) => {
    expect(codeOf(() => fromWire(body))).toBe('invalid_argument')
  })

  test('may hold a field of exactly the limit, counted in bytes', () => {
    const size = limits.valueBytesMax
    expect(codeOf(() => fromWire({ value: 'x'.repeat(size) }))).toBeUndefined()
    expect(codeOf(() => fromWire({ value: `${'x'.repeat(size - 1)}é` }))).toBe('too_large')
    expect(codeOf(() => fromWire({ fields: { a: { base64: Buffer.alloc(size).toString('base64') } } }))).toBeUndefined()
    expect(codeOf(() => fromWire({ fields: { a: { base64: Buffer.alloc(size + 1).toString('base64') } } }))).toBe('too_large')
  })
})
