import { BrokerError } from '../error.ts'
import { backoffMaxMs } from '../schedule/backoff.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Move, Passage } from './passage.ts'
import { reached } from './reached.ts'

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
  const versions = rotation.number === null ? [] : [{ number: rotation.number, label: null, status: null, fate: 'quarantined' as const }]
  const { everyMs } = target.settings
  const retryMs = Math.min(everyMs ?? backoffMaxMs, backoffMaxMs)
  const again = rotation.trigger === 'manual' || everyMs === null ? {} : { nextRotationAt: new Date(now.getTime() + retryMs) }
  const change = {
    ...again,
    versions,
    // the reason it was given up for outlives the state
    rotation: {
      outcome: { ...rotation.outcome, rotation: 'aborted' as const },
      error: rotation.error,
      finishedAt: now,
      wakeAt: null,
      wish: null,
    },
    events: [{ action: 'rotation.aborted', outcome: 'failed' as const, version: null, code: rotation.error?.code ?? null }],
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
  if (row !== undefined) return passage.keptValue(row)
  const base = await passage.baseValue()
  const mint = issuer?.mint
  if (mint === undefined || base === null) return null
  try {
    return await passage.effect('mint', (target, act) => mint.call(target, act, base))
  } catch (error) {
    // a target that refuses to make it has not made it
    if (error instanceof BrokerError && error.remedy !== 'retry' && error.code !== 'outcome_unknown') return null
    throw error
  }
}

async function restoreTarget(passage: Passage, pending: SecretValue): Promise<void> {
  const { issuer, traits } = passage
  const base = await passage.baseValue()
  if (issuer === null || traits.byPerson || base === null) return
  const [onBase] = await passage.probe([base])
  if (issuer.overlap === 'none' && onBase !== 'works') await passage.effect('apply', (target, act) => target.apply(act, base, pending))
  else await passage.effect('revoke', (target, act) => target.revoke(act, pending))
  await passage.ask('verify', (target, act) => target.verify(act, base))
}
