import { type MemoryShape, memoryShapes } from '@keyturn/conformance'
import { type Strategy, strategies } from '@keyturn/core'
import { type Mode, modes } from '../simulation/faults.ts'
import { World, type WorldOptions } from '../simulation/world.ts'

/** Four shapes of store: with and without stages, with and without compare-and-set. */
export const shapes: Readonly<Record<string, MemoryShape>> = {
  'stages, cas': memoryShapes.full,
  stages: memoryShapes.labelled,
  cas: memoryShapes.counted,
  neither: memoryShapes.bare,
}

export const cells = strategies.flatMap(strategy => Object.keys(shapes).map(shape => ({ strategy, shape })))

export type Cell = (typeof cells)[number]
type Engine = NonNullable<WorldOptions['engine']>

/** One rotation, from queued to its end, under a set of faults. Answers with what went wrong. */
export async function passage(cell: Cell, faults: ReadonlyMap<number, Mode>, engine?: Engine): Promise<World> {
  const shape = shapes[cell.shape]
  if (shape === undefined) throw new Error(`no shape ${cell.shape}`)
  const world = new World({ strategy: cell.strategy as Strategy, shape, faults, ...(engine === undefined ? {} : { engine }) })
  const ended = await world.run(await world.begin())
  await world.checkDone(ended)
  return world
}

/** The outside calls of a passage in which nothing goes wrong. */
export async function dryRun(cell: Cell, engine?: Engine): Promise<readonly string[]> {
  const world = await passage(cell, new Map(), engine)
  if (world.violations.length > 0) throw new Error(`the dry run itself breaks: ${world.violations.join('; ')}`)
  return world.faults.calls
}

/** A fault that broke something. */
export interface Breach {
  readonly where: string
  readonly violations: readonly string[]
}

/** Every call of the dry run in every mode, one at a time: each fault that broke something, as it is found. */
export async function* breachesOf(cell: Cell, engine?: Engine): AsyncGenerator<Breach> {
  for (const [index, site] of (await dryRun(cell, engine)).entries()) {
    for (const mode of modes) {
      const { violations } = await passage(cell, new Map([[index + 1, mode]]), engine)
      if (violations.length > 0) yield { where: `${site} (call ${index + 1}) ${mode}`, violations: [...new Set(violations)] }
    }
  }
}

/** Every pair of calls in every pair of modes, or each `step`th of them. The first ten that broke something. */
export async function doubleFaults(cell: Cell, step: number): Promise<{ readonly runs: number; readonly breaches: readonly Breach[] }> {
  const calls = await dryRun(cell)
  const breaches: Breach[] = []
  let [pair, runs] = [0, 0]
  for (let first = 1; first <= calls.length; first += 1) {
    // a fault may lengthen the passage: the second one may fall on a call that the dry run did not make
    for (let second = first + 1; second <= calls.length + 5; second += 1) {
      for (const [one, other] of modes.flatMap(mode => modes.map(next => [mode, next] as const))) {
        pair += 1
        if (pair % step !== 0) continue
        runs += 1
        const faults = new Map([
          [first, one],
          [second, other],
        ])
        const world = await passage(cell, faults)
        if (world.violations.length === 0) continue
        const where = `${world.faults.calls[first - 1]} (call ${first}) ${one}, ${world.faults.calls[second - 1]} (call ${second}) ${other}`
        breaches.push({ where, violations: [...new Set(world.violations)] })
        if (breaches.length >= 10) return { runs, breaches }
      }
    }
  }
  return { runs, breaches }
}
