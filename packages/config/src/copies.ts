import type { SecretName } from '@keyturn/core'
import type { Complaints } from './complaint.ts'
import type { Config, SecretConfig } from './config.ts'
import { formatDuration } from './duration.ts'
import type { ReadCopy } from './sections.ts'
import { type Mapping, nodeAt, type Path, placeOf, renderPath, type Tree } from './tree.ts'

/** What a kubelet takes to show a changed object to its pods, and how far clocks may be apart. */
const spreadMs = 160_000

/** Refuses copies of names that nobody keeps, and warns of a grace that ends before a copy can have arrived. */
export function checkCopies(
  root: Mapping,
  copies: readonly ReadCopy[],
  config: Pick<Config, 'stores' | 'find'>,
  incomplete: boolean,
  complaints: Complaints,
): void {
  const list = root.entries.get('publish')?.value
  if (list === undefined) return
  for (const { index, copy } of copies) {
    const tell = new CopyTeller(list, index, complaints)
    if (copy.to !== 'kubernetes' && !config.stores.has(copy.to) && !incomplete) {
      tell.error(['to'], 'no store has this name', 'write kubernetes, or the name of a store section')
    }
    const named: readonly { readonly name: string; readonly path: Path }[] = [
      ...Object.entries(copy.keys ?? {}).map(([key, name]) => ({ name, path: ['keys', key] })),
      ...(copy.names ?? []).map((name, place) => ({ name, path: ['names', place] })),
    ]
    const floorMs = (copy.every ?? 0) + (copy.wait ?? 0) + spreadMs
    for (const { name, path } of named) {
      // a name that is none is found nowhere
      const secret = config.find(name as SecretName)
      if (secret !== undefined) warnOfShortGrace(secret, floorMs, complaints)
      else if (!incomplete) tell.error(path, 'no secret has this name', 'name a secret that a store keeps, or a derived one')
    }
  }
}

class CopyTeller {
  readonly #list: Tree
  readonly #index: number
  readonly #complaints: Complaints

  constructor(list: Tree, index: number, complaints: Complaints) {
    this.#list = list
    this.#index = index
    this.#complaints = complaints
  }

  error(path: Path, message: string, remedy: string): void {
    const whole: Path = [this.#index, ...path]
    const at = nodeAt(this.#list, whole)?.node.at ?? placeOf(this.#list, whole)
    this.#complaints.error(at, renderPath(['publish', ...whole]), message, remedy)
  }
}

function warnOfShortGrace(secret: SecretConfig, floorMs: number, complaints: Complaints): void {
  const { grace, strategy, name } = secret
  if (strategy === null || grace.at === null || grace.ms >= floorMs) return
  const floor = formatDuration(floorMs)
  const message = `a grace of ${formatDuration(grace.ms)} may end before a copy has arrived, which takes up to ${floor}`
  complaints.warning(grace.at, renderPath(['secrets', name]), message, `write grace: ${floor} or more, or publish more often`)
}
