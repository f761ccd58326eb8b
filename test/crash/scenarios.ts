import { memoryShapes } from '@keyturn/conformance'
import { SecretValue, type Strategy } from '@keyturn/core'
import type { SimulatedTarget } from '../simulation/target.ts'
import { World, type WorldOptions } from '../simulation/world.ts'
import { breachesOf, type Cell, cells, dryRun } from './matrix.ts'

type Engine = NonNullable<WorldOptions['engine']>
const given = (engine: Engine | undefined) => (engine === undefined ? {} : { engine })

/** What single faults cannot show: each answers with what went wrong. */
export const scenarios: Readonly<Record<string, (engine?: Engine) => Promise<readonly string[]>>> = {
  'a worker that was stopped for two leases finds that it is not its turn any more': async engine => {
    const world = new World({ strategy: 'alternating-users', shape: memoryShapes.counted, ...given(engine) })
    const rotation = await world.begin()
    const target = world.target as SimulatedTarget
    let resume = () => {}
    const stopped = new Promise<void>(resolve => (resume = resolve))
    const preflight = target.preflight.bind(target)
    target.preflight = async () => {
      target.preflight = preflight
      await stopped
      return preflight()
    }
    const stale = world
      .engine()
      .runOne({ holder: 'stale' })
      .catch(() => undefined)
    await untilIdle()
    // no deadline fires for a process that is stopped: the clock moves while its timers do not
    world.clock.pause(() => world.clock.advance(120_000))
    const other = world.engine()
    const first = await other.runOne({ holder: 'other' })
    const made = world.made()
    const user = target.accepts(world.current() as SecretValue)
    resume()
    await stale
    const after = await world.ledger.journal.rotation(rotation.id)
    const violations = [...world.violations]
    if (first?.state !== 'grace') violations.push(`the other worker only came to ${first?.state}`)
    if (after.epoch !== first?.epoch) violations.push('the epoch moved')
    if (world.made() !== made || !user || !target.accepts(world.current() as SecretValue))
      violations.push('the stale worker touched the store or the target')
    return violations
  },
  'an operator aborts a rotation whose promotion arrived without an answer': async engine => {
    const cell: Cell = { strategy: 'alternating-users', shape: 'cas' }
    const write = (await dryRun(cell, engine)).indexOf('store.write') + 1
    const faults = new Map([[write, 'reply-lost' as const]])
    const world = new World({ strategy: 'alternating-users', shape: memoryShapes.counted, faults, ...given(engine) })
    const rotation = await world.begin()
    await world.run(rotation, now => now.attempts > 0)
    await world.ledger.journal.wish(rotation.id, 'abort')
    await world.checkDone(await world.run(rotation))
    return world.violations
  },
  'someone else writes between the backup and the promotion': async engine => {
    const world = new World({ strategy: 'generated', shape: memoryShapes.bare, ...given(engine) })
    const rotation = await world.begin()
    const theirs = SecretValue.text('theirs')
    world.faults.onCall = async () => {
      if (world.faults.calls.at(-1) === 'journal.reserve') world.overwrite(theirs)
    }
    const ended = await world.run(rotation)
    const violations: string[] = []
    if (ended.state !== 'aborted' || ended.error?.code !== 'conflict')
      violations.push(`the rotation stands at ${ended.state} (${ended.error?.code})`)
    if (!world.current()?.equals(theirs)) violations.push('what they wrote is gone')
    return violations
  },
  'a delivery that fails for good leaves the rotation promoted and the old version valid': async engine => {
    const publisher = {
      async publish() {
        throw new Error('the copy refuses')
      },
    }
    const world = new World({ strategy: 'alternating-users', shape: memoryShapes.counted, ports: { publisher }, ...given(engine) })
    const rotation = await world.begin()
    const stuck = await world.run(rotation, now => now.attempts >= 8 || now.state === 'aborted')
    const violations = [...world.violations]
    if (stuck.state !== 'promoted' || stuck.outcome.rotation !== 'ok')
      violations.push(`the rotation stands at ${stuck.state}, outcome ${stuck.outcome.rotation}`)
    if (!world.target?.accepts(world.base)) violations.push('the old version was ended before the new one was delivered')
    return violations
  },
}

/** Everything that is thrown at an engine: the single faults of some cells, and the scenarios. Stops at the first breach. */
export async function firstBreach(engine: Engine, strategies: readonly Strategy[]): Promise<string | undefined> {
  for (const [title, scenario] of Object.entries(scenarios)) {
    const [violation] = await scenario(engine).catch((error: Error) => [error.message])
    if (violation !== undefined) return `${title}: ${violation}`
  }
  for (const cell of strategies.flatMap(strategy => cells.filter(each => each.strategy === strategy))) {
    const breach = await breachOf(cell, engine)
    if (breach !== undefined) return breach
  }
  return undefined
}

async function breachOf(cell: Cell, engine: Engine): Promise<string | undefined> {
  try {
    for await (const { where, violations } of breachesOf(cell, engine))
      return `${cell.strategy} on ${cell.shape}, ${where}: ${violations[0]}`
    return undefined
  } catch (error) {
    return `${cell.strategy} on ${cell.shape}: ${(error as Error).message}`
  }
}

/** Lets everything run that does not wait for the clock or for a promise of ours. */
async function untilIdle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(resolve => setImmediate(resolve))
}
