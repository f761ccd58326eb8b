import type { SecretId, SecretValue, StorePath } from '@keyturn/core'
import type { BundleKeys, NameLine, VersionLine } from './bundle-line.ts'
import { type BundleEnd, type Damage, readBundle } from './bundle-reader.ts'

/** A secret as a bundle has it. */
export interface BundledSecret {
  readonly store: string
  readonly id: SecretId
  readonly path: StorePath
  readonly deleted: string | null
  /** Oldest first. */
  readonly versions: readonly VersionLine[]
}

/** A version that was opened. */
export interface OpenedVersion {
  readonly line: VersionLine
  readonly value: SecretValue
}

/** What is done with each thing of a bundle. The next secret waits for `secret`. */
export interface BundleVisit {
  secret(secret: BundledSecret): Promise<void>
  name(name: NameLine): void
  damage(damage: Damage): void
}

/** Reads a bundle secret by secret; memory holds one. */
export async function visitBundle(file: string, keys: BundleKeys | null, visit: BundleVisit): Promise<BundleEnd> {
  let versions: VersionLine[] = []
  const flush = async () => {
    const [first] = versions
    const all = versions
    versions = []
    if (first === undefined) return
    await visit.secret({ store: first.store, id: first.secret, path: first.path, deleted: first.deleted, versions: all })
  }
  const end = await readBundle(file, keys, async item => {
    if ('damage' in item) visit.damage(item.damage)
    else if ('name' in item) visit.name(item.name)
    else {
      const [first] = versions
      if (first !== undefined && (first.secret !== item.version.secret || first.store !== item.version.store)) await flush()
      versions.push(item.version)
    }
  })
  await flush()
  return end
}

/**
 * The versions that a restore brings back, in the order of its writes: older ones first, then the previous one, then what is current. Empty where
 * nothing is current. Staged versions belong to a rotation that is not in the bundle.
 */
export function historyOf({ deleted, versions }: BundledSecret): readonly VersionLine[] {
  const rank = ({ label }: VersionLine) => (label === 'current' ? 2 : label === 'previous' ? 1 : 0)
  const kept = versions.filter(({ label, sealed }) => label !== 'pending' && sealed !== null)
  if (deleted !== null || !kept.some(({ label }) => label === 'current')) return []
  return kept.sort((a, b) => rank(a) - rank(b) || a.number - b.number)
}
