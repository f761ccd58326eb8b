import { afterAll, expect, test } from 'vitest'
import { plant, removePlanted } from './mutate.ts'
import { plantedBugs } from './planted-bugs.ts'
import { firstBreach, scenarios } from './scenarios.ts'

afterAll(removePlanted)

test.each(Object.entries(scenarios))('%s', async (_, scenario) => {
  expect(await scenario()).toEqual([])
})

test.each(plantedBugs.map((bug, index) => [bug.title, bug, index] as const))('an engine that %s is found', async (_, bug, index) => {
  const Engine = await plant(bug, index)
  const breach = await firstBreach(ports => new Engine(ports), ['key-set', 'generated', 'single-user', 'alternating-users'])
  expect(breach).toBeDefined()
  process.stdout.write(`  ${bug.title}: ${breach}\n`)
})
