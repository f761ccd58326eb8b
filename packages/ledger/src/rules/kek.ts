import { BrokerError } from '@keyturn/core'
import type { Instance, KekRecord, KekState, MetKek } from '../ledger.ts'

/**
 * Where a KEK may go (NIST SP 800-57 part 1 rev. 5, 8.3). A key that closes values gives that up only to another one, so `active` leads to
 * `deactivated` alone; the way back is for a key that nobody has reason to distrust. To `destroyed` there is a way from wherever nothing is closed: what
 * is still under the key is then lost on purpose.
 */
export const kekMoves: Readonly<Record<KekState, readonly KekState[]>> = {
  'pre-active': ['active', 'retired', 'destroyed'],
  active: ['deactivated'],
  deactivated: ['active', 'compromised', 'retired', 'destroyed'],
  compromised: ['destroyed'],
  retired: ['destroyed'],
  destroyed: [],
}

/** What `meet` has to save: KEKs that are new, and those whose closed form is another one now. */
export function metKeks(known: readonly KekRecord[], given: readonly MetKek[], now: Date): readonly KekRecord[] {
  const records = new Map(known.map(kek => [kek.id, kek]))
  const saved = new Map<string, KekRecord>()
  for (const kek of given) {
    const before = records.get(kek.id)
    const record = before === undefined ? newKek(kek, now) : metAgain(before, kek)
    const twin = [...records.values()].find(({ id, fingerprint }) => id !== kek.id && fingerprint === kek.fingerprint)
    if (twin !== undefined) throw sameMaterial(kek.id, twin)
    if (record === before) continue
    records.set(record.id, record)
    saved.set(record.id, record)
  }
  return [...saved.values()]
}

function newKek({ id, fingerprint, wrapped }: MetKek, now: Date): KekRecord {
  const state = 'pre-active'
  const changes = [{ state, at: now } as const]
  return { id, fingerprint, state, metAt: now, currentSince: null, stateAt: now, changes, wrapped: wrapped ?? null }
}

function metAgain(before: KekRecord, { fingerprint, wrapped }: MetKek): KekRecord {
  if (before.fingerprint !== fingerprint) throw otherMaterial(before.id)
  if (before.state === 'destroyed') throw destroyed(before.id)
  // what nothing needs any more may still be loaded somewhere, until its operator takes it away
  return wrapped === undefined || before.state === 'retired' ? before : { ...before, wrapped }
}

/** What `promote` has to save, the one that steps down first; null when `from` is not what is active any more, or `to` is. */
export function promotedKeks(known: readonly KekRecord[], to: string, from: string | null, now: Date): readonly KekRecord[] | null {
  const active = known.find(({ state }) => state === 'active') ?? null
  const next = mustKnow(known, to)
  if ((active?.id ?? null) !== from || next.state === 'active') return null
  const risen = entered(next, 'active', now)
  const raised = { ...risen, currentSince: next.currentSince ?? now }
  return active === null ? [raised] : [entered(active, 'deactivated', now), raised]
}

/** What `move` has to save; null when the KEK is there already. */
export function movedKek(kek: KekRecord, to: KekState, now: Date): KekRecord | null {
  if (kek.state === to) return null
  const moved = entered(kek, to, now)
  return to === 'destroyed' ? { ...moved, wrapped: null } : moved
}

function entered(kek: KekRecord, state: KekState, at: Date): KekRecord {
  if (!kekMoves[kek.state].includes(state)) throw noMove(kek, state)
  return { ...kek, state, stateAt: at, changes: [...kek.changes, { state, at }] }
}

/** Whether new wraps may be made under it. Before its turn it closes the one record that its promotion closes; after, what a broker that has not heard closes. */
export function mustClose({ id, state }: KekRecord): void {
  if (state === 'pre-active' || state === 'active' || state === 'deactivated') return
  throw new BrokerError('conflict', `the KEK ${id} is ${state}: nothing is closed with it any more`, { detail: { kekId: id, state } })
}

/** The record of an id; `not_found` when it was never met. */
export function mustKnow(known: readonly KekRecord[], id: string): KekRecord {
  const kek = known.find(record => record.id === id)
  if (kek === undefined) throw noKek(id)
  return kek
}

/** How old the newest heartbeat of a live instance may be. */
export const instanceLivesMs = 60_000
/** How long an instance that is gone is remembered. */
export const instanceKeptMs = 24 * 60 * 60_000

/** Oldest first. */
export function byStart(a: Instance, b: Instance): number {
  return a.startedAt.getTime() - b.startedAt.getTime() || (a.id < b.id ? -1 : 1)
}

export const noKek = (id: string): BrokerError => new BrokerError('not_found', `no KEK ${id} in the ledger`, { detail: { kekId: id } })

export function kekNeeded(id: string, needs: Readonly<Record<string, number>>): BrokerError {
  const envelopes = Object.values(needs).reduce((sum, count) => sum + count, 0)
  return new BrokerError('conflict', `the KEK ${id} is needed by ${envelopes} envelopes`, {
    hint: 'change them to another KEK first: keyturn kek rewrap',
    detail: { kekId: id, needs },
  })
}

function noMove({ id, state }: KekRecord, to: KekState): BrokerError {
  return new BrokerError('conflict', `the KEK ${id} is ${state}: it cannot become ${to}`, { detail: { kekId: id, state } })
}

function otherMaterial(id: string): BrokerError {
  return new BrokerError('precondition_failed', `the KEK ${id} is not the key that this deployment knows by that id`, {
    hint: 'put the former key back under this id, and give the new one an id of its own: an id never changes its key',
    detail: { kekId: id },
  })
}

function sameMaterial(id: string, twin: KekRecord): BrokerError {
  return new BrokerError('precondition_failed', `the KEK ${id} is the same key as ${twin.id}, which is ${twin.state}`, {
    hint: 'make a new random key for every id',
    detail: { kekId: id, twin: twin.id, state: twin.state },
  })
}

function destroyed(id: string): BrokerError {
  return new BrokerError('precondition_failed', `the KEK ${id} was destroyed: it is never used again`, {
    hint: 'take it away from where the keys are loaded',
    detail: { kekId: id, state: 'destroyed' },
  })
}
