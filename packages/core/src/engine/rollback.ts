import { BrokerError } from '../error.ts'
import type { VersionId } from '../name.ts'
import type { SecretValue } from '../secret-value.ts'
import type { SecretVersion } from '../store-adapter.ts'
import type { Move, Passage } from './passage.ts'
import { event, reached, waiting } from './reached.ts'
import { endDue, latestDue, mustNotServe, mustWork, pendingRevocations, serving, toPerson } from './retire.ts'

/** Turns a promoted rotation back, as an operator wished. */
export function turnBack(): Move {
  return reached('rolling-back', { rotation: { wish: null } })
}

/** rolling-back -> rolled-back: first current moves back, then the version that was promoted has its own grace and its own revocation. */
export async function rollBack(passage: Passage): Promise<Move> {
  return passage.rotation.outcome.rotation === 'rolled-back' ? retireMade(passage) : restoreBase(passage)
}

async function restoreBase(passage: Passage): Promise<Move> {
  const { rotation, target, traits } = passage
  const { base, number } = rotation
  const value = await passage.baseValue()
  if (base === null || value === null || number === null) return refuse('this rotation superseded nothing')
  const why = await notTurnable(passage, base.number)
  if (why !== undefined) return refuse(why)
  const made = await passage.pendingValue()
  await mustBeOurs(passage, value, made)
  const verified = await previousWorks(passage, value, made)
  if (!verified) return refuse('the previous version does not work any more')
  const version = await moveBack(passage, value, made)
  const now = passage.at
  const graceUntil = new Date(now.getTime() + (rotation.mode === 'compromise' || !traits.grace ? 0 : target.settings.graceMs))
  return reached('rolling-back', {
    versions: [
      {
        number,
        label: 'previous',
        status: traits.keySet ? 'active' : null,
        supersededAt: now,
        graceUntil,
        ...passage.seal(number, 'previous', made),
      },
      { number: base.number, version, label: 'current', status: traits.keySet ? 'primary' : null, supersededAt: null, graceUntil: null },
    ],
    revocations: [
      { number: base.number, state: 'cancelled' },
      { number, dueAt: graceUntil },
    ],
    rotation: { graceUntil, outcome: { rotation: 'rolled-back', delivery: 'pending', revocation: 'pending' } },
    events: [event('rolling-back', version)],
  })
}

/** What the ledger knows that keeps a rotation from being turned back. */
async function notTurnable({ ports, rotation }: Passage, base: number): Promise<string | undefined> {
  const revocation = (await ports.journal.revocations(rotation.id)).find(row => row.number === base)
  if (revocation?.state !== 'pending') return 'the previous version is revoked'
  const current = (await ports.journal.versions(rotation.secretId)).find(row => row.label === 'current')
  return current === undefined || current.number === rotation.number ? undefined : 'it was written through the broker since'
}

/** The store has one of the two; with what anyone else wrote there nothing is to be done, at the target neither. */
async function mustBeOurs(passage: Passage, value: SecretValue, made: SecretValue): Promise<SecretVersion> {
  const current = await passage.current()
  if (current?.value.equals(value) || current?.value.equals(made)) return current
  throw new BrokerError('conflict', `someone else wrote ${passage.target.path} since the promotion; what they wrote stays`)
}

/** Without an overlap the target is set back first. */
async function previousWorks(passage: Passage, value: SecretValue, made: SecretValue): Promise<boolean> {
  const { issuer, traits } = passage
  if (issuer === null || traits.byPerson) return true
  const [onPrevious] = await passage.probe([value])
  if (onPrevious === 'unknown')
    throw new BrokerError('unavailable', `issuer ${issuer.kind}: whether the previous version works cannot be told now`)
  if (onPrevious === 'refused' && issuer.overlap !== 'none') return false
  if (onPrevious === 'refused') await passage.effect('apply', (target, act) => target.apply(act, value, made))
  await passage.ask('verify', (target, act) => target.verify(act, value))
  return true
}

/** Moves current back. A write that arrived twice is a conflict with itself: only what is looked at tells it from someone else's. */
async function moveBack(passage: Passage, value: SecretValue, made: SecretValue): Promise<VersionId> {
  try {
    return await moveOnce(passage, value, made)
  } catch (error) {
    const current = error instanceof BrokerError && error.code === 'conflict' ? await passage.current() : null
    if (current?.value.equals(value)) return current.version
    throw error
  }
}

async function moveOnce(passage: Passage, value: SecretValue, made: SecretValue): Promise<VersionId> {
  const { store } = passage.target
  const { base, version } = passage.rotation
  const current = await mustBeOurs(passage, value, made)
  if (current.value.equals(value)) return current.version
  if (base !== null && version !== null && store.can.has('stages')) {
    // a revocation that was under way may have withheld it
    if (store.can.has('enable')) await passage.inStore((at, path) => at.enable(path, base.version))
    await passage.inStore((at, path) => at.promote(path, { from: version, to: base.version }))
    return base.version
  }
  const condition = store.guarantees.cas ? { ifMatch: current.etag } : {}
  const options = { idempotencyKey: passage.intentKey('rollback'), ...condition }
  return (await passage.inStore((at, path) => at.write(path, value, options))).version
}

/** The wish cannot be granted: the rotation goes on where it was. */
export function refuse(why: string): Move {
  const message = `not rolled back: ${why}`
  return {
    change: {
      rotation: { state: 'grace', hold: null, attempts: 0, wish: null, error: { code: 'precondition_failed', message } },
      events: [{ action: 'rotation.rollback-refused', outcome: 'failed', version: null, code: 'precondition_failed' }],
    },
  }
}

async function retireMade(passage: Passage): Promise<Move> {
  const { rotation, now } = passage
  if (rotation.outcome.delivery !== 'complete') return republish(passage)
  const due = await pendingRevocations(passage)
  const latest = latestDue(due)
  if (now < latest) return waiting('grace', latest)
  await mustNotServe(passage, await passage.pendingValue())
  await mustWork(passage, await serving(passage))
  const ended = await endDue(passage, due)
  if (ended === null) return toPerson
  const outcome = { ...rotation.outcome, revocation: 'done' as const }
  const change = {
    ...ended,
    events: [event('rolled-back'), ...(ended.events ?? [])],
    rotation: { finishedAt: now, wakeAt: null, outcome, wish: null },
  }
  return { ...reached('rolled-back', change), rest: { wakeAt: null } }
}

/** The copies get the version back that is current again: what they have now is to end. */
async function republish(passage: Passage): Promise<Move> {
  const delivery = await passage.publish()
  if (delivery.kind === 'complete') return { change: { rotation: { outcome: { ...passage.rotation.outcome, delivery: 'complete' } } } }
  throw new BrokerError('unavailable', `${delivery.of - delivery.reached} of ${delivery.of} copies do not have the old version back`)
}
