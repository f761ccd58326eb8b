import { BrokerError, type SecretId, type SecretVersion } from '@keyturn/core'
import type { Broker } from '../broker.ts'
import type { Entry, Place } from '../catalog.ts'
import { readStore } from '../reads/store-read.ts'
import { hurried } from '../section.ts'
import { type Floor, type Noted, promotionOf } from './floors.ts'

/** How long a store may take while another one may be asked instead. */
export const patienceMs = 2_000

/** What a reader of a name in several stores is given. */
export interface Found {
  readonly read: Pick<SecretVersion, 'version' | 'createdAt' | 'state' | 'value'>
  /** The section that it came from. */
  readonly source: string
  readonly fingerprint: string
  /** When that store was asked. */
  readonly readMs: number
}

type Answered = Omit<Found, 'readMs'>

/**
 * The current version of a name in several stores: of the first that answers, in their order. Only `unavailable` and `throttled` lead to the next; a
 * refusal and an absence are the answer. What a store behind the first has is given out only when it is what was promoted or seen last, under the id of the
 * first store. Errors: those of the stores; `unavailable` (all of them throttled: `throttled`) names each with its reason.
 */
export async function readSeveral(broker: Broker, entry: Entry, id: SecretId): Promise<Found> {
  const before = await broker.floors.get(id)
  const failures = new Map<string, BrokerError>()
  const turns = [entry, ...entry.others].map(place => ({ place, patience: patienceMs as number | undefined }))
  for (const { place, patience } of turns) {
    const readMs = broker.clock.now().getTime()
    try {
      const found = await (place === entry ? readFirst(broker, entry, id, before, patience) : readOther(broker, place, id, patience))
      return { ...found, readMs }
    } catch (error) {
      if (!(error instanceof BrokerError) || !fallsThrough(error)) throw error
      failures.set(place.section.name, error)
      // a slow answer is better than none
      if (error.detail?.reason === hurried) turns.push({ place, patience: undefined })
    }
  }
  throw nobodyServes(entry, failures)
}

const fallsThrough = ({ code }: BrokerError): boolean => code === 'unavailable' || code === 'throttled'

/** What the first store has is current, whoever wrote it; and nobody is taken back behind it from then on. */
async function readFirst(
  broker: Broker,
  entry: Entry,
  id: SecretId,
  before: Noted | null,
  patience: number | undefined,
): Promise<Answered> {
  const read = await readStore(entry, undefined, patience).catch(async (error: unknown) => {
    if (error instanceof BrokerError && error.code === 'not_found') await noteAbsence(broker, id, before)
    throw error
  })
  const fingerprint = broker.floors.fingerprint(id, read.value)
  const promotion = promotionOf(await broker.journal.versions(id))
  const floor = before?.floor ?? null
  const isBeingTaken = Object.keys(floor?.gone ?? {}).length > 0
  // a promotion since then, and a deletion that may be under way, are noted by who tells the other stores
  if (floor !== null && (floor.promotion !== promotion || isBeingTaken)) broker.deliveries.notice(entry.name)
  else if (floor === null || floor.gone !== null || floor.fingerprint !== fingerprint || floor.version !== read.version) {
    await broker.floors.put(id, await seen(broker, { read, fingerprint, promotion }, floor), before)
  }
  return { read, source: entry.section.name, fingerprint }
}

/** What was seen to be gone is not to come back from another store. */
async function noteAbsence(broker: Broker, id: SecretId, before: Noted | null): Promise<void> {
  const promotion = promotionOf(await broker.journal.versions(id))
  if (before !== null && (before.floor.gone !== null || before.floor.promotion !== promotion)) return
  const notedAt = (await broker.ledger.now()).toISOString()
  const nothing = { fingerprint: null, version: null, createdAt: null, promotion, stores: {} }
  await broker.floors.put(id, { ...(before?.floor ?? nothing), gone: {}, notedAt }, before)
}

/**
 * A floor for what the first store was seen to have. Written by somebody else, it is none of the other stores' business; the value that was noted goes on its way to
 * them, whatever its id is now, unless one of them was made to forget it.
 */
export async function seen(
  broker: Broker,
  what: { readonly read: Pick<SecretVersion, 'version' | 'createdAt'>; readonly fingerprint: string; readonly promotion: number | null },
  before: Floor | null,
): Promise<Floor> {
  const { read, fingerprint, promotion } = what
  const same = before?.fingerprint === fingerprint && !Object.values(before.gone ?? {}).includes(true)
  return {
    fingerprint,
    version: read.version,
    createdAt: read.createdAt.toISOString(),
    promotion,
    gone: null,
    stores: same ? before.stores : {},
    notedAt: (await broker.ledger.now()).toISOString(),
  }
}

/** What another store has, when it is what the first one had last. */
async function readOther(broker: Broker, place: Place, id: SecretId, patience: number | undefined): Promise<Answered> {
  let read: SecretVersion | BrokerError
  try {
    read = await readStore(place, undefined, patience)
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'not_found') throw error
    read = error
  }
  const noted = await broker.floors.get(id)
  const promotion = promotionOf(await broker.journal.versions(id))
  const floor = noted?.floor ?? null
  // nothing was ever promoted or seen: what the store says is all there is to go by
  const isUnknown = floor === null || (floor.fingerprint === null && floor.gone === null)
  if (isUnknown && promotion === null) return asItIs(broker, place, id, read)
  if (floor === null || floor.fingerprint === null || floor.gone !== null || floor.promotion !== promotion) throw behind(place)
  if (read instanceof BrokerError || broker.floors.fingerprint(id, read.value) !== floor.fingerprint) throw behind(place)
  const { version, createdAt } = floor
  const known = version === null || createdAt === null ? {} : { version, createdAt: new Date(createdAt) }
  return { read: { ...read, ...known }, source: place.section.name, fingerprint: floor.fingerprint }
}

function asItIs(broker: Broker, place: Place, id: SecretId, read: SecretVersion | BrokerError): Answered {
  if (read instanceof BrokerError) throw read
  return { read, source: place.section.name, fingerprint: broker.floors.fingerprint(id, read.value) }
}

function behind({ section }: Place): BrokerError {
  return new BrokerError('unavailable', `store ${section.name} does not have what was current last, and nothing older is served`, {
    detail: { store: section.name, reason: 'behind' },
  })
}

function nobodyServes(entry: Entry, failures: ReadonlyMap<string, BrokerError>): BrokerError {
  const all = [...failures]
  const pauses = all.flatMap(([, { retryAfterMs }]) => retryAfterMs ?? [])
  const stores = Object.fromEntries(all.map(([store, { code, detail }]) => [store, detail?.reason === 'behind' ? 'behind' : code]))
  const list = Object.entries(stores).map(([store, word]) => `${store} (${word})`)
  const code = all.every(([, error]) => error.code === 'throttled') ? 'throttled' : 'unavailable'
  return new BrokerError(code, `no store can serve ${entry.name} now: ${list.join(', ')}`, {
    hint: 'a store that is behind is given the value again by itself as soon as the first one answers; keyturn doctor tells more',
    ...(pauses.length === 0 ? {} : { retryAfterMs: Math.min(...pauses) }),
    detail: { stores },
  })
}
