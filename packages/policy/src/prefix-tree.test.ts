import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PrefixTree } from './prefix-tree.ts'

test('a search visits exactly what is held at the prefixes of a text, shortest first', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\u{1F511}'), maxLength: 6 })
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), text, (prefixes, asked) => {
      const tree = new PrefixTree<{ prefix: string }>()
      for (const prefix of prefixes) expect(tree.at(prefix, () => ({ prefix }))).toEqual({ prefix })
      const visited: string[] = []
      tree.each(asked, held => visited.push(held.prefix))
      const expected = [...new Set(prefixes)].filter(prefix => asked.startsWith(prefix)).sort((a, b) => a.length - b.length)
      expect(visited).toEqual(expected)
    }),
    { numRuns: 2000, seed: 1 },
  )
})
