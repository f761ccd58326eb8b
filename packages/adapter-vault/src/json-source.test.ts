import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalJson, JsonError, membersOf } from './json-source.ts'

describe('members', () => {
  test('keep the source text of each value', () => {
    const members = membersOf(
      ' { "n" : 12345678901234567890 , "f":1.10,"o": {"b" :[1 , {}], "a":"}"},"s":"\\"]","t":true , "__proto__":null,"e":[ ] } ',
    )
    expect([...members]).toEqual([
      ['n', '12345678901234567890'],
      ['f', '1.10'],
      ['o', '{"b" :[1 , {}], "a":"}"}'],
      ['s', '"\\"]"'],
      ['t', 'true'],
      ['__proto__', 'null'],
      ['e', '[ ]'],
    ])
  })

  test('are found behind every run of backslashes', () => {
    for (let count = 0; count < 9; count += 1) {
      const text = `${'\\'.repeat(count)}"${'\\'.repeat(count)}`
      const source = JSON.stringify({ [text]: text, o: { [text]: [text] }, z: 1 })
      expect([...membersOf(source)]).toEqual([
        [text, JSON.stringify(text)],
        ['o', JSON.stringify({ [text]: [text] })],
        ['z', '1'],
      ])
    }
  })

  test.each(['', '[]', '"x"', '1', '{', '{"a":1', '{"a":1}}', '{"a":1,"a":2}', `{"a":${'['.repeat(100)}${']'.repeat(100)}}`])(
    'are refused in %j without an echo',
    source => {
      expect(() => membersOf(source)).toThrow(JsonError)
    },
  )

  test('are those of JSON.parse, whatever the object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), fc.nat(3), (object, indent) => {
        const source = JSON.stringify(object, null, indent)
        const members = [...membersOf(source)].map(([name, text]) => [name, JSON.parse(text)])
        expect(members).toEqual(Object.entries(JSON.parse(source)))
      }),
    )
  })
})

describe('the canonical form', () => {
  test.each([
    ['{"b": 1,  "a": [1.0, {}]}', '{"a":[1.0,{}],"b":1}', '{"a":[1,{}],"b":1}'],
    ['12345678901234567890', '12345678901234567890', '12345678901234567000'],
    ['1e21', '1e21', '1e+21'],
    ['-0.0', '-0.0', '-0'],
    ['0.0000001', '0.0000001', '1e-7'],
    ['"\\u003ca\\/b"', '"<a/b"', '"<a/b"'],
    ['{"a":1,"a":2}', '{"a":2}', '{"a":2}'],
    ['{"\\ud83d\\ude00":1,"\\uffff":2}', '{"\uffff":2,"\ud83d\ude00":1}', '{"\uffff":2,"\ud83d\ude00":1}'],
    [' true ', 'true', 'true'],
  ])('of %j is %j, or with floats %j', (source, kept, floats) => {
    expect(canonicalJson(source, 'kept')).toBe(kept)
    expect(canonicalJson(source, 'floats')).toBe(floats)
  })

  test('is its own, and means the same', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        const once = canonicalJson(JSON.stringify(value), 'floats')
        expect(canonicalJson(once, 'floats')).toBe(once)
        expect(JSON.parse(once)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})
