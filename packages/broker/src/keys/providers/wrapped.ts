import { createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { BrokerError, bounded, type Clock, type Ended, type ErrorCode, type Random } from '@keyturn/core'
import { type KekProvider, type KekWrapper, kekFingerprint, mustBeKekId, type ProvidedKeks, type WrappedBytes } from '@keyturn/envelope'
import type { KekRecord, Keks } from '@keyturn/ledger'

const callMs = 3_000
const keyBytes = 32
const firstId = 'k1'
/** The provider will not open it, however often it is asked. */
const forGood: ReadonlySet<ErrorCode> = new Set(['corrupt', 'not_found', 'precondition_failed'])

export interface WrappedKeysParts {
  readonly wrapper: KekWrapper
  readonly ledgerId: string
  readonly keks: Pick<Keks, 'all' | 'meet' | 'move'>
  readonly random: Random
  readonly clock: Clock
  readonly maxAgeMs: number
  /** Nothing was ever closed here: a first KEK may be made. */
  readonly fresh: boolean
  /** False where the records are only a copy. */
  readonly writes: boolean
  /** Told what did not work and is no reason to give nothing: a wrap that could not be renewed. */
  readonly trouble: (error: unknown) => void
}

type Wrapped = KekRecord & { readonly wrapped: NonNullable<KekRecord['wrapped']> }

/**
 * KEKs that are made here, closed by a key that never leaves its provider, and kept so in the ledger; in the clear they are in memory only. The one that
 * was met last is current. On an empty ledger the first start makes `k1`; when two start at once, both use the one that was there first. A wrap by an
 * older key than the provider's newest is renewed.
 */
export function wrappedKeys(parts: WrappedKeysParts): KekProvider {
  const { wrapper, keks } = parts
  return {
    kind: wrapper.kind,
    maxAgeMs: parts.maxAgeMs,
    load: signal => load(parts, signal),
    make: (id, signal) => make(parts, id, signal),
    async destroy(id) {
      if (wantedOf(wrappedBy(wrapper.kind, await keks.all())) === id) {
        throw new BrokerError('conflict', `KEK ${id} is the newest one`, { hint: 'make another and let it become current first' })
      }
      await keks.move(id, 'destroyed')
    },
    examine: signal =>
      bounded(
        parts.clock,
        4 * callMs,
        signal,
        how => ended(wrapper.kind, how),
        inner => wrapper.examine(inner),
      ),
    close: () => wrapper.close(),
  }
}

async function load(parts: WrappedKeysParts, signal: AbortSignal): Promise<ProvidedKeks> {
  const { wrapper, keks } = parts
  const records = wrappedBy(wrapper.kind, await keks.all())
  const current = wantedOf(records)
  if (current === undefined) {
    if (!parts.fresh || (await keks.all()).length > 0) throw holdsNone(wrapper.kind)
    await makeFirst(parts, signal)
    return load({ ...parts, fresh: false }, signal)
  }
  const opened = await Promise.all(records.map(record => openOrMiss(parts, record, signal)))
  const missing = opened.flatMap(each => ('why' in each ? [each] : []))
  const refused = missing.find(({ id }) => id === current)
  if (refused !== undefined) throw refused.why
  if (parts.writes) await renewOld(parts, records, signal)
  return { keks: new Map(opened.flatMap(each => ('key' in each ? [[each.id, each.key] as const] : []))), current, missing }
}

function wrappedBy(kind: string, records: readonly KekRecord[]): readonly Wrapped[] {
  return records.filter((record): record is Wrapped => record.state !== 'destroyed' && record.wrapped?.provider === kind)
}

/** The one that was met last, of those that may close anything. */
function wantedOf(records: readonly Wrapped[]): string | undefined {
  const able = records.filter(({ state }) => state !== 'retired' && state !== 'compromised')
  return able.sort((a, b) => a.metAt.getTime() - b.metAt.getTime() || (a.id < b.id ? -1 : 1)).at(-1)?.id
}

type Opened = { readonly id: string; readonly key: KeyObject } | { readonly id: string; readonly why: BrokerError }

async function openOrMiss(parts: WrappedKeysParts, record: Wrapped, signal: AbortSignal): Promise<Opened> {
  try {
    return { id: record.id, key: await open(parts, record, signal) }
  } catch (error) {
    if (error instanceof BrokerError && forGood.has(error.code)) return { id: record.id, why: error }
    throw error
  }
}

async function open(parts: WrappedKeysParts, { id, fingerprint, wrapped }: Wrapped, signal: AbortSignal): Promise<KeyObject> {
  const bytes = await unwrap(parts, id, wrapped, signal)
  try {
    const key = bytes.byteLength === keyBytes ? createSecretKey(bytes) : undefined
    if (key !== undefined && kekFingerprint(key) === fingerprint) return key
  } finally {
    bytes.fill(0)
  }
  throw new BrokerError('corrupt', `${parts.wrapper.kind} opened KEK ${id}, and it is another key than the one that was met`, {
    hint: 'restore the ledger from a backup, or correct the provider',
  })
}

async function makeFirst(parts: WrappedKeysParts, signal: AbortSignal): Promise<void> {
  try {
    await make(parts, firstId, signal)
  } catch (error) {
    // another broker was first: its key is in the ledger now
    if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
  }
}

async function make(parts: WrappedKeysParts, id: string, signal: AbortSignal): Promise<void> {
  mustBeKekId(id)
  const { keks, wrapper, random } = parts
  const isTaken = async () => (await keks.all()).some(record => record.id === id)
  const taken = () => new BrokerError('conflict', `KEK ${id} is known already`, { hint: 'take an id that was never used' })
  if (await isTaken()) throw taken()
  const kek = random.bytes(keyBytes)
  try {
    const wrapped = { provider: wrapper.kind, ...(await wrapProven(parts, id, kek, signal)) }
    await keks.meet([{ id, fingerprint: kekFingerprint(createSecretKey(kek)), wrapped }])
  } catch (error) {
    const lost = error instanceof BrokerError && error.code === 'precondition_failed' && (await isTaken())
    throw lost ? taken() : error
  } finally {
    kek.fill(0)
  }
}

/** Closes a KEK, and sees that it opens again before anything depends on it. */
async function wrapProven(parts: WrappedKeysParts, id: string, kek: Uint8Array, signal: AbortSignal): Promise<WrappedBytes> {
  const wrapped = await call(parts, signal, inner => parts.wrapper.wrap(kek, { ledgerId: parts.ledgerId, kekId: id }, inner))
  const back = await unwrap(parts, id, wrapped, signal)
  try {
    if (back.byteLength === kek.byteLength && timingSafeEqual(back, kek)) return wrapped
  } finally {
    back.fill(0)
  }
  throw new BrokerError('corrupt', `${parts.wrapper.kind} closed KEK ${id} and opened it as another key`, {
    hint: 'nothing was closed with it; look at the provider before you go on',
  })
}

/** After the provider's key was rotated. What fails here is tried again at the next load. */
async function renewOld(parts: WrappedKeysParts, records: readonly Wrapped[], signal: AbortSignal): Promise<void> {
  const newest = await call(parts, signal, inner => parts.wrapper.newest(inner))
  for (const record of records) {
    if (record.wrapped.key === newest || record.state === 'retired') continue
    try {
      await renew(parts, record, signal)
    } catch (error) {
      signal.throwIfAborted()
      parts.trouble(error)
    }
  }
}

async function renew(parts: WrappedKeysParts, { id, fingerprint, wrapped }: Wrapped, signal: AbortSignal): Promise<void> {
  const kek = await unwrap(parts, id, wrapped, signal)
  try {
    const renewed = await wrapProven(parts, id, kek, signal)
    await parts.keks.meet([{ id, fingerprint, wrapped: { provider: parts.wrapper.kind, ...renewed } }])
  } finally {
    kek.fill(0)
  }
}

function unwrap(parts: WrappedKeysParts, kekId: string, wrapped: WrappedBytes, signal: AbortSignal): Promise<Uint8Array> {
  return call(parts, signal, inner => parts.wrapper.unwrap(wrapped, { ledgerId: parts.ledgerId, kekId }, inner))
}

function call<T>({ clock, wrapper }: WrappedKeysParts, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return bounded(clock, callMs, signal, how => ended(wrapper.kind, how), run)
}

function ended(kind: string, how: Ended): BrokerError {
  if (how === 'cancelled') return new BrokerError('cancelled', `${kind}: the call was ended`)
  return new BrokerError('unavailable', `${kind}: the provider of keys did not answer within ${callMs / 1000} s`, {
    hint: 'look whether it runs and can be reached from here; it is asked again by itself',
  })
}

function holdsNone(kind: string): BrokerError {
  return new BrokerError('precondition_failed', `the ledger holds no KEK that ${kind} closed, and something was closed before`, {
    hint: 'take the provider that closed it, or restore the ledger from a backup',
  })
}
