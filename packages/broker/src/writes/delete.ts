import { BrokerError, isOver, isPromoted, type SecretVersion, type Store } from '@keyturn/core'
import { absent, type Granted } from '../access.ts'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { takingAway } from '../several/take-away.ts'
import { type Condition, changed, isConditional, mustBeAble, mustHold } from './condition.ts'
import { current } from './write.ts'

/** Takes a secret away, softly where the store can. Errors: `not_found`, `conflict`, `unsupported`, those of the store. */
export function deleteSecret(broker: Broker, { entry }: Granted, condition: Condition): Promise<void> {
  return entry.section.ask(store => deleteIn(broker, store, entry, condition))
}

async function deleteIn(broker: Broker, store: Store, entry: Entry, condition: Condition): Promise<void> {
  if (!store.can.has('delete')) {
    throw new BrokerError('unsupported', `store ${store.name} cannot delete through the broker`, {
      hint: `delete it in ${store.name} itself`,
    })
  }
  mustBeAble(store, condition)
  const row = await broker.ledger.secrets.byName(entry.name)
  const open = row?.rotation
  if (open !== undefined && open !== null && !isOver(open.state) && !isPromoted(open.state)) {
    throw new BrokerError('conflict', `a rotation of ${entry.name} is open (${open.state})`, {
      hint: 'wait for it, or abort it first',
      detail: { op: open.op, rotation: open.id, state: open.state },
    })
  }
  await takeAway(broker, store, entry, condition)
  if (row !== null) await broker.ledger.secrets.schedule(row.id, null)
}

async function takeAway(broker: Broker, store: Store, entry: Entry, condition: Condition): Promise<void> {
  const before = await current(store, entry)
  mustHold(condition, before)
  if (before === null) throw absent('there is no such secret')
  const neighbours = (before.value.fieldNames ?? []).filter(name => entry.keys !== null && !entry.keys.includes(name))
  if (neighbours.length > 0) {
    throw new BrokerError('unsupported', `this secret shares ${entry.path} with other fields, which would go with it`, {
      hint: `delete the fields in ${store.name} itself`,
    })
  }
  const noted = await takingAway(broker, entry, before)
  try {
    await deleteOnce(broker, store, entry, { condition, before }).catch(async error => {
      // what may have happened is looked for by who tells the other stores
      if (!isUnknown(error)) await noted.refused()
      throw error
    })
    await noted.done()
  } finally {
    broker.materials.drop(entry.name)
    if (entry.others.length > 0) broker.deliveries.look(entry.name)
  }
}

const isUnknown = (error: unknown): boolean => error instanceof BrokerError && error.code === 'outcome_unknown'

async function deleteOnce(
  broker: Broker,
  store: Store,
  entry: Entry,
  { condition, before }: { readonly condition: Condition; readonly before: SecretVersion },
): Promise<void> {
  try {
    await store.delete(entry.path, { idempotencyKey: broker.random.uuid(), ...(store.guarantees.cas ? { ifMatch: before.etag } : {}) })
  } catch (error) {
    const raced = error instanceof BrokerError && error.code === 'conflict'
    if (raced && isConditional(condition)) throw changed('somebody else wrote at the same time', await current(store, entry))
    if (!isUnknown(error) || (await current(store, entry)) !== null) throw error
  }
}
