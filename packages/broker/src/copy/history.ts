import type { SecretValue, SecretVersion, StorePath } from '@keyturn/core'
import { carry, fingerprint, merged, pick } from './carry.ts'
import type { Change, Looking, Step, Steps } from './look.ts'
import { kept, withoutRepeats } from './overlap.ts'
import type { Place } from './places.ts'

/** The versions of a history that are to be written, and how many cannot be. */
interface Wanted {
  readonly steps: readonly Step[]
  readonly left: number
}

/**
 * The versions that are not at the new path yet. Over another value only the current one goes: readers who have that value now must not be given
 * withdrawn ones in between.
 */
export async function historyOf(
  looking: Looking,
  changes: readonly Change[],
  before: SecretVersion | undefined,
  current: Steps,
): Promise<Steps> {
  const { key, from, to, store } = looking
  const [path, there] = [changes[0]?.item.from.path, changes[0]?.place.path]
  if (path === undefined || there === undefined) return current
  const wanted = await wantedOf(from, path, changes, before, store)
  const marked = wanted.steps.map(step => ({ step, mark: fingerprint(key, step.value) }))
  const all = withoutRepeats(marked, ({ mark }) => mark)
  const left =
    wanted.left === 0 ? null : `${counted(wanted.left, 'version')} left out: withheld by ${from.name}, or not to be held by ${to.name}`
  if (before === undefined) return { ...current, steps: all.map(({ step }) => step), why: left }
  const marks = await marksOf(to, there, changes, before, looking)
  const done = kept(
    marks,
    all.map(({ mark }) => mark),
  )
  const older = all.length - 1
  if (done === 0) return { ...current, why: older < 1 ? left : `${counted(older, 'older version')} left out: ${to.name} has another value` }
  const lost = done - marks.length
  if (done < all.length) return { ...current, steps: all.slice(done).map(({ step }) => step), why: left }
  return {
    ...current,
    steps: [],
    why: lost <= 0 ? left : `${counted(lost, 'older version')} not there: nothing can be put before what is current`,
  }
}

/** Every version as it would be written, oldest first. */
async function wantedOf(
  from: Looking['from'],
  path: StorePath,
  changes: readonly Change[],
  before: SecretVersion | undefined,
  store: Looking['store'],
): Promise<Wanted> {
  const names = changes.map(({ item }) => item.name)
  const { readable, withheld } = await from.versions(path)
  const steps: Step[] = []
  for (const { version } of readable) {
    const read = await from.read(path, names, version)
    const value = read === undefined ? undefined : carriedOf(read.value, changes, before)
    if (value !== undefined && store.refuses(value) === undefined) steps.push({ of: version, value })
  }
  return { steps, left: withheld + readable.length - steps.length }
}

/** An older value as the new path would hold it; undefined where it has not what is current there has. */
function carriedOf(value: SecretValue, changes: readonly Change[], before: SecretVersion | undefined): SecretValue | undefined {
  const carried = changes.flatMap(({ item, place, value: current }) => {
    const picked = pick(value, item.from).value
    const moved = picked === undefined ? undefined : carry(picked, item.from, item.to)
    if (moved === undefined || 'why' in moved) return []
    const hasForm = (moved.value.fieldNames === undefined) === (current.fieldNames === undefined)
    return hasForm ? [{ place, value: moved.value }] : []
  })
  return carried.length < changes.length ? undefined : merged(before?.value ?? null, carried)
}

/** The history at the new path, oldest first. Neighbours count as they are today, so that only what is copied tells two versions apart. */
async function marksOf(
  to: Looking['to'],
  path: StorePath,
  changes: readonly Change[],
  before: SecretVersion,
  { key }: Looking,
): Promise<readonly string[]> {
  const names = changes.map(({ item }) => item.name)
  const places = changes.map(({ place }) => place)
  const { readable } = await to.versions(path)
  const marks: string[] = []
  for (const { version } of readable) {
    const read = await to.read(path, names, version)
    const value = read === undefined ? undefined : heldOf(read.value, places, before.value)
    marks.push(value === undefined ? '' : fingerprint(key, value))
  }
  return withoutRepeats(marks, mark => mark)
}

function heldOf(value: SecretValue, places: readonly Place[], before: SecretValue): SecretValue | undefined {
  const picked = places.flatMap(place => {
    const held = pick(value, place).value
    return held === undefined ? [] : [{ place, value: held }]
  })
  return picked.length < places.length ? undefined : merged(before, picked)
}

function counted(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`
}
