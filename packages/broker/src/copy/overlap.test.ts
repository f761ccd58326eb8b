import fc from 'fast-check'
import { expect, test } from 'vitest'
import { kept, withoutRepeats } from './overlap.ts'

/** A history without neighbours that are equal, as both sides are given. */
const history = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 8 }).map(all => withoutRepeats(all, each => each))

test('a copy that was cut off anywhere goes on where it was, whatever was there before it, and is whole after', () => {
  fc.assert(
    fc.property(history, fc.nat(8), (wanted, cut) => {
      const there = wanted.slice(0, cut)
      const whole = [...there, ...wanted.slice(kept(there, wanted))]
      expect(whole).toEqual(wanted)
      expect(kept(whole, wanted)).toBe(wanted.length)
    }),
  )
})

test('what is written behind any history ends with what is current, and a second run writes nothing', () => {
  fc.assert(
    fc.property(history, history, (there, wanted) => {
      fc.pre(wanted.length > 0)
      const after = withoutRepeats([...there, ...wanted.slice(kept(there, wanted))], each => each)
      expect(after.at(-1)).toBe(wanted.at(-1))
      expect(kept(after, wanted)).toBe(wanted.length)
    }),
  )
})

test.each([
  ['nothing there', '', 'abc', 0],
  ['another value there', 'x', 'abc', 0],
  ['the first of them', 'a', 'aba', 1],
  ['all of them', 'aba', 'aba', 3],
  ['the newest only, as a store that keeps one has it', 'c', 'abc', 3],
  ['the newest of a history that was cut', 'cde', 'abcde', 5],
  ['something else before them', 'xab', 'abcd', 2],
])('%s', (_, there, wanted, count) => {
  expect(kept([...there], [...wanted])).toBe(count)
})
