import { SecretValue } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeData, encodeData, refusal, valueBytesMax } from './values.ts'

const fields = (entries: Iterable<readonly [string, string | Uint8Array]>) => SecretValue.fields(new Map(entries))

describe('a value', () => {
  test('comes back byte for byte, whatever its fields are called', () => {
    const name = fc.oneof(
      fc.stringMatching(/^[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,40}$/),
      fc.constantFrom('__proto__', 'constructor', 'tls.crt', '.dockerconfigjson'),
    )
    const content = fc.oneof(fc.uint8Array(), fc.string({ unit: 'grapheme' }))
    fc.assert(
      fc.property(fc.array(fc.tuple(name, content), { minLength: 1 }), entries => {
        const value = fields(entries)
        expect(refusal(value)).toBeUndefined()
        const wire: unknown = JSON.parse(JSON.stringify(encodeData(value)))
        expect(decodeData(wire)?.equals(value)).toBe(true)
      }),
    )
  })

  test.each(['', 'a b', 'a/b', '.', '..', '..x', 'é', '"', '$x', 'x'.repeat(254)].filter(name => name !== ''))(
    'with a field %j is refused',
    name => {
      expect(refusal(fields([[name, 'v']]))).toContain('is no key of a Secret')
    },
  )

  test('is measured as the API measures it, and as etcd stores it', () => {
    expect(
      refusal(
        fields([
          ['a', 'x'.repeat(valueBytesMax - 1)],
          ['b', 'x'],
        ]),
      ),
    ).toBeUndefined()
    expect(
      refusal(
        fields([
          ['a', 'x'.repeat(valueBytesMax)],
          ['b', 'x'],
        ]),
      ),
    ).toBe(`its fields have ${valueBytesMax + 1} bytes together, of at most ${valueBytesMax}`)
    expect(refusal(fields(Array.from({ length: 8_000 }, (_, index) => [`${'k'.repeat(240)}${index}`, ''])))).toBe(
      'its fields and their names are more than the cluster can store in one object',
    )
  })

  test('without names, or of JSON that would come back as text, is refused', () => {
    expect(refusal(SecretValue.text('x'))).toContain('write it as a field')
    expect(refusal(SecretValue.fields({ n: { json: '12' } }))).toContain('write it as text')
  })
})

describe('data', () => {
  test('of nothing is no value', () => {
    for (const nothing of [undefined, null, {}]) expect(decodeData(nothing)).toBeUndefined()
    expect(decodeData({ a: null })?.equals(SecretValue.fields({ a: '' }))).toBe(true)
  })

  test.each([[[]], ['text'], [{ a: 'no base64' }], [{ a: 'YQ' }], [{ a: 7 }], [{ a: 'YQ==\n' }]])('%j is corrupt', data => {
    expect(() => decodeData(data)).toThrow('no map of base64')
  })
})
