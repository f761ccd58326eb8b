import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { nobodyYet } from './deliver.ts'
import { promotionOf } from './floors.ts'

/**
 * Notes that a secret is being taken away, before its first store hears of it: no other store and no memory may bring it back, whoever dies in between. The
 * answer takes the note back, for a store that refused.
 */
export async function noteTakingAway(broker: Broker, entry: Entry): Promise<() => Promise<void>> {
  if (entry.others.length === 0 && entry.config.maxStaleMs === null) return async () => undefined
  const { id } = await broker.ledger.secrets.ensure(entry.name)
  const before = await broker.floors.get(id)
  const promotion = promotionOf(await broker.journal.versions(id))
  const notedAt = (await broker.ledger.now()).toISOString()
  const gone = { fingerprint: null, version: null, createdAt: null, promotion, gone: true, stores: nobodyYet(entry), notedAt }
  const noted = await broker.floors.put(id, gone, before)
  if (noted === null) return noteTakingAway(broker, entry)
  return async () => {
    // of several stores the first one is asked anyway, and what it still has is noted again
    await broker.floors.put(id, before?.floor ?? { ...gone, gone: false, stores: {} }, noted)
  }
}
