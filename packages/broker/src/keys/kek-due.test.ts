import { wrapsSoft } from '@keyturn/envelope'
import { expect, test } from 'vitest'
import { dueOf } from './kek-due.ts'
import { nextId } from './kek-watch.ts'

const dayMs = 24 * 3_600_000
const since = new Date('2026-01-01T00:00:00Z')
const active = {
  id: 'v1',
  fingerprint: 'f',
  state: 'active',
  metAt: since,
  currentSince: since,
  stateAt: since,
  changes: [],
  wrapped: null,
} as const
const after = (days: number) => new Date(since.getTime() + days * dayMs)

test('a KEK is due from its threshold on, and grave after a year whatever the threshold', () => {
  expect(dueOf(active, 0, after(89.99), 90 * dayMs).reasons).toEqual([])
  expect(dueOf(active, 0, after(90), 90 * dayMs)).toEqual({
    grave: false,
    reasons: ['KEK v1 has closed values for 90 days; the threshold is 90'],
  })
  expect(dueOf(active, 0, after(366), 1000 * dayMs)).toEqual({
    grave: true,
    reasons: ['KEK v1 has closed values for 366 days; a year is the most for one key'],
  })
})

test('a KEK that went back to be current is as old as its first day', () => {
  expect(dueOf({ ...active, stateAt: after(80) }, 0, after(91), 90 * dayMs).reasons).toHaveLength(1)
})

test('a KEK is due by its uses, and grave at the hard limit', () => {
  expect(dueOf(active, wrapsSoft - 1, after(1), 90 * dayMs).reasons).toEqual([])
  expect(dueOf(active, wrapsSoft, after(1), 90 * dayMs)).toMatchObject({
    grave: false,
    reasons: [expect.stringContaining(`closed ${wrapsSoft} values`)],
  })
  expect(dueOf(active, 2 ** 31, after(1), 90 * dayMs).grave).toBe(true)
})

test('the id of the next KEK is the same for every broker, and never one that was used', () => {
  expect(nextId('k1', new Set(['k1']))).toBe('k2')
  expect(nextId('k9', new Set(['k9', 'k10']))).toBe('k11')
  expect(nextId('main', new Set(['main']))).toBe('main-2')
  expect(nextId('x'.repeat(64), new Set()).length).toBeLessThanOrEqual(64)
  expect(nextId('2026-03', new Set(['2026-03']))).toBe('2026-4')
})
