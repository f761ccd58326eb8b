import { BrokerError, type SecretId, type SecretValue, type SecretVersion, type Store, type VersionId } from '@keyturn/core'
import type { Broker } from '../broker.ts'
import type { Entry, Place } from '../catalog.ts'
import { named } from '../exchange.ts'
import { merge, pick, readStore } from '../reads/store-read.ts'
import { type Floor, type Noted, promotionOf } from './floors.ts'
import { seen } from './read-several.ts'

/** How far a name is on its way to its other stores: how many have what they are to have, and why the others do not. */
export interface Reach {
  readonly reached: number
  readonly of: number
  readonly failures: ReadonlyMap<string, BrokerError>
}

/**
 * Brings the other stores of a name to what its first store has, when that was promoted or taken away through the broker. It looks before it writes, so it may
 * be done again at any time, by any broker: what a predecessor left undone is in the ledger. Errors: those of the first store and of the ledger.
 */
export async function deliver(broker: Broker, entry: Entry): Promise<Reach> {
  const { id } = await broker.ledger.secrets.ensure(entry.name)
  const noted = await noteCurrent(broker, entry, id)
  const of = entry.others.length
  const waiting = noted === null ? [] : entry.others.filter(({ section }) => isWaiting(noted.floor, section.name))
  if (noted === null || waiting.length === 0) return { reached: of, of, failures: new Map() }
  const { floor } = noted
  const act = floor.gone === null ? await bringing(broker, entry, id, noted) : await takingAway(broker, entry, id, noted)
  if (act === null) return deliver(broker, entry)
  const { made, failures } = await inEach(waiting, act)
  const done = floor.gone === null ? { stores: { ...floor.stores, ...made } } : { gone: { ...floor.gone, ...eachTrue(made) } }
  // whoever noted something newer meanwhile may have been overtaken by this: what was written here is to be looked at again
  if ((await broker.floors.put(id, { ...floor, ...done }, noted)) === null) {
    await askAgain(broker, id, Object.keys(made))
    return deliver(broker, entry)
  }
  return { reached: of - failures.size, of, failures }
}

const isWaiting = ({ gone, stores }: Floor, store: string): boolean => (gone === null ? stores[store] === null : gone[store] === false)

const eachTrue = (made: object) => Object.fromEntries(Object.keys(made).map(store => [store, true]))

async function inEach(
  places: readonly Place[],
  act: Act,
): Promise<{ readonly made: Readonly<Record<string, VersionId | null>>; readonly failures: ReadonlyMap<string, BrokerError> }> {
  const failures = new Map<string, BrokerError>()
  const made: Record<string, VersionId | null> = {}
  const tell = (store: string, act: Promise<VersionId | null>) =>
    act.then(
      version => {
        made[store] = version
      },
      error => failures.set(store, named(error)),
    )
  await Promise.all(places.map(place => tell(place.section.name, act(place))))
  return { made, failures }
}

/** The floor as the ledger's newest promotion wants it; null when nothing was ever promoted through the broker since the name has several stores. */
async function noteCurrent(broker: Broker, entry: Entry, id: SecretId): Promise<Noted | null> {
  const noted = await broker.floors.get(id)
  const promotion = promotionOf(await broker.journal.versions(id))
  if (noted === null || noted.floor.promotion === promotion) return noted
  const read = await readOrNothing(entry)
  // taken away behind the broker's back: there is nothing to bring, and what the others have is not served
  if (read === null) return null
  const fingerprint = broker.floors.fingerprint(id, read.value)
  const nobodyYet = Object.fromEntries(entry.others.map(place => [place.section.name, null]))
  const floor = { ...(await seen(broker, { read, fingerprint, promotion }, null)), stores: nobodyYet }
  return (await broker.floors.put(id, floor, noted)) ?? noteCurrent(broker, entry, id)
}

type Act = (place: Place) => Promise<VersionId | null>

/** Writes what the first store has; null when that is not what was noted any more, which has then been noted anew. */
async function bringing(broker: Broker, entry: Entry, id: SecretId, noted: Noted): Promise<Act | null> {
  const read = await readOrNothing(entry)
  const fingerprint = read === null ? null : broker.floors.fingerprint(id, read.value)
  if (read === null || fingerprint === null || fingerprint !== noted.floor.fingerprint) {
    await renote(broker, id, noted, read)
    return null
  }
  return place => place.section.ask(store => bring(broker, store, place, id, { value: read.value, fingerprint }))
}

/** Takes it away where the first store has it no longer; null when the first store has it after all, which has then been noted. */
async function takingAway(broker: Broker, entry: Entry, id: SecretId, noted: Noted): Promise<Act | null> {
  // a deletion through this broker that is under way must have ended, or what is still there would seem to stay
  const isGone = await broker.turns.run(entry.name, async () => {
    const read = await readOrNothing(entry)
    if (read !== null) await renote(broker, id, noted, read)
    return read === null
  })
  return isGone ? place => place.section.ask(store => takeAway(broker, store, place)) : null
}

/** Notes what the first store turned out to have; who was faster has noted it. */
async function renote(broker: Broker, id: SecretId, noted: Noted, read: SecretVersion | null): Promise<void> {
  const { floor } = noted
  if (read === null) await broker.floors.put(id, { ...floor, gone: {} }, noted)
  else {
    const fingerprint = broker.floors.fingerprint(id, read.value)
    await broker.floors.put(id, await seen(broker, { read, fingerprint, promotion: floor.promotion }, floor), noted)
  }
}

async function bring(
  broker: Broker,
  store: Store,
  place: Place,
  id: SecretId,
  wanted: { readonly value: SecretValue; readonly fingerprint: string },
): Promise<VersionId> {
  const before = await held(store, place)
  if (before !== null && has(broker, place, id, before, wanted.fingerprint)) return before.version
  const next = merge(place, before?.value ?? null, wanted.value)
  const condition = store.guarantees.cas && before !== null ? { ifMatch: before.etag } : {}
  return (await store.write(place.path, next, { idempotencyKey: broker.random.uuid(), ...condition })).version
}

function has(broker: Broker, place: Place, id: SecretId, before: SecretVersion, fingerprint: string): boolean {
  try {
    return broker.floors.fingerprint(id, pick(place, before.value)) === fingerprint
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return false
    throw error
  }
}

async function readOrNothing(entry: Entry): Promise<SecretVersion | null> {
  try {
    return await readStore(entry)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return null
    throw error
  }
}

async function takeAway(broker: Broker, store: Store, place: Place): Promise<null> {
  const before = await held(store, place)
  if (before === null) return null
  const shared = (before.value.fieldNames ?? []).some(name => place.keys !== null && !place.keys.includes(name))
  if (shared || !store.can.has('delete')) {
    throw new BrokerError(
      'unsupported',
      `store ${store.name}: ${place.path} cannot be deleted through the broker; it is not served any more`,
      {
        hint: `delete it in ${store.name} itself`,
        detail: { store: store.name },
      },
    )
  }
  await store.delete(place.path, {
    idempotencyKey: broker.random.uuid(),
    ...(store.guarantees.cas ? { ifMatch: before.etag } : {}),
  })
  return null
}

async function held(store: Store, place: Place): Promise<SecretVersion | null> {
  try {
    return await store.read(place.path)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return null
    throw error
  }
}

async function askAgain(broker: Broker, id: SecretId, written: readonly string[]): Promise<void> {
  const noted = await broker.floors.get(id)
  if (noted === null) return
  const { floor } = noted
  const reset = <T>(of: Readonly<Record<string, T>>, to: T) =>
    Object.fromEntries(Object.entries(of).map(([store, was]) => [store, written.includes(store) ? to : was]))
  const stores = reset(floor.stores, null)
  const gone = floor.gone === null ? null : reset(floor.gone, false)
  if ((await broker.floors.put(id, { ...floor, stores, gone }, noted)) === null) await askAgain(broker, id, written)
}
