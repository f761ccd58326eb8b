import { expect, test } from 'vitest'
import { pooledRandom } from './random.ts'

test('pieces of every size come whole, and no byte of the pool twice', () => {
  const random = pooledRandom()
  const pieces = Array.from({ length: 4_000 }, (_, index) => Buffer.from(random.bytes(16 + (index % 3) * 700)))
  expect(pieces.every((piece, index) => piece.length === 16 + (index % 3) * 700)).toBe(true)
  expect(new Set(pieces.map(piece => piece.toString('hex', 0, 16))).size).toBe(pieces.length)
  expect(random.bytes(20_000)).toHaveLength(20_000)
})
