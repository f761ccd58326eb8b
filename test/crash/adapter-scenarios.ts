import { SecretValue, type Strategy } from '@keyturn/core'
import { given, placesOn, type Spoil } from './adapter-matrix.ts'
import { AdapterWorld } from './adapter-world.ts'
import type { Backend } from './backends/backend.ts'

/** In grace both versions are there; after it the old one is ended. Answers with what is not so. */
export async function graceOn(backend: Backend, strategy: Strategy, spoil?: Spoil): Promise<readonly string[]> {
  return inWorld(backend, strategy, spoil, async world => {
    const inGrace = await world.run(await world.begin(), now => now.state === 'grace')
    const { state, base } = inGrace
    const kept = (await world.rows()).find(row => row.label === 'previous')?.sealed
    const served = await world.read()
    const broken: string[] = []
    const mustBe = (holds: boolean | undefined, words: string) => {
      if (holds !== true) broken.push(words)
    }
    mustBe(state === 'grace', `the rotation stands at ${state}`)
    mustBe(kept !== null && kept !== undefined && SecretValue.decode(kept.payload).equals(world.base), 'the previous version is not kept')
    mustBe(served?.equals(world.base) === false, 'the new version is not current')
    if (base !== null && world.keepsVersions)
      mustBe((await world.read(base.version))?.equals(world.base), 'the store does not give the previous version')
    await world.checkDone(await world.run(inGrace))
    if (base !== null && world.withholds && strategy === 'generated')
      mustBe((await world.read(base.version)) === null, 'the store still gives the old version')
    mustBe(served !== null && (await world.read())?.equals(served), 'the new version did not stay current')
    return [...broken, ...world.violations]
  })
}

/**
 * Someone writes past the broker right after the backup, and, where the store can compare, right before the promotion: what they wrote stays, and
 * the rotation ends as a conflict. Answers with what is not so.
 */
export async function outsiderOn(backend: Backend, strategy: Strategy, spoil?: Spoil): Promise<readonly string[]> {
  const { calls } = await placesOn(backend, strategy)
  const examined = calls.findIndex(({ title }) => title === 'store.examine')
  const backup = calls[examined + 1]?.number ?? 0
  const promotion = calls.find(({ title }) => title === 'store.write' || title === 'store.promote')?.number ?? 0
  const broken = await inWorld(backend, strategy, spoil, world => overwritten(world, backup))
  const later = await inWorld(backend, strategy, spoil, async world => {
    const lost = await overwritten(world, promotion - 1)
    return world.compares ? lost : []
  })
  return [...broken.map(words => `after the backup: ${words}`), ...later.map(words => `before the promotion: ${words}`)]
}

/** One rotation in which someone writes once this many calls were made. */
async function overwritten(world: AdapterWorld, calls: number): Promise<readonly string[]> {
  const theirs = world.base.fieldNames === undefined ? SecretValue.text('theirs') : SecretValue.fields({ key: 'theirs' })
  // the rules of an undisturbed world do not hold for what they wrote
  world.faults.onCall = async () => {
    if (world.faults.calls.length === calls) await world.overwrite(theirs)
  }
  const { state, error } = await world.run(await world.begin())
  const broken = state === 'aborted' && error?.code === 'conflict' ? [] : [`the rotation stands at ${state} (${error?.code})`]
  return (await world.read())?.equals(theirs) ? broken : [...broken, 'what they wrote is gone']
}

async function inWorld<T>(
  backend: Backend,
  strategy: Strategy,
  spoil: Spoil | undefined,
  run: (world: AdapterWorld) => Promise<T>,
): Promise<T> {
  const shelf = await backend.start()
  const world = new AdapterWorld({ strategy, shelf, ...given(spoil) })
  try {
    return await run(world)
  } finally {
    await world.close()
    await shelf.close()
  }
}
