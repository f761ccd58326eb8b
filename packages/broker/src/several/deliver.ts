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

/** What another store calls what is not there any more. */
const taken = '-' as VersionId

/**
 * Brings the other stores of a name to what its first store has, when that was promoted or taken away through the broker. It looks before it writes, so it may
 * be done again at any time, by any broker: what a predecessor left undone is in the ledger. Errors: those of the first store and of the ledger.
 */
export async function deliver(broker: Broker, entry: Entry): Promise<Reach> {
  const { id } = await broker.ledger.secrets.ensure(entry.name)
  const noted = await noteCurrent(broker, entry, id)
  const waiting = noted === null ? [] : entry.others.filter(place => noted.floor.stores[place.section.name] === null)
  const of = entry.others.length
  if (noted === null || waiting.length === 0) return { reached: of, of, failures: new Map() }
  const act = noted.floor.gone ? await takingAway(broker, entry) : await bringing(broker, entry, id, noted.floor)
  if (act === null) return deliver(broker, entry)
  const failures = new Map<string, BrokerError>()
  const made = new Map<string, VersionId>()
  await Promise.all(
    waiting.map(async place => {
      const store = place.section.name
      await act(place).then(
        version => made.set(store, version),
        error => failures.set(store, named(error)),
      )
    }),
  )
  const stores = { ...noted.floor.stores, ...Object.fromEntries(made) }
  // whoever noted something newer meanwhile may have been overtaken by this: what was written here is to be looked at again
  if ((await broker.floors.put(id, { ...noted.floor, stores }, noted)) === null) {
    await askAgain(broker, id, [...made.keys()])
    return deliver(broker, entry)
  }
  return { reached: of - failures.size, of, failures }
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
  const floor = { ...(await seen(broker, { read, fingerprint, promotion })), stores: nobodyYet(entry) }
  return (await broker.floors.put(id, floor, noted)) ?? noteCurrent(broker, entry, id)
}

/** Every other store, none of which has it yet. */
export function nobodyYet(entry: Entry): Floor['stores'] {
  return Object.fromEntries(entry.others.map(place => [place.section.name, null]))
}

/** Writes what the first store has; null when that is not what was noted any more, which has then been noted anew. */
async function bringing(broker: Broker, entry: Entry, id: SecretId, floor: Floor): Promise<((place: Place) => Promise<VersionId>) | null> {
  const { value, version, createdAt } = await readStore(entry)
  const fingerprint = broker.floors.fingerprint(id, value)
  if (fingerprint !== floor.fingerprint) {
    await replace(broker, id, floor, await seen(broker, { read: { version, createdAt }, fingerprint, promotion: floor.promotion }))
    return null
  }
  return place => place.section.ask(store => bring(broker, store, place, id, { value, fingerprint }))
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

/** Takes it away where the first store has it no longer; null when the first store has it after all, which has then been noted. */
async function takingAway(broker: Broker, entry: Entry): Promise<((place: Place) => Promise<VersionId>) | null> {
  const { id } = await broker.ledger.secrets.ensure(entry.name)
  const noted = await broker.floors.get(id)
  const read = await readOrNothing(entry)
  if (read === null) return place => place.section.ask(store => takeAway(broker, store, place))
  const fingerprint = broker.floors.fingerprint(id, read.value)
  await broker.floors.put(id, await seen(broker, { read, fingerprint, promotion: noted?.floor.promotion ?? null }), noted)
  return null
}

async function readOrNothing(entry: Entry): Promise<SecretVersion | null> {
  try {
    return await readStore(entry)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return null
    throw error
  }
}

async function takeAway(broker: Broker, store: Store, place: Place): Promise<VersionId> {
  const before = await held(store, place)
  if (before === null) return taken
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
  return taken
}

async function held(store: Store, place: Place): Promise<SecretVersion | null> {
  try {
    return await store.read(place.path)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return null
    throw error
  }
}

async function replace(broker: Broker, id: SecretId, before: Floor, floor: Floor): Promise<void> {
  const noted = await broker.floors.get(id)
  if (noted?.floor.notedAt === before.notedAt) await broker.floors.put(id, floor, noted)
}

async function askAgain(broker: Broker, id: SecretId, written: readonly string[]): Promise<void> {
  const noted = await broker.floors.get(id)
  if (noted === null) return
  const again = Object.fromEntries(written.filter(store => store in noted.floor.stores).map(store => [store, null]))
  if (Object.keys(again).length === 0) return
  const stores = { ...noted.floor.stores, ...again }
  if ((await broker.floors.put(id, { ...noted.floor, stores }, noted)) === null) await askAgain(broker, id, written)
}
