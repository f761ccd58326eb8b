import { BrokerError, type Etag, type VersionId, type VersionInfo } from '@keyturn/core'
import type { RawVersion } from './client.ts'

/** What is known of a version. */
export interface Known {
  readonly number: number
  readonly createdAt: Date
  /** Whether its value is withheld or gone. One whose destruction is under way is gone: nothing here brings it back. */
  readonly gone: 'disabled' | 'destroyed' | undefined
  /** The service's own, for changes of this version; empty where a server has none. */
  readonly etag: string
}

/** Reads a version; `corrupt` when it has no number, time or state that is known. */
export function knownOf(raw: RawVersion): Known {
  const createdAt = dateOf(raw.createTime)
  if (createdAt === undefined) throw new BrokerError('corrupt', 'gcp: a version came without its time')
  return { number: numberIn(raw.name), createdAt, gone: goneOf(raw), etag: raw.etag ?? '' }
}

/** The number at the end of a version's name: `latest` is answered with it. */
export function numberIn(name: string | null | undefined): number {
  const number = Number(/\/versions\/([1-9]\d{0,14})$/.exec(name ?? '')?.[1])
  if (Number.isNaN(number)) throw new BrokerError('corrupt', 'gcp: a version came without its number')
  return number
}

/** A version as the broker knows it; `newest` is the highest number, which is the current one and the etag of the secret. */
export function infoOf({ number, createdAt, gone }: Omit<Known, 'etag'>, newest: number): VersionInfo {
  return {
    version: String(number) as VersionId,
    state: stateOf(number, gone, newest),
    createdAt,
    etag: String(newest) as Etag,
    order: number,
  }
}

/** The number of a version; 0, which none has, for what can be no number (`latest`, an alias). */
export function numberOf(version: VersionId): number {
  return /^[1-9]\d{0,14}$/.test(version) ? Number(version) : 0
}

function stateOf(number: number, gone: Known['gone'], newest: number): VersionInfo['state'] {
  if (gone !== undefined) return gone
  if (number === newest) return 'current'
  return number === newest - 1 ? 'previous' : 'older'
}

function goneOf({ state, scheduledDestroyTime }: RawVersion): Known['gone'] {
  if (state === 'ENABLED' || state === 1) return undefined
  if (state === 'DESTROYED' || state === 3) return 'destroyed'
  if (state !== 'DISABLED' && state !== 2) throw new BrokerError('corrupt', 'gcp: a version came in a state that is not known')
  return dateOf(scheduledDestroyTime) === undefined ? 'disabled' : 'destroyed'
}

function dateOf(time: RawVersion['createTime']): Date | undefined {
  if (time === undefined || time === null) return undefined
  const ms = Number(time.seconds ?? 0) * 1_000 + Math.floor(Number(time.nanos ?? 0) / 1_000_000)
  return Number.isFinite(ms) ? new Date(ms) : undefined
}
