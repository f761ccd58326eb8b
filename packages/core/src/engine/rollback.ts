import { BrokerError } from '../error.ts'
import type { VersionId } from '../name.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Move, Passage } from './passage.ts'
import { event, reached, waiting } from './reached.ts'
import { endVersion, latestDue } from './retire.ts'

/** Turns a promoted rotation back, as an operator wished. */
export function turnBack(): Move {
  return reached('rolling-back', { rotation: { wish: null } })
}

/** rolling-back -> rolled-back: first current moves back, then the version that was promoted has its own grace and its own revocation. */
export async function rollBack(passage: Passage): Promise<Move> {
  return passage.rotation.outcome.rotation === 'rolled-back' ? retireMade(passage) : restoreBase(passage)
}

async function restoreBase(passage: Passage): Promise<Move> {
  const { rotation, now, target, traits } = passage
  const { base, number } = rotation
  const value = await passage.baseValue()
  if (base === null || value === null || number === null) return refuse('this rotation superseded nothing')
  const made = await passage.pendingValue()
  const verified = await previousWorks(passage, value, made)
  if (!verified) return refuse('the previous version does not work any more')
  const version = await moveBack(passage, value, made)
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
    rotation: { graceUntil, outcome: { ...rotation.outcome, rotation: 'rolled-back', revocation: 'pending' } },
    events: [event('rolling-back', version)],
  })
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

async function moveBack(passage: Passage, value: SecretValue, made: SecretValue): Promise<VersionId> {
  const { path, store } = passage.target
  const { base, version } = passage.rotation
  const current = await passage.current()
  if (current?.value.equals(value)) return current.version
  if (base === null || version === null || !current?.value.equals(made)) {
    throw new BrokerError('conflict', `someone else wrote ${path} since the promotion; what they wrote stays`)
  }
  if (store.can.has('stages')) {
    await (await passage.store()).promote(path, { from: version, to: base.version })
    return base.version
  }
  const condition = store.guarantees.cas ? { ifMatch: current.etag } : {}
  return (await (await passage.store()).write(path, value, { idempotencyKey: passage.intentKey('rollback'), ...condition })).version
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
  const { rotation, now, issuer } = passage
  const due = (await passage.ports.journal.revocations(rotation.id)).filter(row => row.state === 'pending')
  const latest = latestDue(due)
  if (now < latest) return waiting('grace', latest)
  const rows = await passage.versions()
  // without an overlap the target has not honoured it since it was set back
  const ended = issuer?.overlap === 'none'
  for (const { number } of due) if (!ended) await endVersion(passage, rows, number)
  const change = {
    versions: due.map(({ number }) => ({ number, label: null, status: null, fate: 'revoked' as const, revokedAt: now })),
    revocations: due.map(({ number }) => ({ number, state: 'done' as const })),
    rotation: { finishedAt: now, wakeAt: null, outcome: { ...rotation.outcome, revocation: 'done' as const } },
  }
  return { ...reached('rolled-back', change), rest: { wakeAt: null } }
}
