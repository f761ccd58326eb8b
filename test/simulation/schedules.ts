import fc from 'fast-check'
import { type Cell, cells } from '../crash/matrix.ts'
import type { Flavour } from './events.ts'
import { Simulation } from './simulation.ts'
import type { WorldOptions } from './world.ts'

/** One run of the simulation: which strategy on which store, and every decision. */
export interface Schedule {
  readonly cell: Cell
  readonly flavour: Flavour
  readonly tape: readonly number[]
}

const sometimes = fc.nat(3).map(number => number === 3)

/** Any schedule. Shorter tapes and lower decisions (a call that goes well) are simpler. */
export const schedules: fc.Arbitrary<Schedule> = fc.record({
  cell: fc.constantFrom(...cells),
  flavour: fc.record({ stops: fc.boolean(), wishes: fc.boolean(), leaks: sometimes, outsiders: sometimes }),
  tape: fc.uint8Array({ minLength: 10, maxLength: 300, size: 'max' }).map(tape => [...tape]),
})

/** Plays a schedule; answers with what went wrong. */
export function play({ cell, flavour, tape }: Schedule, engine?: WorldOptions['engine']): Promise<readonly string[]> {
  return new Simulation(cell, flavour, engine).run(tape)
}

/** Plays `count` schedules of one seed and fails with the shortest that goes wrong, and with what happened in it. */
export async function playAll(count: number, seed: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(schedules, async ({ cell, flavour, tape }) => {
      const simulation = new Simulation(cell, flavour)
      const broken = await simulation.run(tape)
      if (broken.length > 0) throw new Error([...broken, ...simulation.story].join('\n'))
    }),
    { numRuns: count, seed, endOnFailure: false },
  )
}

/** How many schedules of a seed it takes until one goes wrong under this engine, and how; null: none of `count` does. */
export async function firstToBreak(
  engine: NonNullable<WorldOptions['engine']>,
  count: number,
  seed: number,
): Promise<{ readonly seeds: number; readonly broken: string; readonly cell: Cell } | null> {
  let seeds = 0
  for (const schedule of fc.sample(schedules, { numRuns: count, seed })) {
    seeds += 1
    const [broken] = await play(schedule, engine).catch(error => [String(error)])
    if (broken !== undefined) return { seeds, broken, cell: schedule.cell }
  }
  return null
}
