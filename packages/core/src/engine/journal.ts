import type { SecretId, SecretName, VersionId } from '../name.ts'
import type { Sealed } from '../ports.ts'
import type { OperationId, Rotation, RotationId, Strategy, Wish } from './rotation.ts'

/** A version as the ledger knows it: what the engine did, never what the store holds. Unique by secret and number. */
export interface LedgerVersion {
  readonly secretId: SecretId
  readonly number: number
  /** What the store calls it; null while it is nowhere but here. */
  readonly version: VersionId | null
  /** At most one `pending` and one `current` a secret; each superseded version in grace is `previous`. */
  readonly label: 'pending' | 'current' | 'previous' | null
  /** Of key sets: exactly one `primary`. `decrypt-only` is what becomes of an encryption key. */
  readonly status: 'pre-active' | 'primary' | 'active' | 'decrypt-only' | 'inactive' | null
  /** Set once, for good. `quarantined`: a pending value that was never promoted, kept because it may be live at the target. */
  readonly fate: 'revoked' | 'quarantined' | null
  /** The value, for as long as the journal keeps it. */
  readonly sealed: Sealed | null
  readonly sealedAs: 'pending' | 'previous' | null
  readonly rotation: RotationId | null
  readonly createdAt: Date
  readonly supersededAt: Date | null
  /** Until when readers were promised that it works. Never shortened but by `compromise`. */
  readonly graceUntil: Date | null
  readonly revokedAt: Date | null
}

/** A credential that must stop working: a durable row, never a call that can be forgotten. One for each version. */
export interface Revocation {
  readonly secretId: SecretId
  readonly number: number
  /** The rotation that must see to it. */
  readonly rotation: RotationId
  readonly dueAt: Date
  /** `cancelled`: a rollback made the version current again. */
  readonly state: 'pending' | 'done' | 'proven' | 'unproven' | 'cancelled'
}

/** An event for the audit chain, written in the same transaction as the change it tells of. Names and codes, never a value. */
export interface RotationEvent {
  readonly action: string
  readonly outcome: 'allowed' | 'failed'
  readonly version: string | null
  readonly code: string | null
}

/** What starts a rotation. */
export interface RotationRequest {
  readonly secretId: SecretId
  readonly secret: SecretName
  readonly strategy: Strategy
  readonly trigger: Rotation['trigger']
  readonly mode: Rotation['mode']
  readonly reason: string
  readonly graceOverrideMs: number | null
  readonly op: OperationId | null
  readonly approved: boolean
  /** The due time that it is opened for; `conflict` once the secret has another one, because somebody was faster. Left out: whenever it is due. */
  readonly dueAt?: Date
}

/** The right to move one rotation, for a time. */
export interface Lease {
  readonly rotation: Rotation
  readonly holder: string
  readonly leaseMs: number
  readonly until: Date
  /** The ledger's own clock (the database's, where there is one) at this call. Every deadline is judged by it. */
  readonly now: Date
  /** The holder before this one died in the middle: its last call may have reached the target. */
  readonly abandoned: boolean
}

/** What a step says of one version; what it leaves out stays. */
export type VersionPatch = Pick<LedgerVersion, 'number'> & Partial<Omit<LedgerVersion, 'secretId' | 'number'>>
/** What a step says of one revocation; what it leaves out stays. */
export type RevocationPatch = Pick<Revocation, 'number'> & Partial<Pick<Revocation, 'dueAt' | 'state'>>

/** Everything one step changes, in one transaction. */
export interface Change {
  readonly rotation?: Partial<Omit<Rotation, 'id' | 'secretId' | 'secret' | 'epoch'>>
  /** Made or changed, by number. `createdAt` is set when a row is made. */
  readonly versions?: readonly VersionPatch[]
  /** Made or changed, by number; a row that is made needs `dueAt` and starts `pending` under this rotation. */
  readonly revocations?: readonly RevocationPatch[]
  readonly events?: readonly RotationEvent[]
  /** The secret's next due time; null: not scheduled. */
  readonly nextRotationAt?: Date | null
  /** Gives the lease back, cleanly. */
  readonly release?: boolean
}

/**
 * The engine's only durable state. Every method is one transaction, durable when it resolves. Errors: `conflict` (another
 * rotation is open; the epoch or the lease is not ours any more), `not_found`, `unavailable` (nothing happened),
 * `outcome_unknown` (it may have).
 */
export interface Journal {
  /**
   * Starts a rotation, `queued` and due at once. One open rotation a secret: another is `conflict`, with `detail.rotation`, `detail.op`, `detail.state`
   * and, in grace, `detail.earliest` (Date) and `retryAfterMs`. Under `mode: 'compromise'` an open rotation never stands in the way: one that is not yet
   * promoted becomes the answer, its mode changed; one that is hands its revocations over, due now, with the grace of their versions ended, and is closed as `done`.
   */
  open(request: RotationRequest): Promise<Rotation>
  /** Takes the rotation that has been due longest (or the one asked for, if it is due) and no living holder has; null when there is none. The epoch grows. */
  claim(options: { readonly holder: string; readonly leaseMs: number; readonly rotation?: RotationId }): Promise<Lease | null>
  /** Applies a change if epoch and lease still hold, and renews the lease; `conflict` and no effect if not. `stateAt` follows `state`. */
  record(lease: Lease, change: Change): Promise<Lease>
  /** The next unused version number of the secret, under the lease. Numbers may have gaps, never repeat. */
  reserve(lease: Lease): Promise<number>
  /**
   * Notes a person's wish and wakes the rotation; `conflict` when its state cannot grant it: `abort` before `promoted`, `rollback` from there while
   * the base version is neither revoked nor confirmed to be gone, `confirm` in `revoking` and wherever a person was asked to end a credential. A wish of null wakes it only (retry).
   */
  wish(id: RotationId, wish: Wish | null): Promise<Rotation>
  /**
   * A person's value for a rotation that waits for one in `backed-up`: becomes its pending version, sealed under the number that is
   * reserved here, and wakes it. `conflict` in any other state.
   */
  enter(id: RotationId, seal: (number: number) => Sealed): Promise<Rotation>
  /** A person's yes. */
  approve(id: RotationId): Promise<Rotation>
  rotation(id: RotationId): Promise<Rotation>
  /** The versions of a secret, newest number first. */
  versions(secretId: SecretId): Promise<readonly LedgerVersion[]>
  /** The revocations that a rotation must see to. */
  revocations(rotation: RotationId): Promise<readonly Revocation[]>
  /** How many of its events are not yet in the audit chain. */
  undelivered(rotation: RotationId): Promise<number>
}
