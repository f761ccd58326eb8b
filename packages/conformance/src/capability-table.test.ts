import { describe, expect, test } from 'vitest'
import { capabilityTable, tableDiffers, tableIn } from './capability-table.ts'
import { memoryShapes } from './memory-backend.ts'
import { memoryHarness } from './memory-harness.ts'
import { storeMutants } from './mutants.ts'
import { tryStoreChecks } from './run.ts'

const slot = await tryStoreChecks(memoryHarness(memoryShapes.slot))

describe('the capability table', () => {
  test('says yes where a check showed it and no where the member is absent', () => {
    const table = capabilityTable(slot)
    expect(table).toMatch(/^\| `cas` +\| compare-and-set on write and delete \| yes +\|$/m)
    expect(table).toMatch(/^\| `stages` +\| stages a version and promotes it +\| no +\|$/m)
    expect(table).toContain('A value is one text or a set of fields, of at most 65536 bytes.')
  })

  test('says failed of a promise that was not kept', async () => {
    const ignores = storeMutants.find(mutant => mutant.title === 'ignores ifMatch')!
    const run = await tryStoreChecks(memoryHarness(memoryShapes.slot, ignores.mutate))
    expect(capabilityTable(run)).toMatch(/^\| `cas` .*\*\*failed\*\* +\|$/m)
  })

  test('says untried of a promise that no check of the run touched', async () => {
    const run = await tryStoreChecks(memoryHarness(memoryShapes.slot), [slot.results[0]!.check])
    expect(capabilityTable(run)).toMatch(/^\| `cas` .*\*\*untried\*\* +\|$/m)
  })

  test('names what the harness could not try', async () => {
    const { slow: _, ...harness } = memoryHarness(memoryShapes.bare)
    expect(capabilityTable(await tryStoreChecks(harness))).toContain(
      'Not tried: "says outcome_unknown of a write whose answer came too late" (the harness brings no slow).',
    )
  })
})

describe('a README', () => {
  const table = capabilityTable(slot)
  const readme = `# x\n<!-- capabilities -->\n${table}\n<!-- /capabilities -->\nmore`

  test('agrees when exactly the table stands between the markers', () => {
    expect(tableIn(readme)).toBe(table)
    expect(tableDiffers(readme, table)).toBeUndefined()
  })

  test('differs when a cell does, and the answer carries the right one', () => {
    expect(tableDiffers(readme.replace('| yes ', '| no '), table)).toContain(table)
  })

  test('with several tables agrees under the heading of this one alone', () => {
    const several = `# x\n### one kind\n${readme.replace('| yes ', '| no ')}\n### another\n${readme}\n### last\n`
    expect(tableDiffers(several, table, 'another')).toBeUndefined()
    for (const heading of ['one kind', 'another one', undefined]) expect(tableDiffers(several, table, heading)).toContain(table)
  })

  test('differs without markers, with one, and with two pairs', () => {
    for (const broken of ['# x', readme.replace('<!-- /capabilities -->', ''), readme + readme]) {
      expect(tableDiffers(broken, table)).toContain('no table between')
    }
  })
})
