import type { SecretId, SecretVersion } from '@keyturn/core'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { pick } from '../reads/store-read.ts'
import { type Floor, type Noted, promotionOf } from './floors.ts'

/** A note that a secret is being taken away, and its two ends. */
export interface TakingAway {
  /** The first store has it no longer. */
  done(): Promise<void>
  /** The first store refused, and nothing happened. */
  refused(): Promise<void>
}

const nothing: TakingAway = { done: async () => undefined, refused: async () => undefined }

/**
 * Notes that a secret is being taken away, before its first store hears of it: no other store and no memory may bring it back, whoever dies in between.
 */
export async function takingAway(broker: Broker, entry: Entry, current: SecretVersion): Promise<TakingAway> {
  if (entry.others.length === 0 && entry.config.maxStaleMs === null) return nothing
  const { id } = await broker.ledger.secrets.ensure(entry.name)
  const before = await broker.floors.get(id)
  const kept = await keptOf(broker, entry, { id, before, current })
  const noted = await broker.floors.put(id, goneFrom(entry, kept), before)
  if (noted === null) return takingAway(broker, entry, current)
  return {
    done: () => confirm(broker, entry, id),
    async refused() {
      await broker.floors.put(id, kept, noted)
    },
  }
}

/** What is noted of it while it is there: what its other stores have missed so far they miss no less when it stays. */
async function keptOf(
  broker: Broker,
  entry: Entry,
  { id, before, current }: { readonly id: SecretId; readonly before: Noted | null; readonly current: SecretVersion },
): Promise<Floor> {
  const promotion = promotionOf(await broker.journal.versions(id))
  const notedAt = (await broker.ledger.now()).toISOString()
  if (before !== null && before.floor.promotion === promotion) return { ...before.floor, notedAt }
  const fingerprint = broker.floors.fingerprint(id, pick(entry, current.value))
  const stores = before === null ? {} : Object.fromEntries(entry.others.map(place => [place.section.name, null]))
  return { fingerprint, version: current.version, createdAt: current.createdAt.toISOString(), promotion, gone: null, stores, notedAt }
}

const goneFrom = (entry: Entry, floor: Floor): Floor => ({
  ...floor,
  gone: Object.fromEntries(entry.others.map(place => [place.section.name, false])),
})

/** Whoever saw it in the first store until the end may have noted that it is there. */
async function confirm(broker: Broker, entry: Entry, id: SecretId): Promise<void> {
  const noted = await broker.floors.get(id)
  if (noted === null || noted.floor.gone !== null) return
  if ((await broker.floors.put(id, goneFrom(entry, noted.floor), noted)) === null) await confirm(broker, entry, id)
}
