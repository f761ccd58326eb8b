import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SecretId } from '../name.ts'
import { dueTime } from './due.ts'

const hourMs = 3_600_000
const at = new Date(Date.UTC(2026, 0, 15))
const jitter = (everyMs: number, id: string) => dueTime(at, everyMs, id as SecretId).getTime() - at.getTime() - everyMs

test('is never before the period, and at most a tenth of it or an hour after', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 400 * 24 * hourMs }), fc.string(), (everyMs, id) => {
      expect(jitter(everyMs, id)).toBeGreaterThanOrEqual(0)
      expect(jitter(everyMs, id)).toBeLessThanOrEqual(Math.min(everyMs / 10, hourMs))
      expect(jitter(everyMs, id)).toBe(jitter(everyMs, id))
    }),
  )
})

test('has no jitter below ten minutes', () => {
  expect(jitter(599_999, 'sec_1')).toBe(0)
  const some = Array.from({ length: 20 }, (_, index) => jitter(600_000, `sec_${index}`))
  expect(some.some(ms => ms > 0)).toBe(true)
})

test('moves with the promotion by exactly as much', () => {
  const later = new Date(at.getTime() + 12_345)
  expect(dueTime(later, hourMs, 'sec_1' as SecretId).getTime() - dueTime(at, hourMs, 'sec_1' as SecretId).getTime()).toBe(12_345)
})
