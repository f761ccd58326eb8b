import type { KeyObject } from 'node:crypto'
import {
  BrokerError,
  type SecretName,
  type SecretVersion,
  type Store,
  type StorePath,
  type VersionId,
  type VersionInfo,
} from '@keyturn/core'
import { Breather } from '../campaigns/breather.ts'
import { fingerprint } from '../copy/carry.ts'
import type { Step } from '../copy/look.ts'
import type { Side } from '../copy/side.ts'
import type { OpenedVersion } from './bundled-secret.ts'

/** How a secret of a bundle and the one at the destination stand to each other. */
export interface Comparison {
  /** `behind`: what is there is the beginning of the history in the bundle. */
  readonly action: 'new' | 'behind' | 'same' | 'different'
  readonly before: SecretVersion | undefined
  /** What is left to write, oldest first. Of a different one only what is current in the bundle. */
  readonly steps: readonly Step[]
  /** Versions there that are withheld in the bundle, and not there. */
  readonly withhold: readonly VersionId[]
}

/** Where a bundle is compared with. */
export interface Comparing {
  readonly side: Pick<Side, 'read'>
  readonly store: Pick<Store, 'versions'>
  /** Keys the fingerprints. */
  readonly key: KeyObject
}

/** A version that is there: its fingerprint, or why nobody may read it. */
interface Held {
  readonly version: VersionId
  readonly mark: string | 'withheld' | 'destroyed'
}

/** Looks at the destination of one secret. `history` is what the bundle has of it, in the order of its writes. */
export async function compare(comparing: Comparing, path: StorePath, history: readonly OpenedVersion[]): Promise<Comparison> {
  const { side, key } = comparing
  const before = await side.read(path, [nameAt(path)])
  const marks = await marksOf(history, key)
  const steps = history.map(({ line, value }): Step => ({ of: String(line.number) as VersionId, value }))
  if (before === undefined) return { action: 'new', before, steps, withhold: [] }
  const current = marks.at(-1)
  const isCurrent = fingerprint(key, before.value) === current
  // a current value that was there before may be the beginning of a history that is only half there
  const mayBeBehind = !isCurrent || marks.indexOf(current ?? '') < marks.length - 1
  const same = { action: 'same', before, steps: [], withhold: [] } as const
  if (!mayBeBehind && !history.some(({ line }) => line.disabled)) return same
  const held = await heldAt(comparing, path)
  const isBeginning = held.length <= history.length && held.every(({ mark }, at) => isVersion(mark, marks[at], history[at]))
  if (!isBeginning) return isCurrent ? same : { action: 'different', before, steps: steps.slice(-1), withhold: [] }
  // what is current there cannot be withheld before it is superseded
  const withhold = held.filter(({ mark }, at) => mark !== 'withheld' && history[at]?.line.disabled === true && at < history.length - 1)
  const isWhole = held.length === history.length && withhold.length === 0
  return isWhole ? same : { action: 'behind', before, steps: steps.slice(held.length), withhold: withhold.map(({ version }) => version) }
}

/** Keyturn's own store keeps a secret at its name. */
export function nameAt(path: StorePath): SecretName {
  // both brands stand for the same text there
  return path as string as SecretName
}

/** Fingerprints, in pieces between which others get on. */
async function marksOf(history: readonly OpenedVersion[], key: KeyObject): Promise<readonly string[]> {
  const breather = new Breather()
  const marks: string[] = []
  for (const { value } of history) {
    marks.push(fingerprint(key, value))
    if (breather.due) await breather.breathe()
  }
  return marks
}

function isVersion(mark: Held['mark'], ours: string | undefined, version: OpenedVersion | undefined): boolean {
  return mark === ours || (mark === 'withheld' && version?.line.disabled === true)
}

/** Every version that is there, in the order in which a restore would have written them. */
async function heldAt({ side, store, key }: Comparing, path: StorePath): Promise<readonly Held[]> {
  const all = (await Array.fromAsync(store.versions(path))).filter(({ state }) => state !== 'pending').reverse()
  const rank = ({ state }: VersionInfo) => (state === 'current' ? 2 : state === 'previous' ? 1 : 0)
  const held: Held[] = []
  for (const { version, state } of all.sort((a, b) => rank(a) - rank(b))) {
    if (state === 'disabled') held.push({ version, mark: 'withheld' })
    else if (state === 'destroyed') held.push({ version, mark: 'destroyed' })
    else {
      const read = await side.read(path, [nameAt(path)], version)
      if (read === undefined) throw new BrokerError('conflict', `${path} has changed while it was looked at`, { hint: 'run it again' })
      held.push({ version, mark: fingerprint(key, read.value) })
    }
  }
  return held
}
