import type { ErrorCode } from '../error.ts'
import type { Etag, SecretId, SecretName, VersionId } from '../name.ts'

/** A rotation, for life: opaque. */
export type RotationId = string & { readonly __brand: 'RotationId' }
/** What one request of an operator started: opaque. */
export type OperationId = string & { readonly __brand: 'OperationId' }

/** The ways of rotating, by where the overlap of old and new comes from. */
export const strategies = [
  'generated',
  'alternating-users',
  'dual-password',
  'api-key-pair',
  'single-user',
  'key-set',
  'tls',
  'external',
] as const
/** One of `strategies`. */
export type Strategy = (typeof strategies)[number]

/**
 * Where a rotation stands: each word names what has been reached and is on disk. The first fourteen follow one another;
 * before `promoted` an error may lead to `aborting -> aborted`, after it an operator to `rolling-back -> rolled-back`.
 */
export const rotationStates = [
  'queued',
  'preflight',
  'backed-up',
  'generated',
  'staged',
  'applied',
  'verified',
  'promoted',
  'published',
  'grace',
  'revoking',
  'revoked',
  'proven',
  'done',
  'aborting',
  'aborted',
  'rolling-back',
  'rolled-back',
] as const
/** One of `rotationStates`. */
export type RotationState = (typeof rotationStates)[number]

const ended: ReadonlySet<RotationState> = new Set(['done', 'aborted', 'rolled-back'])
const settled: ReadonlySet<RotationState> = new Set([
  'promoted',
  'published',
  'grace',
  'revoking',
  'revoked',
  'proven',
  'done',
  'rolling-back',
  'rolled-back',
])

/** Whether a rotation is over. One that is not keeps every other rotation of its secret out. */
export const isOver = (state: RotationState): boolean => ended.has(state)
/** Whether current has moved: from here on nothing may mark the rotation failed. */
export const isPromoted = (state: RotationState): boolean => settled.has(state)

/** Why a rotation does not go on by itself from where it stands. */
export type Hold =
  | {
      readonly kind: 'waiting'
      readonly for: 'window' | 'approval' | 'consumers' | 'person' | 'grace' | 'distribution' | 'audit'
      readonly detail?: string
    }
  /** The last call ended unclear: the next step is to probe, never to generate. */
  | { readonly kind: 'ambiguous'; readonly refused: boolean }
  | { readonly kind: 'needs-attention'; readonly why: string }

/** What a person asked of a running rotation, or (`confirm`) said of it: the vendor's key is gone. */
export type Wish = 'abort' | 'rollback' | 'confirm'

/** Three outcomes, kept apart and never folded into one. */
export interface Outcome {
  readonly rotation: 'running' | 'ok' | 'aborted' | 'rolled-back'
  readonly delivery: 'pending' | 'complete' | { readonly reached: number; readonly of: number }
  readonly revocation: 'none' | 'pending' | 'done' | 'proven' | 'unproven'
}

/** One passage of one secret through the states: a row of the journal. */
export interface Rotation {
  readonly id: RotationId
  readonly op: OperationId | null
  readonly secretId: SecretId
  readonly secret: SecretName
  readonly strategy: Strategy
  readonly trigger: 'schedule' | 'manual' | 'first'
  readonly mode: 'normal' | 'compromise'
  readonly reason: string
  /** Milliseconds asked for instead of the configured grace; it may only lengthen. */
  readonly graceOverrideMs: number | null

  readonly state: RotationState
  readonly hold: Hold | null
  /** The fence: grows with every claim; a transition under an older one affects nothing. */
  readonly epoch: number
  /** Failures since the last step that succeeded. */
  readonly attempts: number
  /** Pending values that the target refused for good, so far. */
  readonly quarantined: number
  /** When a worker should look again; null: a person must act first. */
  readonly wakeAt: Date | null
  readonly error: { readonly code: ErrorCode; readonly message: string } | null
  readonly wish: Wish | null
  readonly approved: boolean

  /** The ledger's number of the version that is being made; null until `generated`. */
  readonly number: number | null
  /** The ledger's number of the version that was current, and what the store called it; null: there was none. */
  readonly base: { readonly number: number; readonly version: VersionId; readonly etag: Etag } | null
  /** What the store calls the new version, once it has it. */
  readonly version: VersionId | null
  /** One per intent: the same for every attempt at staging and promoting this version. */
  readonly idempotencyKey: string
  readonly graceUntil: Date | null
  readonly outcome: Outcome

  readonly startedAt: Date
  /** When `state` was reached. */
  readonly stateAt: Date
  readonly finishedAt: Date | null
}

/** Whether a person must look: it says so itself, or what is unclear has stayed unclear for `attemptsMax` tries. */
export function needsAttention({ hold, attempts }: Pick<Rotation, 'hold' | 'attempts'>, attemptsMax: number): boolean {
  return hold?.kind === 'needs-attention' || (hold?.kind === 'ambiguous' && attempts >= attemptsMax)
}
