import { engineLimits, isPromoted, needsAttention, type Rotation } from '@keyturn/core'
import type { Operation, OperationItem } from '@keyturn/ledger'

type ItemProgress = 'running' | 'waiting' | 'done' | 'failed' | 'aborted' | 'needs_attention'

const delivered: ReadonlySet<Rotation['state']> = new Set(['published', 'grace', 'revoking', 'revoked', 'proven', 'done'])

/** Whether it goes through everything that is stored, and not through secrets by name. */
export function isCampaign({ kind }: Pick<Operation, 'kind'>): boolean {
  return kind === 'rewrap' || kind === 'reencrypt' || kind === 'scrub'
}

/** How far one item of an operation is. It is done when promoted and published: the grace goes on after that. */
export function itemProgress(kind: Operation['kind'], item: OperationItem): ItemProgress {
  const { rotation } = item
  if (rotation === null) return 'failed'
  if (kind === 'rollback') return rollbackProgress(rotation)
  if (delivered.has(rotation.state)) return 'done'
  return passing(rotation)
}

function rollbackProgress(rotation: Rotation): ItemProgress {
  // the previous version is current again; what was promoted has its grace, and its end goes on after that
  if (rotation.outcome.rotation === 'rolled-back') return 'done'
  // it was refused: the rotation went on as if nobody had asked
  if (rotation.wish !== 'rollback' && rotation.state !== 'rolling-back') return 'failed'
  return passing(rotation)
}

function passing(rotation: Rotation): ItemProgress {
  const { state, hold } = rotation
  if (state === 'aborted') return byOperator(rotation) ? 'aborted' : 'failed'
  if (state === 'rolled-back') return 'failed'
  if (needsAttention(rotation, engineLimits.attemptsMax)) return 'needs_attention'
  return hold?.kind === 'waiting' ? 'waiting' : 'running'
}

/** Whether a person ended it, and no error. */
function byOperator({ error }: Rotation): boolean {
  return error?.code === 'cancelled'
}

/** An operation as `rotation-status` shows it. */
export function operationView(operation: Operation): object {
  const states = operation.items.map(item => itemProgress(operation.kind, item))
  const count = (wanted: ItemProgress) => states.filter(state => state === wanted).length
  const open = count('running') + count('waiting') + count('needs_attention')
  return {
    op_id: operation.id,
    kind: operation.kind,
    state: overall(states),
    total: states.length,
    done: count('done'),
    skipped: 0,
    failed: count('failed') + count('aborted'),
    started: operation.startedAt,
    finished: open > 0 ? null : lastEnd(operation),
    items: operation.items.map(itemView),
  }
}

/** The word for the whole: what a person must see first comes first. */
function overall(states: readonly ItemProgress[]): ItemProgress {
  for (const state of ['needs_attention', 'running', 'waiting', 'failed', 'aborted'] as const) if (states.includes(state)) return state
  return 'done'
}

function lastEnd(operation: Operation): Date {
  const ends = operation.items.map(({ rotation }) => rotation?.finishedAt ?? rotation?.stateAt ?? operation.startedAt)
  return new Date(Math.max(operation.startedAt.getTime(), ...ends.map(end => end.getTime())))
}

function itemView({ name, rotation, error }: OperationItem): object {
  if (rotation === null) {
    const failure = error === null ? null : { code: error.code, detail: error.message }
    return { name, state: null, waiting_for: null, version: null, rotation: null, delivery: null, revocation: null, error: failure }
  }
  const { state, version, outcome } = rotation
  return { name, state, waiting_for: waitingFor(rotation), version, ...outcome, error: failureOf(rotation) }
}

/** What a rotation waits for, in words; null while it goes on by itself. */
export function waitingFor({ hold }: Rotation): string | null {
  if (hold?.kind === 'waiting') return hold.detail === undefined ? hold.for : `${hold.for}: ${hold.detail}`
  return hold?.kind === 'needs-attention' ? `a person: ${hold.why}` : null
}

/** What went wrong last, as the wire has it. */
export function failureOf({ error }: Rotation): { code: string; detail: string } | null {
  return error === null ? null : { code: error.code, detail: error.message }
}

/** The words that `rotation/status` has for a secret. */
export type RowState = 'due' | 'running' | 'waiting' | 'in_grace' | 'failed' | 'needs_attention' | 'scheduled' | 'unscheduled'

/** The word for a secret in `rotation/status`. */
export function rowState(rotation: Rotation | null, open: boolean, nextRotationAt: Date | null, now: Date): RowState {
  if (rotation !== null && open) {
    if (needsAttention(rotation, engineLimits.attemptsMax)) return 'needs_attention'
    if (isPromoted(rotation.state)) return 'in_grace'
    return rotation.hold?.kind === 'waiting' ? 'waiting' : 'running'
  }
  if (nextRotationAt !== null && nextRotationAt <= now) return 'due'
  if (rotation?.state === 'aborted' && !byOperator(rotation)) return 'failed'
  return nextRotationAt === null ? 'unscheduled' : 'scheduled'
}
