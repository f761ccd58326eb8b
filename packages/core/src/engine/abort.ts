import { BrokerError } from '../error.ts'
import type { Probe } from '../issuer-adapter.ts'
import { backoffMaxMs } from '../schedule/backoff.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Revocation } from './journal.ts'
import type { Move, Passage } from './passage.ts'
import { reached } from './reached.ts'
import { endDue, mustNotServe, mustWork, pendingRevocations, serving, toPerson } from './retire.ts'

/** Turns a rotation that is not promoted towards its end: current stays, the target is restored, pending is kept aside. */
export function abort(error: BrokerError): Move {
  const { code, message } = error
  return {
    change: {
      rotation: { state: 'aborting', hold: null, attempts: 0, error: { code, message }, wish: null },
      events: [{ action: 'rotation.aborting', outcome: 'failed', version: null, code }],
    },
  }
}

/** aborting -> aborted. The store is asked first: a promotion that got through without an answer cannot be undone by looking away. */
export async function restore(passage: Passage): Promise<Move> {
  const { rotation, now, target } = passage
  const pending = await orphan(passage)
  if (pending !== null && rotation.number !== null && (await passage.current())?.value.equals(pending)) return promotedAfterAll(passage)
  if (pending !== null) await restoreTarget(passage, pending)
  const due = await pendingRevocations(passage)
  const ended = due.length === 0 ? {} : await endTakenOver(passage, due)
  if (ended === null) return toPerson
  const versions = rotation.number === null ? [] : [{ number: rotation.number, label: null, status: null, fate: 'quarantined' as const }]
  const { everyMs } = target.settings
  const retryMs = Math.min(everyMs ?? backoffMaxMs, backoffMaxMs)
  const again = rotation.trigger === 'manual' || everyMs === null ? {} : { nextRotationAt: new Date(now.getTime() + retryMs) }
  const change = {
    ...again,
    ...ended,
    versions: [...versions, ...(ended.versions ?? [])],
    // the reason it was given up for outlives the state
    rotation: {
      outcome: { ...rotation.outcome, rotation: 'aborted' as const },
      error: rotation.error,
      finishedAt: now,
      wakeAt: null,
      wish: null,
    },
    events: [
      ...(ended.events ?? []),
      { action: 'rotation.aborted', outcome: 'failed' as const, version: null, code: rotation.error?.code ?? null },
    ],
  }
  return { ...reached('aborted', change), rest: { wakeAt: null } }
}

/** Goes on from where the promotion is found, after a pause: a store that changes its mind must not keep a worker busy. */
function promotedAfterAll({ now }: Passage): Move {
  return { ...reached('verified'), rest: { wakeAt: new Date(now.getTime() + 1_000) } }
}

/** The value that may be live at the target: the sealed one, or what the target minted in a call whose answer never came. */
async function orphan(passage: Passage): Promise<SecretValue | null> {
  const { rotation, issuer } = passage
  const row = rotation.number === null ? undefined : (await passage.versions()).find(version => version.number === rotation.number)
  const base = await passage.baseValue()
  const otherThanBase = (value: SecretValue | null) => (value !== null && base?.equals(value) ? null : value)
  if (row !== undefined) return otherThanBase(await passage.keptValue(row))
  const mint = issuer?.mint
  if (mint === undefined || base === null) return null
  try {
    return otherThanBase(await passage.effect('mint', (target, act) => mint.call(target, act, base)))
  } catch (error) {
    // a target that refuses to make it has not made it
    if (error instanceof BrokerError && error.remedy !== 'retry' && error.code !== 'outcome_unknown') return null
    throw error
  }
}

/** What a compromise took over is ended even if its own rotation is given up, once what readers get has worked. */
async function endTakenOver(passage: Passage, due: readonly Revocation[]): ReturnType<typeof endDue> {
  const current = await serving(passage)
  for (const row of await passage.versions()) {
    if (due.some(({ number }) => number === row.number)) await mustNotServe(passage, await passage.keptValue(row))
  }
  await mustWork(passage, current)
  return endDue(passage, due)
}

/**
 * Pending is ended only while what the store serves, or what it served before, works. Without an overlap the target is set back.
 * When nothing that is known works any more there is nothing to restore: after some tries the rotation ends, every candidate kept.
 */
async function restoreTarget(passage: Passage, pending: SecretValue): Promise<void> {
  const { issuer, traits } = passage
  const base = await passage.baseValue()
  if (issuer === null || traits.byPerson || base === null) return
  const served = (await passage.current())?.value ?? base
  const [onPending = 'unknown', onBase = 'unknown', onServed = 'unknown'] = await passage.probe([pending, base, served])
  if (onBase === 'works') return endPending(passage, pending, base)
  // what someone else wrote may live where pending would be ended: one that is refused is left alone
  if (onServed === 'works') return onPending === 'refused' ? undefined : endPending(passage, pending, served)
  if ([onPending, onBase, onServed].includes('unknown')) {
    throw new BrokerError('unavailable', `issuer ${issuer.kind}: which credential of ${passage.rotation.secret} works cannot be told now`)
  }
  if (issuer.overlap === 'none') return setBack(passage, pending, base, onPending)
  if (onPending === 'works' || !lastTry(passage))
    throw new BrokerError(
      'precondition_failed',
      `the current version of ${passage.rotation.secret} does not work; the new one is not ended`,
    )
}

async function endPending(passage: Passage, pending: SecretValue, control: SecretValue): Promise<void> {
  if (passage.issuer?.overlap !== 'none') await passage.effect('revoke', (issuer, act) => issuer.revoke(act, pending))
  await mustWork(passage, control)
}

async function setBack(passage: Passage, pending: SecretValue, base: SecretValue, onPending: Probe): Promise<void> {
  try {
    await passage.effect('apply', (issuer, act) => issuer.apply(act, base, pending))
    await mustWork(passage, base)
  } catch (error) {
    const refused = error instanceof BrokerError && error.remedy !== 'retry' && error.code !== 'outcome_unknown'
    if (onPending === 'works' || !refused || !lastTry(passage)) throw error
  }
}

function lastTry({ rotation, limits }: Passage): boolean {
  return rotation.attempts + 1 >= limits.attemptsMax
}
