import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BrokerError } from './error.ts'
import { type FieldInput, SecretValue, textOf } from './secret-value.ts'

const canary = 'hunter2-canary'
const values: readonly (readonly [string, SecretValue])[] = [
  ['text', SecretValue.text(canary)],
  ['bytes', SecretValue.bytes(Buffer.from([0xff, ...Buffer.from(canary)]))],
  ['fields', SecretValue.fields({ name: canary, number: { json: `"${canary}"` } })],
]

describe.each(values)('a value of %s', (_, value) => {
  test.each([
    ['a template string', () => `${value}`],
    ['String', () => String(value)],
    ['joining', () => [value, value].join()],
    ['JSON', () => JSON.stringify({ value, list: [value] })],
    ['inspect', () => inspect(value)],
    ['inspect with everything shown', () => inspect({ deep: { value } }, { showHidden: true, depth: null, getters: true })],
    ['inspect without its own form', () => inspect(value, { customInspect: false, showHidden: true, depth: null })],
    ['a structured clone', () => inspect(structuredClone(value), { showHidden: true, customInspect: false })],
    ['its own properties', () => inspect([Reflect.ownKeys(value), Object.entries(value), { ...value }])],
    ['an error', () => inspect(new BrokerError('internal', `it failed with ${value}`, { detail: { value }, cause: value }))],
  ])('is not shown by %s', (__, show) => {
    const shown = show()
    expect(shown).not.toContain(canary)
    expect(shown).not.toContain(Buffer.from(canary).toString('base64'))
  })

  test('prints as [secret]', () => {
    expect([`${value}`, JSON.stringify(value), inspect(value)]).toEqual(['[secret]', '"[secret]"', '[secret]'])
  })

  test('is read back from its encoding', () => {
    const back = SecretValue.decode(value.encode())
    expect(back.equals(value)).toBe(true)
    expect(back.reveal()).toEqual(value.reveal())
  })
})

const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter(text => text.isWellFormed())
const input: fc.Arbitrary<FieldInput> = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.uint8Array(),
  fc.jsonValue().map(json => ({ json: JSON.stringify(json) })),
)

describe('encoding', () => {
  test('reads back whatever was written', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, input), { minLength: 1, maxLength: 8 }), entries => {
        const value = SecretValue.fields(new Map(entries))
        const back = SecretValue.decode(value.encode())
        expect(back.reveal()).toEqual(value.reveal())
        expect(Buffer.from(back.encode()).equals(Buffer.from(value.encode()))).toBe(true)
      }),
    )
  })

  test('is the same whatever the order of the fields', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, input), { minLength: 1, selector: ([key]) => key }), entries => {
        const [one, other] = [SecretValue.fields(new Map(entries)), SecretValue.fields(new Map(entries.toReversed()))]
        expect(one.equals(other)).toBe(true)
        expect(Buffer.from(one.encode()).equals(Buffer.from(other.encode()))).toBe(true)
      }),
    )
  })

  test('keeps bytes that are no text, a byte order mark, and names that objects treat otherwise', () => {
    const bytes = Buffer.from([0xc3, 0x28, 0x00, 0xff])
    const value = SecretValue.fields(
      new Map<string, FieldInput>([
        ['__proto__', '\uFEFFmark'],
        ['7', bytes],
        ['constructor', ''],
      ]),
    )
    const content = SecretValue.decode(value.encode()).reveal()
    const fields = 'fields' in content ? content.fields : new Map()
    expect(textOf(fields.get('__proto__'))).toBe('\uFEFFmark')
    expect(fields.get('7')).toEqual({ form: 'bytes', bytes })
    expect(textOf(fields.get('7'))).toBeUndefined()
    expect(textOf(fields.get('constructor'))).toBe('')
  })

  test.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['no object', '"text"'],
    ['null', 'null'],
    ['an unknown form', '{"x":"y"}'],
    ['a field that is no text', '{"t":5}'],
    ['no fields at all', '{"f":{}}'],
    ['fields that are none', '{"f":null}'],
    ['a field without a name', '{"f":{"":{"t":"x"}}}'],
    ['a lone surrogate', '{"t":"\\ud800"}'],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff])],
  ])('refuses %s as corrupt, without showing it', (_, encoded) => {
    expect(() => SecretValue.decode(Buffer.from(encoded))).toThrow(expect.objectContaining({ code: 'corrupt' }))
  })

  test('fails as corrupt or gives a value, and nothing else, whatever it reads', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map(json => Buffer.from(json)),
        ),
        encoded => {
          try {
            expect(SecretValue.decode(encoded)).toBeInstanceOf(SecretValue)
          } catch (error) {
            expect(error).toMatchObject({ code: 'corrupt' })
          }
        },
      ),
    )
  })
})

describe('making a value', () => {
  test.each([
    ['a text', () => SecretValue.text('a\ud800b')],
    ['a field', () => SecretValue.fields({ a: '\udc00' })],
    ['the source of a JSON member', () => SecretValue.fields({ a: { json: '"\ud800"' } })],
    ['the name of a field', () => SecretValue.fields({ '\ud800': 'a' })],
    ['a field that is set', () => SecretValue.fields({ a: 'b' }).with({ a: '\ud800' })],
    ['the name of a field that is added', () => SecretValue.fields({ a: 'b' }).with({ '\ud800': 'c' })],
  ])('refuses a lone surrogate in %s', (_, make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
  })

  test('refuses no fields, and a field without a name', () => {
    for (const make of [
      () => SecretValue.fields({}),
      () => SecretValue.fields({ '': 'a' }),
      () => SecretValue.fields({ a: 'b' }).with({ '': 'c' }),
    ]) {
      expect(make).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
    }
  })

  test('takes bytes for text when they are valid UTF-8, and only then', () => {
    expect(SecretValue.bytes(Buffer.from('grün')).equals(SecretValue.text('grün'))).toBe(true)
    expect(SecretValue.bytes(Buffer.from([0xed, 0xa0, 0x80])).reveal()).toMatchObject({ field: { form: 'bytes' } })
  })

  test('shares no bytes with what it was made of', () => {
    const bytes = Buffer.from('abc')
    const value = SecretValue.bytes(bytes)
    bytes.fill(0)
    expect(value.equals(SecretValue.text('abc'))).toBe(true)
  })

  test('keeps the source of a JSON member digit for digit, and apart from the text', () => {
    const value = SecretValue.fields({ big: { json: '12345678901234567890' } })
    expect(value.reveal()).toMatchObject({ fields: new Map([['big', { form: 'json', bytes: Buffer.from('12345678901234567890') }]]) })
    expect(value.equals(SecretValue.fields({ big: '12345678901234567890' }))).toBe(false)
  })
})

describe('setting fields', () => {
  const value = SecretValue.fields({ user: 'app', port: { json: '5432' }, key: Buffer.from([0xff]) })

  test('replaces and adds, and leaves the others and the original byte for byte', () => {
    const changed = value.with({ user: 'other', added: 'x' })
    expect(changed.fieldNames).toEqual(['added', 'key', 'port', 'user'])
    expect(changed.equals(SecretValue.fields({ user: 'other', added: 'x', port: { json: '5432' }, key: Buffer.from([0xff]) }))).toBe(true)
    expect(value.fieldNames).toEqual(['key', 'port', 'user'])
  })

  test('is refused where there is one unnamed field', () => {
    expect(() => SecretValue.text('a').with({ a: 'b' })).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
    expect(SecretValue.text('a').fieldNames).toBeUndefined()
  })
})

describe('comparing', () => {
  test('tells apart what differs in anything', () => {
    fc.assert(
      fc.property(input, input, (a, b) => {
        const [one, other] = [SecretValue.fields({ a }), SecretValue.fields({ a: b })]
        expect(one.equals(other)).toBe(Buffer.from(one.encode()).equals(Buffer.from(other.encode())))
      }),
    )
    expect(SecretValue.text('a').equals(SecretValue.fields({ a: 'a' }))).toBe(false)
    expect(SecretValue.text('').equals(SecretValue.text('a'))).toBe(false)
  })
})
