import { expect, test } from 'vitest'
import { firstBreachOf, plantedAdapterBugs } from './planted-adapter-bugs.ts'

test.each(plantedAdapterBugs.map(bug => ({ ...bug, on: bug.backend.name })))(
  'an adapter that $title is found, on $on',
  async ({ title, on, ...bug }) => {
    const breach = await firstBreachOf({ title, ...bug })
    process.stdout.write(`  ${title}: ${breach?.split(';')[0]}\n`)
    expect(breach).toMatch(bug.rule)
  },
)
