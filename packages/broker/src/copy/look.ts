import type { KeyObject } from 'node:crypto'
import { BrokerError, type ErrorCode, type SecretValue, type SecretVersion, type Store, type VersionId } from '@keyturn/core'
import { carry, fingerprint, merged, pick } from './carry.ts'
import { historyOf } from './history.ts'
import type { CopyRow, Item, Move } from './move.ts'
import type { Place } from './places.ts'
import type { Side } from './side.ts'

/** What a look needs. */
export interface Looking {
  readonly from: Pick<Side, 'name' | 'read' | 'versions'>
  readonly to: Pick<Side, 'name' | 'read' | 'versions' | 'write'>
  /** The store behind `to`, which says what it refuses. */
  readonly store: Pick<Store, 'guarantees' | 'refuses'>
  /** Keys the fingerprints. */
  readonly key: KeyObject
  /** Whether history goes along. */
  readonly versions: boolean
}

/** One version to write. */
export interface Step {
  /** Of which version it is made. */
  readonly of: VersionId
  readonly value: SecretValue
}

/** How a move stands at this moment. */
export interface Look {
  readonly rows: readonly CopyRow[]
  /** What is at the new path now. */
  readonly before: SecretVersion | undefined
  /** What is left to write, oldest first. */
  readonly steps: readonly Step[]
}

/** An item whose value can go where it belongs. */
export interface Change {
  readonly item: Item
  readonly place: Place
  readonly value: SecretValue
  readonly of: VersionId
}

type Judged = { readonly change: Change } | { readonly row: CopyRow }

/** Looks at both stores, and says what is left to do. What fails is said in the row of its secret. */
export async function look(looking: Looking, move: Move): Promise<Look> {
  const { to } = looking
  let before: SecretVersion | undefined
  try {
    before = await to.read(
      move.path,
      move.items.map(({ name }) => name),
    )
  } catch (error) {
    return { rows: move.items.map(item => rowOfError(item, error)), before, steps: [] }
  }
  const judged = await judge(looking, move, before)
  const changes = judged.flatMap(each => ('change' in each ? [each.change] : []))
  const told = judged.flatMap(each => ('row' in each ? [each.row] : []))
  if (changes.length === 0) return { rows: told, before, steps: [] }
  const next = merged(before?.value ?? null, changes)
  const why = looking.store.refuses(next)
  if (why !== undefined) {
    const rows = changes.map(({ item }) => rowOf(item, 'cannot', 0, `${to.name} cannot hold it whole: ${why}`))
    return { rows: [...told, ...rows], before, steps: [] }
  }
  try {
    const plan = await stepsOf(looking, move, changes, before, next)
    const rows = changes.map(change => rowOfChange(looking, change, before, plan))
    return { rows: [...told, ...rows], before, steps: plan.steps }
  } catch (error) {
    return { rows: [...told, ...changes.map(({ item }) => rowOfError(item, error))], before, steps: [] }
  }
}

/** Reads every item, and tells those that can go from those that cannot. */
async function judge({ from, to }: Looking, { items }: Move, before: SecretVersion | undefined): Promise<readonly Judged[]> {
  const paths = Map.groupBy(items, item => item.from.path)
  const all: Judged[] = []
  for (const [path, sharing] of paths) {
    try {
      const read = await from.read(
        path,
        sharing.map(({ name }) => name),
      )
      for (const item of sharing) all.push(judged(item, read, before, to.name))
    } catch (error) {
      for (const item of sharing) all.push({ row: rowOfError(item, error) })
    }
  }
  return all
}

function judged(item: Item, read: SecretVersion | undefined, before: SecretVersion | undefined, to: string): Judged {
  if (read === undefined) return { row: rowOf(item, 'absent', 0, 'there is nothing to copy') }
  const picked = pick(read.value, item.from)
  if (picked.value === undefined) return { row: rowOf(item, 'absent', 0, `it has no field ${picked.missing ?? ''}`) }
  const carried = carry(picked.value, item.from, item.to)
  if ('why' in carried) return { row: rowOf(item, 'cannot', 0, carried.why) }
  const isText = carried.value.fieldNames === undefined
  if (item.to.format === 'stored' && before !== undefined && isText !== (before.value.fieldNames === undefined)) {
    const why = `${to} keeps it as ${isText ? 'a set of fields' : 'one text'}, as it was first written: delete it there first`
    return { row: rowOf(item, 'cannot', 0, why) }
  }
  return { change: { item, place: item.to, value: carried.value, of: read.version } }
}

/** What is left to write of a move, and what has to be said about it. */
export interface Steps {
  readonly steps: readonly Step[]
  readonly why: string | null
  /** Whether the new path's current version is what it is to be. */
  readonly isCurrent: boolean
}

async function stepsOf(
  looking: Looking,
  move: Move,
  changes: readonly Change[],
  before: SecretVersion | undefined,
  next: SecretValue,
): Promise<Steps> {
  const [first] = changes
  if (first === undefined) return { steps: [], why: null, isCurrent: true }
  const isCurrent = before !== undefined && fingerprint(looking.key, before.value) === fingerprint(looking.key, next)
  const current = { steps: isCurrent ? [] : [{ of: first.of, value: next }], why: null, isCurrent }
  if (!looking.versions) return current
  if (changes.length < move.items.length || changes.some(({ item }) => item.from.path !== first.item.from.path)) {
    return { ...current, why: 'older versions are left out: it shares its path there' }
  }
  return historyOf(looking, changes, before, current)
}

function rowOfChange(
  { key }: Looking,
  { item, place, value }: Change,
  before: SecretVersion | undefined,
  { steps, why, isCurrent }: Steps,
): CopyRow {
  const there = before === undefined ? undefined : pick(before.value, place).value
  if (there === undefined) return rowOf(item, 'create', steps.length, why)
  if (fingerprint(key, there) !== fingerprint(key, value)) return rowOf(item, 'replace', steps.length, why)
  // what is current is there, but versions before it are still to come
  const isBehind = isCurrent && steps.length > 0
  return rowOf(item, isBehind ? 'replace' : 'same', isBehind ? steps.length : 0, why)
}

function rowOf({ name, from, to }: Item, action: CopyRow['action'], versions: number, why: string | null): CopyRow {
  return { name, from: from.path, to: to.path, action, versions, why }
}

const forConfig: ReadonlySet<ErrorCode> = new Set(['invalid_argument', 'too_large', 'unsupported'])

/** What a person can mend in the config is told apart from what may pass by itself. Anything but a store's own error ends the copy. */
function rowOfError(item: Item, error: unknown): CopyRow {
  if (!(error instanceof BrokerError) || error.code === 'cancelled') throw error
  const why = `${error.message}${error.hint === undefined ? '' : `: ${error.hint}`}`
  return { ...rowOf(item, forConfig.has(error.code) ? 'cannot' : 'failed', 0, why), code: error.code }
}
