import type { SecretName, StorePath } from '@keyturn/core'
import { expect, test } from 'vitest'
import { movesOf } from './move.ts'
import type { Kept, Place } from './places.ts'

const place = (path: string, ...fields: string[]): Place => ({
  path: path as StorePath,
  fields: fields.length === 0 ? null : fields,
  format: 'fields',
})
const kept = (name: string): Kept => ({ name: name as SecretName, place: place(`old/${name}`) })

/** What becomes of names that go to these places. */
function moved(there: Readonly<Record<string, Place>>, more: readonly Kept[] = []) {
  const { moves, refused } = movesOf([...Object.keys(there).map(kept), ...more], name => there[name], 'new')
  return {
    moves: moves.map(({ path, items }) => `${path}: ${items.map(({ name }) => name).join(' ')}`),
    refused: refused.map(({ name, action, why }) => `${name} ${action}: ${why}`),
  }
}

test('what shares a path goes there in one move', () => {
  expect(moved({ a: place('p', 'x'), b: place('p', 'y'), c: place('q') })).toEqual({ moves: ['p: a b', 'q: c'], refused: [] })
})

test.each([
  ['two that are the same path', { a: place('p'), b: place('p') }],
  ['one that is all of a path beside one of its fields', { a: place('p'), b: place('p', 'x') }],
  ['two that are one field', { a: place('p', 'x'), b: place('p', 'x') }],
])('%s are refused, each by its name', (_, there) => {
  const why = 'cannot: a and b would be the same there: give each a path or a key of its own'
  expect(moved(there)).toEqual({ moves: [], refused: [`a ${why}`, `b ${why}`] })
})

test('what has no place, and what has no name, are told from what has', () => {
  const stray: readonly Kept[] = [kept('none'), { unnamed: 'with space' as StorePath }]
  expect(moved({ a: place('p') }, stray)).toEqual({
    moves: ['p: a'],
    refused: [
      expect.stringMatching(/^none cannot: new has no place for it/),
      expect.stringMatching(/^with space cannot: its path is no name/),
    ],
  })
})
