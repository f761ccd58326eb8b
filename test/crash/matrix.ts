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
