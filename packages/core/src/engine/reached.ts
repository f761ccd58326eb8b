import type { Change } from './journal.ts'
import type { Move } from './passage.ts'
import type { Hold, RotationState } from './rotation.ts'

/** Goes on at once from a new state; failures before it are forgotten. The audit event is that of the state, unless the change has its own. */
export function reached(state: RotationState, change: Change = {}): Move {
  const events = change.events ?? [event(state)]
  return { change: { ...change, rotation: { state, hold: null, attempts: 0, error: null, ...change.rotation }, events } }
}

/** Rests in the state it is in, for a named reason. */
export function waiting(why: Extract<Hold, { kind: 'waiting' }>['for'], wakeAt: Date | null, detail?: string): Move {
  const hold: Hold = { kind: 'waiting', for: why, ...(detail === undefined ? {} : { detail }) }
  return { change: { rotation: { hold, wakeAt } }, rest: { wakeAt } }
}

/** The audit event of a state that was reached. */
export function event(state: RotationState, version: string | null = null): NonNullable<Change['events']>[number] {
  return { action: `rotation.${state}`, outcome: 'allowed', version, code: null }
}
