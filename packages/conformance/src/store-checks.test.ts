import { describe, expect, test } from 'vitest'
import { memoryShapes } from './memory-backend.ts'
import { memoryHarness } from './memory-harness.ts'
import { storeMutants } from './mutants.ts'
import { runStoreChecks, tryStoreChecks } from './run.ts'
import { storeChecks } from './store-checks.ts'

describe.each(Object.entries(memoryShapes))('a healthy memory store of the shape %s', (_name, shape) => {
  runStoreChecks(memoryHarness(shape), { test })
})

describe('every check', () => {
  test('has a title of its own', () => {
    expect(new Set(storeChecks.map(check => check.title)).size).toBe(storeChecks.length)
  })

  test('has a mutant that it must catch, and every mutant names a check', () => {
    const titles = storeChecks.map(check => check.title)
    expect(new Set(storeMutants.map(mutant => mutant.caughtBy))).toEqual(new Set(titles))
  })

  test.each(storeMutants)('catches the store that $title', async ({ caughtBy, shape, mutate }) => {
    const checks = storeChecks.filter(check => check.title === caughtBy)
    const run = await tryStoreChecks(memoryHarness(shape, mutate), checks)
    expect(run.results.map(result => result.status)).toEqual(['failed'])
    expect(run.results[0]?.why).not.toContain('is not a function')
  })
})
