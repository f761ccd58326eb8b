import { BrokerError, dueTime, type SecretId, type SecretValue, type SecretVersion, type Store, type VersionInfo } from '@keyturn/core'
import type { WriteIntent } from '@keyturn/ledger'
import type { Broker } from '../broker.ts'
import type { Entry, Place } from '../catalog.ts'
import { merge } from '../reads/store-read.ts'
import { beforePromotion } from '../several/floors.ts'
import { type Condition, changed, isConditional, mustBeAble, mustHold } from './condition.ts'

/** A new value, and what it demands of the state before it. */
export interface WriteRequest {
  readonly value: SecretValue
  readonly condition: Condition
}

/** What became of a write. */
export interface Written {
  readonly info: Pick<VersionInfo, 'version' | 'createdAt'>
  readonly isNew: boolean
}

const attemptsMax = 3

/**
 * Writes a new version through to the store: the superseded and the new value are sealed in the ledger before, and the outcome is after,
 * so that a process that dies in between leaves something to look at. Errors: `conflict` (precondition, open rotation), those of the
 * store, `outcome_unknown` when the store cannot be asked what happened.
 */
export function writeSecret(broker: Broker, entry: Entry, request: WriteRequest): Promise<Written> {
  return entry.section.ask(async store => {
    mustBeAble(store, request.condition)
    await mustFitOthers(entry, request.value)
    await beforePromotion(broker, entry)
    for (let attempt = 1; ; attempt++) {
      const before = await superseding(store, entry)
      mustHold(request.condition, before)
      const written = await writeOver(broker, store, entry, request, before)
      if (!(written instanceof BrokerError)) return written
      if (isConditional(request.condition)) throw changed('somebody else wrote at the same time', await current(store, entry))
      // without a precondition the last one wins, but over what it has seen
      if (attempt === attemptsMax) throw written
    }
  })
}

/** What the store has now, with all its fields; null: nothing. */
export async function current(store: Store, entry: Entry): Promise<SecretVersion | null> {
  try {
    return await store.read(entry.path)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return null
    throw error
  }
}

/** What a write supersedes. Its value is null where its KEK is away. */
type Superseded = Pick<SecretVersion, 'version' | 'etag'> & { readonly value: SecretValue | null }

/**
 * As `current`, and what cannot be opened for want of its KEK may be written over whole: the store keeps that version, and it opens again when the KEK
 * is back. Not where an entry is only some fields of it: its neighbours would be lost.
 */
async function superseding(store: Store, entry: Entry): Promise<Superseded | null> {
  try {
    return await current(store, entry)
  } catch (error) {
    const isLocked = error instanceof BrokerError && error.detail?.kekId !== undefined
    if (!isLocked || entry.keys !== null || store.envelopes === undefined) throw error
    for await (const { version, etag, state } of store.versions(entry.path)) {
      if (state === 'current') return { version, etag, value: null }
    }
    throw error
  }
}

/** One attempt; the conflict when somebody else was faster. */
async function writeOver(
  broker: Broker,
  store: Store,
  entry: Entry,
  request: WriteRequest,
  before: Superseded | null,
): Promise<Written | BrokerError> {
  const { sealer, ledger } = broker
  const value = before?.value ?? null
  const next = merge(entry, value, request.value)
  mustFit(store, entry, next)
  const { id } = await ledger.secrets.ensure(entry.name)
  const idempotencyKey = broker.random.uuid()
  const intent = await ledger.secrets.beginWrite({
    secretId: id,
    idempotencyKey,
    superseded:
      before === null || value === null
        ? null
        : { version: before.version, seal: number => sealer.seal({ secretId: id, number, kind: 'previous' }, value) },
    next: number => sealer.seal({ secretId: id, number, kind: 'pending' }, next),
  })
  let info: VersionInfo
  try {
    info = await store.write(entry.path, next, { idempotencyKey, ...ifMatch(store, request, before) })
  } catch (error) {
    return unclear(broker, store, entry, intent, before, error)
  }
  await end(broker, entry, intent, info)
  return { info, isNew: before === null }
}

function ifMatch(store: Store, request: WriteRequest, before: Superseded | null): { ifMatch?: SecretVersion['etag'] | null } {
  if (!store.guarantees.cas) return {}
  if (before !== null) return { ifMatch: before.etag }
  // a secret that was deleted softly reads as absent, and writing it again is only refused to those who asked for that
  return isConditional(request.condition) ? { ifMatch: null } : {}
}

/** What another store could never hold would keep that store behind for good. One that cannot be set up now says so when it is brought in step. */
async function mustFitOthers(entry: Entry, value: SecretValue): Promise<void> {
  for (const place of entry.others) {
    const store = await place.section.open().catch(() => null)
    if (store !== null) mustFit(store, place, value)
  }
}

function mustFit(store: Store, { path }: Place, value: SecretValue): void {
  const why = store.refuses(value)
  if (why === undefined) return
  throw new BrokerError('invalid_argument', `store ${store.name}: ${path} cannot hold this value whole: ${why}`, {
    hint: 'change the value, or keep this secret in a store that can hold it',
    detail: { reason: 'not_representable' },
  })
}

/** Ends a write that failed: at once when it is sure that nothing happened, else by looking. */
async function unclear(
  broker: Broker,
  store: Store,
  entry: Entry,
  intent: WriteIntent,
  before: Superseded | null,
  error: unknown,
): Promise<Written | BrokerError> {
  if (error instanceof BrokerError && error.code !== 'outcome_unknown' && error.code !== 'internal') {
    await broker.ledger.secrets.endWrite(intent, null)
    if (error.code === 'conflict') return error
    throw error
  }
  const made = await settle(broker, store, entry, intent).catch((cause: unknown) => {
    broker.settleLater()
    throw cause
  })
  if (made !== null) return { info: made, isNew: before === null }
  throw new BrokerError('unavailable', `store ${store.name} did not take the write`, {
    hint: 'send it again',
    detail: { store: store.name },
  })
}

/** Finds out by looking what became of a write, and ends it in the ledger; null: it did not happen. `outcome_unknown` while the store cannot be asked. */
export async function settle(broker: Broker, store: Store, entry: Entry, intent: WriteIntent): Promise<SecretVersion | null> {
  const found = await current(store, entry).catch((cause: unknown) => {
    throw new BrokerError('outcome_unknown', `store ${store.name}: whether the write of ${entry.path} happened is not known`, {
      hint: 'read the secret before writing it again; the broker looks again by itself',
      detail: { store: store.name },
      cause,
    })
  })
  const next = broker.sealer.open({ secretId: intent.secretId, number: intent.number, kind: 'pending' }, intent.next)
  const happened = found?.value.equals(next) === true && found.version !== intent.superseded?.version
  if (happened) await end(broker, entry, intent, found)
  else await broker.ledger.secrets.endWrite(intent, null)
  broker.materials.drop(entry.name)
  return happened ? found : null
}

async function end(broker: Broker, entry: Entry, intent: WriteIntent, info: Pick<VersionInfo, 'version'>): Promise<void> {
  const now = await broker.ledger.now()
  const graceMs = entry.config.grace.ms
  await broker.ledger.secrets.endWrite(intent, {
    version: info.version,
    graceUntil: intent.superseded === null || graceMs === 0 ? null : new Date(now.getTime() + graceMs),
    nextRotationAt: nextDue(entry, now, intent.secretId),
  })
  broker.materials.drop(entry.name)
  if (entry.others.length > 0) broker.deliveries.look(entry.name)
}

/** When the worker is to rotate a secret whose current version was made now; null: never by itself. */
export function nextDue(entry: Entry, now: Date, id: SecretId): Date | null {
  const { strategy, built, every } = entry.config
  return strategy === null || !built || every === null ? null : dueTime(now, every.ms, id)
}
