import {
  type Change,
  isOver,
  isPromoted,
  type LedgerVersion,
  type Rotation,
  type RotationId,
  type RotationRequest,
  type Wish,
} from '@keyturn/core'
import { notInState } from './refusal.ts'

/** A rotation as it starts: queued, and due at once. */
export function started(request: RotationRequest, id: RotationId, idempotencyKey: string, now: Date): Rotation {
  return {
    id,
    op: request.op,
    secretId: request.secretId,
    secret: request.secret,
    strategy: request.strategy,
    trigger: request.trigger,
    mode: request.mode,
    reason: request.reason,
    graceOverrideMs: request.graceOverrideMs,
    state: 'queued',
    hold: null,
    epoch: 0,
    attempts: 0,
    quarantined: 0,
    wakeAt: now,
    error: null,
    wish: null,
    approved: request.approved,
    number: null,
    base: null,
    version: null,
    idempotencyKey,
    graceUntil: null,
    outcome: { rotation: 'running', delivery: 'pending', revocation: 'none' },
    startedAt: now,
    stateAt: now,
    finishedAt: null,
  }
}

/**
 * A rotation after a step. One that ends is finished now and wakes nobody. `woken`: someone acted while the holder worked and it
 * has not seen that yet, so it must look again at once, whenever it meant to.
 */
export function stepped(rotation: Rotation, patch: NonNullable<Change['rotation']>, now: Date, woken: boolean): Rotation {
  const after: Rotation = { ...rotation, ...patch }
  const stateAt = after.state === rotation.state ? after.stateAt : now
  if (isOver(after.state)) return { ...after, stateAt, finishedAt: now, wakeAt: null }
  if (!woken || patch.wakeAt === undefined) return { ...after, stateAt }
  // what it says it waits for may be what has come
  return { ...after, stateAt, wakeAt: now, hold: after.hold?.kind === 'waiting' ? null : after.hold }
}

/** A rotation not yet promoted, taken over by a compromise: nothing it waits for holds it back. */
export function compromised(rotation: Rotation, request: RotationRequest, now: Date): Rotation {
  const wish = rotation.wish === 'abort' ? null : rotation.wish
  return { ...rotation, mode: 'compromise', approved: rotation.approved || request.approved, wish, attempts: 0, wakeAt: now }
}

/** A promoted rotation whose revocations another one took over. */
export function handedOver(rotation: Rotation, now: Date): Rotation {
  const promoted = rotation.outcome.rotation === 'running' ? 'ok' : rotation.outcome.rotation
  return {
    ...rotation,
    state: 'done',
    hold: null,
    wish: null,
    wakeAt: null,
    outcome: { ...rotation.outcome, rotation: promoted },
    stateAt: now,
    finishedAt: now,
  }
}

const turnable: ReadonlySet<Rotation['state']> = new Set(['promoted', 'published', 'grace', 'revoking', 'rolling-back'])

/** A rotation with a wish noted; `conflict` when its state cannot grant it. */
export function wished(rotation: Rotation, wish: Wish | null, base: LedgerVersion | null, now: Date): Rotation {
  const refused = wishRefused(rotation, wish, base)
  if (refused !== undefined) throw notInState(rotation, refused)
  if (wish === null) return { ...rotation, attempts: 0, wakeAt: now }
  return { ...rotation, wish, wakeAt: now }
}

function wishRefused(rotation: Rotation, wish: Wish | null, base: LedgerVersion | null): string | undefined {
  if (isOver(rotation.state)) return 'it is over'
  if (wish === 'abort' && isPromoted(rotation.state)) return 'it is promoted and can only be rolled back'
  if (wish === 'confirm' && !confirmable(rotation)) return 'there is no revocation to confirm'
  if (wish !== 'rollback') return undefined
  if (rotation.wish === 'confirm') return 'the previous version was said to be gone'
  if (!turnable.has(rotation.state))
    return isPromoted(rotation.state) ? 'the previous version is revoked' : 'it is not promoted yet; abort it'
  if (rotation.base === null) return 'it superseded nothing'
  return base?.fate === 'revoked' ? 'the previous version is revoked' : undefined
}

/** What a person ends at a vendor: the old version, or the new one that was rolled back, or what a compromise took over and gave up. */
function confirmable({ state, hold }: Rotation): boolean {
  const asked = hold?.kind === 'waiting' && hold.for === 'person'
  return state === 'revoking' || (asked && (state === 'rolling-back' || state === 'aborting'))
}

/** A rotation with a person's yes. */
export function approved(rotation: Rotation, now: Date): Rotation {
  if (isOver(rotation.state)) throw notInState(rotation, 'it is over')
  return { ...rotation, approved: true, wakeAt: now }
}

/** A rotation that has got a person's value under `number`; `conflict` unless it waits for one. */
export function entered(rotation: Rotation, number: number, now: Date): Rotation {
  mustAwaitValue(rotation)
  return { ...rotation, number, hold: null, attempts: 0, wakeAt: now }
}

/** Whether a person's value may come in: checked before a number is spent on it. */
export function mustAwaitValue(rotation: Rotation): void {
  const waits = rotation.hold?.kind === 'waiting' && rotation.hold.for === 'person'
  if (rotation.state !== 'backed-up' || !waits) throw notInState(rotation, 'it does not wait for a value')
}

/** Until when this rotation keeps another away: the latest promise among the versions in grace. */
export function graceOf(rotation: Rotation, versions: readonly LedgerVersion[]): Date | null {
  const promises = versions.filter(row => row.label === 'previous').map(row => row.graceUntil)
  return [rotation.graceUntil, ...promises].reduce(
    (latest, until) => (until !== null && (latest === null || until > latest) ? until : latest),
    null,
  )
}
