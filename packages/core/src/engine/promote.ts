import { BrokerError } from '../error.ts'
import type { VersionId } from '../name.ts'
import { dueTime } from '../schedule/due.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Change, LedgerVersion, VersionPatch } from './journal.ts'
import type { Move, Passage } from './passage.ts'
import { mustFit, stageOnce } from './prepare.ts'
import { event, reached } from './reached.ts'

/**
 * verified -> promoted: by what the store has, and only from the version that was backed up. The store is looked at before every
 * attempt, so an attempt that got through without an answer is found. Then one ledger transaction says what it means.
 */
export async function promote(passage: Passage): Promise<Move> {
  const pending = await passage.pendingValue()
  const version = await moveCurrent(passage, pending)
  return reached('promoted', supersede(passage, version, await passage.versions()))
}

async function moveCurrent(passage: Passage, pending: SecretValue): Promise<VersionId> {
  const { base } = passage.rotation
  const current = await passage.current()
  if (current?.value.equals(pending)) return current.version
  const backup = await passage.baseValue()
  const untouched = current === null ? backup === null : backup !== null && current.value.equals(backup)
  if (!untouched) {
    throw new BrokerError('conflict', `someone else wrote ${passage.target.path} since this rotation began; what they wrote stays`)
  }
  mustFit(passage, pending)
  const { store } = passage.target
  if (store.can.has('stages')) {
    const to = passage.rotation.version ?? (await stageOnce(passage, pending, 'complete'))
    await passage.inStore((at, path) => at.promote(path, { from: base?.version ?? null, to }))
    return to
  }
  const condition = store.guarantees.cas ? { ifMatch: current?.etag ?? null } : {}
  const options = { idempotencyKey: passage.intentKey('promote'), ...condition }
  return (await passage.inStore((at, path) => at.write(path, pending, options))).version
}

/** What a promotion means to the ledger: labels, the end of the old version's time, its revocation, the next due time. */
function supersede(passage: Passage, version: VersionId, rows: readonly LedgerVersion[]): Change {
  const { rotation, at: now, target, traits } = passage
  const { base, number } = rotation
  if (number === null) throw new BrokerError('internal', `rotation ${rotation.id} promotes without a number`)
  const { everyMs } = target.settings
  const graceUntil = new Date(now.getTime() + graceMs(passage))
  // a write that was under way when a compromise began may have ended since: the store's word counts
  const stray = rows.filter(row => row.label === 'current' && row.number !== number && row.number !== base?.number)
  const strays = stray.map(row => ({ number: row.number, label: null, status: null }))
  const made: VersionPatch = { number, version, label: 'current', status: traits.keySet ? 'primary' : null }
  const next = everyMs === null ? {} : { nextRotationAt: dueTime(now, everyMs, rotation.secretId) }
  const events = [event('promoted', version)]
  const outcome = { ...rotation.outcome, rotation: 'ok' as const }
  if (base === null) return { ...next, versions: [...strays, made], rotation: { version, outcome }, events }
  return {
    ...next,
    // the old one first: there is one current at any time
    versions: [
      ...strays,
      { number: base.number, label: 'previous', status: traits.keySet ? 'active' : null, supersededAt: now, graceUntil },
      made,
    ],
    revocations: [{ number: base.number, dueAt: graceUntil }],
    rotation: { version, graceUntil, outcome: { ...outcome, revocation: 'pending' } },
    events,
  }
}

function graceMs({ rotation, target, traits }: Passage): number {
  if (rotation.mode === 'compromise' || !traits.grace) return 0
  return Math.max(target.settings.graceMs, rotation.graceOverrideMs ?? 0)
}

/** promoted -> published: the store serves what was promoted, and its copies have it. Whatever happens here, the rotation is not failed. */
export async function publish(passage: Passage): Promise<Move> {
  const { rotation } = passage
  const current = await passage.current()
  if (!current?.value.equals(await passage.pendingValue()) && !(await supersededSince(passage))) {
    throw new BrokerError('unavailable', `store ${passage.target.store.name} does not serve what was promoted to ${passage.target.path}`)
  }
  const delivery = await passage.publish()
  const outcome = {
    ...rotation.outcome,
    delivery: delivery.kind === 'complete' ? delivery.kind : { reached: delivery.reached, of: delivery.of },
  }
  return reached('published', { rotation: { outcome } })
}

/** A later write through the broker is no fault of the delivery. */
export async function supersededSince(passage: Passage): Promise<boolean> {
  const current = (await passage.versions()).find(row => row.label === 'current')
  return current !== undefined && current.number !== passage.rotation.number
}
