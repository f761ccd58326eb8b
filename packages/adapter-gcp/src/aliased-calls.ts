import { BrokerError, type Etag, type SecretValue } from '@keyturn/core'
import { hasStatus, status } from './classify.ts'
import type { RawSecret } from './client.ts'
import type { SecretCalls } from './secret-calls.ts'

/** A secret whose current version is the one that an alias names. */
export interface Aliased {
  readonly etag: string
  /** The number that the alias names; undefined when it names none. */
  readonly current: number | undefined
  readonly aliases: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** What a change of a secret leaves: where the alias points, and the mark of the intent that did it. */
export interface Change {
  readonly current?: number
  readonly mark?: { readonly key: string; readonly number: number }
}

const markPrefix = 'keyturn-'
/** Below the 16 KiB that annotations may have, with room for others'. https://cloud.google.com/secret-manager/docs/annotations */
const marksMax = 64
const triesMax = 20
/** Of a secret that somebody else adds versions to, not all are looked at. */
const straysMax = 10

/** The secret's own record: alias and marks change together or not at all, by its etag. https://cloud.google.com/secret-manager/docs/etags */
export class AliasedCalls {
  readonly calls: SecretCalls
  readonly alias: string

  constructor(calls: SecretCalls, alias: string) {
    this.calls = calls
    this.alias = alias
  }

  /** Undefined when the secret is absent. */
  async find(name: string, signal: AbortSignal): Promise<Aliased | undefined> {
    try {
      return this.#read(await this.calls.client.call('getSecret', { name }, signal))
    } catch (error) {
      if (hasStatus(error, status.notFound)) return undefined
      throw error
    }
  }

  /**
   * Changes the record. `decide` says what to change, of the record as it is now, and may throw or answer that nothing is to be done; it is asked again
   * after somebody else's change in between.
   */
  async change(
    name: string,
    decide: (now: Aliased) => Promise<Change | undefined> | Change | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const now = await this.find(name, signal)
      if (now === undefined) throw new BrokerError('not_found', `gcp: ${name} does not exist`)
      const change = await decide(now)
      if (change === undefined) return
      try {
        await this.calls.client.call('updateSecret', this.#request(name, now, change), signal)
        return
      } catch (error) {
        if (!hasStatus(error, status.failedPrecondition) && !hasStatus(error, status.aborted)) throw error
        if (tries >= triesMax)
          throw new BrokerError('conflict', `gcp: ${name} is changed by others all the time`, { hint: 'try again later', cause: error })
      }
    }
  }

  /** The version that an intent made before; `conflict` when it was sent with another value then. */
  async made(name: string, key: string, value: SecretValue, now: Aliased | undefined, signal: AbortSignal): Promise<number | undefined> {
    const marked = now?.annotations[`${markPrefix}${key}`]
    if (marked === undefined) return undefined
    const number = Number(marked)
    const before = await this.calls.access(name, number, signal).catch((error: unknown) => {
      if (error instanceof BrokerError || hasStatus(error, status.notFound)) return undefined
      throw error
    })
    if (before?.value.equals(value)) return number
    throw new BrokerError(
      'conflict',
      `gcp: the key of this write made version ${number} of ${name}, with another value or one that is gone`,
      {
        hint: 'use one key for one value',
      },
    )
  }

  /**
   * A version after the current one that has this value and that nobody named or marked: an earlier attempt made it, and its answer was lost. A version
   * cannot be told from another of the same value, so that nothing is lost if it was somebody else's.
   */
  async stray(name: string, value: SecretValue, now: Aliased, signal: AbortSignal): Promise<number | undefined> {
    const taken = new Set([...marksOf(now).map(([, number]) => number), ...Object.values(now.aliases).map(Number)])
    const all = await this.calls.versions(name, signal)
    const strays = all.filter(({ number, gone }) => number > (now.current ?? 0) && gone === undefined && !taken.has(number))
    for (const { number } of strays.slice(0, straysMax)) {
      if ((await this.calls.access(name, number, signal)).value.equals(value)) return number
    }
    return undefined
  }

  /** What would be expected of the current version, as an etag; null for none. */
  etagOf(now: Aliased | undefined): Etag | null {
    return now?.current === undefined ? null : (String(now.current) as Etag)
  }

  #read({ etag, versionAliases, annotations }: RawSecret): Aliased {
    const aliases = Object.fromEntries(Object.entries(versionAliases ?? {}).map(([name, number]) => [name, String(number)]))
    const current = Object.hasOwn(aliases, this.alias) ? Number(aliases[this.alias]) : undefined
    if (etag === undefined || etag === null || etag === '') {
      throw new BrokerError('unsupported', 'gcp: this server has no etags, which an alias needs', { hint: 'remove alias from the section' })
    }
    return { etag, current, aliases, annotations: { ...annotations } }
  }

  #request(name: string, now: Aliased, { current, mark }: Change) {
    const kept = mark === undefined ? now.annotations : withMark(now, mark)
    const versionAliases = current === undefined ? now.aliases : { ...now.aliases, [this.alias]: String(current) }
    return {
      secret: { name, etag: now.etag, versionAliases, annotations: kept },
      updateMask: { paths: ['version_aliases', 'annotations'] },
    }
  }
}

/** The secret is there and its alias names nothing, or it is not there. */
export function unnamed(name: string, alias: string): BrokerError {
  return new BrokerError('not_found', `gcp: ${name} has no version called ${alias}`, {
    hint: `write it, or name a version that is there: gcloud secrets update ID --update-version-aliases=${alias}=NUMBER`,
  })
}

function marksOf({ annotations }: Aliased): readonly (readonly [string, number])[] {
  return Object.entries(annotations)
    .filter(([key, value]) => key.startsWith(markPrefix) && /^\d{1,15}$/.test(value))
    .map(([key, value]) => [key, Number(value)] as const)
}

/** With one more mark, and without the oldest of too many. */
function withMark(now: Aliased, { key, number }: NonNullable<Change['mark']>): Readonly<Record<string, string>> {
  const oldest = marksOf(now)
    .toSorted(([, a], [, b]) => b - a)
    .slice(marksMax - 1)
  const kept = Object.entries(now.annotations).filter(([each]) => !oldest.some(([old]) => old === each))
  return { ...Object.fromEntries(kept), [`${markPrefix}${key}`]: String(number) }
}
