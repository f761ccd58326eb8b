import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { titlesOf, unkept } from './rules-reporter.ts'

const titles = titlesOf(readFileSync(join(import.meta.dirname, '../docs/rotation-rules.md'), 'utf8'))

test('the table of rules names tests', () => {
  expect(titles.length).toBeGreaterThan(40)
  expect(titles).not.toContain('')
})

test('a rule whose test did not run is found', () => {
  expect(unkept(titles, new Set(titles))).toEqual([])
  expect(unkept(titles, new Set(titles.slice(1)))).toEqual([titles[0]])
})
