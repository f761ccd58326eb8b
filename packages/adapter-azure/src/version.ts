import { BrokerError, type Etag, type VersionId, type VersionInfo } from '@keyturn/core'

/** What the vault tells of a version beside its value, as the SDK names it. */
export interface Properties {
  readonly name: string
  readonly version?: string
  readonly createdOn?: Date
  readonly enabled?: boolean
  readonly notBefore?: Date
  readonly expiresOn?: Date
  readonly contentType?: string
  readonly tags?: Readonly<Record<string, string>>
}

/** The mark that a write leaves on its version: whose intent it was, the how-maniest version, and the name as it was written. */
export interface Mark {
  readonly key: string
  readonly order: number
  readonly name: string
}

/** A version as it is known. */
export interface Known {
  readonly name: string
  readonly version: string
  /** Whole seconds. */
  readonly createdAt: Date
  readonly enabled: boolean
  readonly notBefore: Date | undefined
  readonly expiresAt: Date | undefined
  readonly contentType: string | undefined
  /** Those of others. */
  readonly tags: Readonly<Record<string, string>>
  readonly mark: Mark | undefined
}

const markTag = 'keyturn-mark'
/** https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#secrets */
const tagsMax = 15

/** Reads the properties of one version; `corrupt` when they name none. */
export function knownOf({ name, version, createdOn, enabled, notBefore, expiresOn, contentType, tags = {} }: Properties): Known {
  if (version === undefined || version === '' || createdOn === undefined || Number.isNaN(createdOn.getTime())) {
    throw new BrokerError('corrupt', 'azure: the answer about a version has no version or no time')
  }
  const { [markTag]: mark, ...others } = tags
  const rest = { notBefore, expiresAt: expiresOn, contentType, tags: others }
  return { name, version, createdAt: createdOn, enabled: enabled ?? true, ...rest, mark: markOf(mark) }
}

/** The tags of a new version: those of the one before it, and the mark. */
export function tagsWith(before: Known | undefined, { key, order, name }: Mark): Record<string, string> {
  const tags = before?.tags ?? {}
  if (Object.keys(tags).length >= tagsMax) {
    throw new BrokerError('precondition_failed', `azure: ${name} has ${tagsMax} tags already, and a write adds one`, {
      hint: 'take a tag away: azure allows no more',
    })
  }
  return { ...tags, [markTag]: `${key} ${order} ${name}` }
}

/**
 * Newest first. The vault tells them in no promised order and their times in whole seconds: within one, the mark decides. `tied` are those of the
 * newest second when nothing tells which of them is current.
 */
export function ranked(all: readonly Known[]): { readonly versions: readonly Known[]; readonly tied: readonly Known[] } {
  const versions = all.toSorted(newerFirst)
  const [first] = versions
  const same = versions.filter(each => each.createdAt.getTime() === first?.createdAt.getTime())
  const orders = new Set(same.map(each => each.mark?.order))
  return { versions, tied: orders.has(undefined) || orders.size < same.length ? same : same.slice(0, 1) }
}

/** A version as the broker knows it. `current` is the etag of the secret, `rank` 0 the newest. */
export function infoOf({ version, createdAt, enabled }: Known, current: string, rank: number): VersionInfo {
  return { version: version as VersionId, state: enabled ? stateOf(rank) : 'disabled', createdAt, etag: current as Etag }
}

function stateOf(rank: number): VersionInfo['state'] {
  if (rank === 0) return 'current'
  return rank === 1 ? 'previous' : 'older'
}

function newerFirst(a: Known, b: Known): number {
  const byTime = b.createdAt.getTime() - a.createdAt.getTime()
  if (byTime !== 0) return byTime
  const byOrder = (b.mark?.order ?? 0) - (a.mark?.order ?? 0)
  return byOrder === 0 ? (a.version < b.version ? 1 : -1) : byOrder
}

function markOf(text: string | undefined): Mark | undefined {
  const [, key, order, name] = /^([0-9A-Za-z-]{1,64}) (\d{1,9}) ([0-9A-Za-z-]+)$/.exec(text ?? '') ?? []
  return key === undefined || name === undefined ? undefined : { key, order: Number(order), name }
}
