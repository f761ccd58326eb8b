import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Random } from '../ports.ts'
import { backoffMaxMs, backoffMs } from './backoff.ts'

const drawing = (byte: number): Random => ({ bytes: count => new Uint8Array(count).fill(byte), uuid: () => '' })
const [least, most] = [drawing(0), drawing(255)]

test('the span doubles from a second to fifteen minutes', () => {
  const spans = Array.from({ length: 12 }, (_, index) => backoffMs(index + 1, most))
  expect(spans).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900].map(seconds => seconds * 1_000))
})

test('a pause is anywhere in its span, and never over fifteen minutes, however often it failed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.uint8Array({ minLength: 4, maxLength: 4 }), (failures, bytes) => {
      const pause = backoffMs(failures, { bytes: () => bytes, uuid: () => '' })
      expect(Number.isInteger(pause)).toBe(true)
      expect(pause).toBeGreaterThanOrEqual(backoffMs(failures, least))
      expect(pause).toBeLessThanOrEqual(Math.min(backoffMaxMs, 1_000 * 2 ** (failures - 1)))
    }),
  )
})

test('there is always a pause', () => {
  expect(backoffMs(1, least)).toBeGreaterThan(0)
})
