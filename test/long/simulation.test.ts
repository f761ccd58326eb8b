import { afterAll, expect, test } from 'vitest'
import { plant, removePlanted } from '../crash/mutate.ts'
import { plantedBugs } from '../crash/planted-bugs.ts'
import { firstToBreak, playAll } from '../simulation/schedules.ts'

// KEYTURN_SEEDS=n plays so many schedules, for a quick look or a long night; KEYTURN_SEED=n begins elsewhere
const count = Number(process.env.KEYTURN_SEEDS ?? 100_000)
const seed = Number(process.env.KEYTURN_SEED ?? 1)

afterAll(removePlanted)

test(`${count} random schedules, from seed ${seed}`, { timeout: 4 * 3_600_000 }, () => playAll(count, seed))

test.each(plantedBugs.map((bug, index) => [bug.title, bug, index] as const))(
  'the simulation finds an engine that %s within 1,000 seeds',
  {
    timeout: 600_000,
  },
  async (title, bug, index) => {
    const Engine = await plant(bug, 1_000 + index)
    const found = await firstToBreak(ports => new Engine(ports), 1_000, 1)
    process.stdout.write(`  ${title}: ${found === null ? 'not found' : `seed ${found.seeds}, ${found.cell.strategy}: ${found.broken}`}\n`)
    expect(found).not.toBeNull()
  },
)
