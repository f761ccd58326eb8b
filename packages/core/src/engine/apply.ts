import { BrokerError } from '../error.ts'
import type { Probe } from '../issuer-adapter.ts'
import type { SecretValue } from '../secret-value.ts'
import { abort } from './abort.ts'
import type { Move, Passage } from './passage.ts'
import { reached, waiting } from './reached.ts'

/** staged -> applied: the target honours pending. Unclear outcomes are probed, never guessed. */
export async function apply(passage: Passage): Promise<Move> {
  const { issuer, traits, rotation } = passage
  if (issuer === null || traits.byPerson) return reached('applied')
  const base = await passage.baseValue()
  if (base === null) return reached('applied')
  const pending = await passage.pendingValue()
  if (passage.abandoned || rotation.hold?.kind === 'ambiguous') return afterUnclear(passage, pending, base)
  return send(passage, pending, base)
}

async function send(passage: Passage, pending: SecretValue, login: SecretValue): Promise<Move> {
  const applied = await passage.effect('apply', (issuer, act) => issuer.apply(act, pending, login))
  const { number } = passage.rotation
  if (number === null || applied.equals(pending)) return reached('applied')
  // what was staged is not what the target honours: the whole value is staged when it is promoted
  return reached('applied', { rotation: { version: null }, versions: [{ number, ...passage.seal(number, 'pending', applied) }] })
}

/**
 * Reuse until proven: pending, then current, then previous, each by a new login. Pending works: go on. Current or previous
 * works: the same pending again, unless the target refused it for good; then it is quarantined and another one is made.
 */
async function afterUnclear(passage: Passage, pending: SecretValue, base: SecretValue): Promise<Move> {
  const older = await olderValue(passage)
  const candidates = older === null ? [pending, base] : [pending, base, older]
  const [onPending = 'unknown', onBase = 'unknown', onOlder = 'refused']: readonly Probe[] = await passage.probe(candidates)
  if (onPending === 'works' && !passage.traits.completedByApply) return reached('applied')
  if (onPending === 'unknown' || (onBase === 'unknown' && onPending !== 'works')) {
    throw new BrokerError(
      'unavailable',
      `issuer ${passage.issuer?.kind}: which credential of ${passage.rotation.secret} works cannot be told now`,
    )
  }
  if (onBase === 'works') return refusedForGood(passage) ? anotherValue(passage) : send(passage, pending, base)
  if (older !== null && onOlder === 'works') return send(passage, pending, older)
  return lastResort(passage, pending, base)
}

/** The version before the base, for a target that was set back behind our back. */
async function olderValue(passage: Passage): Promise<SecretValue | null> {
  const { base } = passage.rotation
  const older = (await passage.versions()).find(
    row => base !== null && row.number < base.number && row.sealed !== null && row.fate !== 'quarantined',
  )
  return older === undefined ? null : passage.keptValue(older)
}

function refusedForGood({ rotation }: Passage): boolean {
  return rotation.hold?.kind === 'ambiguous' && rotation.hold.refused
}

/** The target will never take this value. It is kept, in quarantine, and the next one gets a number of its own. */
async function anotherValue(passage: Passage): Promise<Move> {
  const { rotation, limits } = passage
  if (rotation.quarantined >= limits.quarantineMax || passage.issuer?.mint !== undefined) {
    return abort(
      new BrokerError('precondition_failed', `the target refused ${rotation.quarantined + 1} values in a row; current stays as it is`),
    )
  }
  const number = rotation.number
  const versions = number === null ? [] : [{ number, label: null, status: null, fate: 'quarantined' as const }]
  const next = await passage.reserve()
  return reached('backed-up', { rotation: { number: next, version: null, quarantined: rotation.quarantined + 1 }, versions })
}

/** No candidate logs in. The issuer's reconcile identity may still set pending; if not, a person must, and every candidate is kept. */
async function lastResort(passage: Passage, pending: SecretValue, base: SecretValue): Promise<Move> {
  try {
    return await send(passage, pending, base)
  } catch (error) {
    if (error instanceof BrokerError && error.remedy === 'retry') throw error
    const why = 'no known credential logs in at the target; every candidate is kept'
    return {
      change: {
        rotation: { hold: { kind: 'needs-attention', why }, wakeAt: null, error: { code: 'precondition_failed', message: why } },
        events: [{ action: 'rotation.needs-attention', outcome: 'failed', version: null, code: 'precondition_failed' }],
      },
      rest: { wakeAt: null },
    }
  }
}

/** applied -> verified: a new login with pending, and the privilege probe. A key set is first shown for as long as verifiers cache. */
export async function verify(passage: Passage): Promise<Move> {
  const { traits, rotation, target } = passage
  const shownUntil = new Date(rotation.stateAt.getTime() + target.settings.distributeMs)
  const unseen = traits.keySet && rotation.base !== null && passage.now < shownUntil
  if (unseen && rotation.mode !== 'compromise') return waiting('distribution', shownUntil)
  const pending = await passage.pendingValue()
  if (passage.issuer !== null && rotation.base !== null) {
    try {
      await passage.ask('verify', (issuer, act) => issuer.verify(act, pending))
    } catch (error) {
      // a compromise tries at once, but a key that verifiers cannot know yet has not failed
      if (unseen && error instanceof BrokerError && error.code === 'permission_denied') return waiting('distribution', shownUntil)
      throw error
    }
  }
  await passage.runProbes(pending)
  return reached('verified')
}

/** Verification failed for the last time. Only if current still works may the rotation end by itself. */
export async function verifyFailed(passage: Passage, error: BrokerError): Promise<Move | undefined> {
  if (passage.issuer === null) return abort(error)
  const base = await passage.baseValue()
  if (base === null) return abort(error)
  const [onBase] = await passage.probe([base])
  // with an overlap the base must work now; without one it is the target that must be set back first
  return onBase === 'works' || passage.issuer.overlap === 'none' ? abort(error) : undefined
}
