import { BrokerError, type SecretValue, type SecretVersion, type StoreAdapter, type VersionInfo, type WriteOptions } from '@keyturn/core'
import { type Aliased, type AliasedCalls, unnamed } from './aliased-calls.ts'
import { hasStatus, status } from './classify.ts'
import { type Home, placeOf, secretName } from './names.ts'
import { encodePayload } from './values.ts'
import { infoOf, type Known, numberOf } from './version.ts'

/** How often a deletion is tried that others’ changes come before. */
const triesMax = 20

type Members = Pick<StoreAdapter, 'read' | 'write'> & Required<Pick<StoreAdapter, 'versions' | 'delete' | 'stages'>>

/**
 * Secrets whose current version is what an alias of theirs names, not the newest. The alias moves by the secret's etag, so that of several who expected
 * the same current version one wins, and a version that anybody adds in between changes nothing.
 */
export function aliasedMembers(own: AliasedCalls, home: Home): Members {
  const named = (path: string) => secretName(placeOf(path, home))
  return {
    read: async (path, { version, signal }) => read(own, named(path), version === undefined ? undefined : numberOf(version), signal),

    async write(path, value, options) {
      const number = await put(own, { place: placeOf(path, home), value, options }, 'current')
      return info(own, named(path), number, options.signal)
    },

    async *versions(path, { signal }) {
      signal.throwIfAborted()
      const name = named(path)
      const all = await own.calls.versions(name, signal)
      const { current = 0 } = (await own.find(name, signal)) ?? {}
      for (const each of all) yield infoAmong(each, current, all)
    },

    async delete(path, { ifMatch, signal }) {
      const name = named(path)
      for (let tries = 1; ; tries += 1) {
        const now = await own.find(name, signal)
        expected(own, name, now, ifMatch)
        if (now === undefined) throw new BrokerError('not_found', `gcp: ${name} does not exist`)
        try {
          return await own.calls.delete(name, signal, ifMatch === undefined ? '' : now.etag)
        } catch (error) {
          if (ifMatch === undefined || tries >= triesMax || !hasStatus(error, status.failedPrecondition)) throw error
        }
      }
    },

    stages: {
      async stage(path, value, options) {
        const number = await put(own, { place: placeOf(path, home), value, options }, 'pending')
        return info(own, named(path), number, options.signal)
      },

      async promote(path, { from, to }, { signal }) {
        const name = named(path)
        await own.change(
          name,
          async now => {
            if (now.current === numberOf(to)) return undefined
            expected(own, name, now, from === null ? null : own.etagOf({ ...now, current: numberOf(from) }))
            const { number, gone } = await own.calls.version(name, numberOf(to), signal)
            if (gone !== undefined)
              throw new BrokerError('precondition_failed', `gcp: version ${to} of ${name} is ${gone}`, { hint: 'enable it first' })
            return { current: number }
          },
          signal,
        )
      },
    },
  }
}

async function read(own: AliasedCalls, name: string, number: number | undefined, signal: AbortSignal): Promise<SecretVersion> {
  if (number === 0) throw new BrokerError('not_found', `gcp: ${name} has no such version`)
  const found = await own.calls.access(name, number ?? own.alias, signal).catch((error: unknown) => {
    throw number === undefined && hasStatus(error, status.notFound) ? unnamed(name, own.alias) : error
  })
  const createdAt = await own.calls.birth(name, found, signal)
  const version = { number: found.number, createdAt, gone: undefined }
  if (number === undefined) return { ...infoOf(version, found.number), value: found.value }
  const all = await own.calls.versions(name, signal)
  const { current = 0 } = (await own.find(name, signal)) ?? {}
  return { ...infoAmong(version, current, all), value: found.value }
}

interface Put {
  readonly place: Parameters<AliasedCalls['calls']['add']>[0]
  readonly value: SecretValue
  readonly options: WriteOptions
}

/** Adds the version of an intent, once, and marks it; as current it is named in the same change. Answers with its number. */
async function put(own: AliasedCalls, { place, value, options }: Put, as: 'current' | 'pending'): Promise<number> {
  const { idempotencyKey: key, ifMatch, signal } = options
  const name = secretName(place)
  const before = await own.find(name, signal)
  const earlier = await own.made(name, key, value, before, signal)
  if (earlier !== undefined) return earlier
  expected(own, name, before, ifMatch)
  const stray = before === undefined ? undefined : await own.stray(name, value, before, signal)
  const number = stray ?? (await own.calls.add(place, encodePayload(value), signal)).number
  let made = number
  await own.change(
    name,
    async now => {
      made = (await own.made(name, key, value, now, signal)) ?? number
      if (made !== number) return undefined
      expected(own, name, now, ifMatch)
      return { mark: { key, number }, ...(as === 'current' ? { current: number } : {}) }
    },
    signal,
  )
  return made
}

function expected(own: AliasedCalls, name: string, now: Aliased | undefined, ifMatch: WriteOptions['ifMatch']): void {
  if (ifMatch === undefined || own.etagOf(now) === ifMatch) return
  throw new BrokerError('conflict', `gcp: ${name} has another current version than expected`, { hint: 'read it again' })
}

async function info(own: AliasedCalls, name: string, number: number, signal: AbortSignal): Promise<VersionInfo> {
  const [known, now] = [await own.calls.version(name, number, signal), await own.find(name, signal)]
  return infoAmong(known, now?.current ?? 0, [known])
}

/** As `infoOf`, where newer versions than the current one may be: they are pending. Previous is the newest enabled one before it. */
function infoAmong(version: Omit<Known, 'etag'>, current: number, all: readonly Known[]): VersionInfo {
  const told = infoOf(version, current)
  if (version.gone !== undefined || version.number === current) return told
  if (version.number > current) return { ...told, state: 'pending' }
  const previous = all.find(({ number, gone }) => number < current && gone === undefined)
  return { ...told, state: version.number === previous?.number ? 'previous' : 'older' }
}
