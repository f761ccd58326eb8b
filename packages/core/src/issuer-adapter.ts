import type { Classification } from './error.ts'
import type { SecretValue } from './secret-value.ts'
import type { Finding } from './store-adapter.ts'

/** What every call to an issuer carries: which rotation, under which fencing epoch, and the key of this intent. */
export interface Act {
  readonly rotation: string
  readonly epoch: number
  readonly idempotencyKey: string
  readonly signal: AbortSignal
}

/** Whether a credential logs in right now, with a new login. `unknown`: the target did not answer. */
export type Probe = 'works' | 'refused' | 'unknown'

/**
 * The system that must honour a credential: a database, a vendor, a CA. Every method may be called twice with the same
 * arguments and then does nothing the second time. Issuers throw what their client throws; `classify` names it.
 */
export interface IssuerAdapter {
  /** For logs and errors. Nothing may switch on it. */
  readonly kind: string
  /** Where old and new can both work; `none`: the moment of `apply` is the moment the old one ends. */
  readonly overlap: 'none' | 'two-users' | 'two-passwords' | 'two-keys' | 'key-set'
  /** Reachability, rights, free slots, name rules: everything that can be known before anything is touched. */
  preflight(act: Act, current: SecretValue): Promise<readonly Finding[]>
  /**
   * What must be in the sealed record before the target is touched and that only the issuer knows: the other user's name,
   * a private key. No effect at the target. Absent: the generated value is complete.
   */
  draft?(act: Act, generated: SecretValue, current: SecretValue): Promise<SecretValue>
  /** Present when the target chooses the value. Tags what it makes with the rotation; called again it answers with what that rotation made, and leaves no second one. */
  mint?(act: Act, current: SecretValue): Promise<SecretValue>
  /** Makes the target honour `pending`. Answers with it and what the target added (a certificate, an id). */
  apply(act: Act, pending: SecretValue, current: SecretValue): Promise<SecretValue>
  /** One new login for each candidate, in order, within the target's lock-out budget. */
  probe(act: Act, candidates: readonly SecretValue[]): Promise<readonly Probe[]>
  /** A login on a new connection and the privilege probe. `permission_denied` when the credential does not work (yet). */
  verify(act: Act, value: SecretValue): Promise<void>
  /** Makes the target stop honouring `value`, whatever its state there; one that is gone is success. */
  revoke(act: Act, value: SecretValue): Promise<void>
  /** `value` must be refused while `control` works, in the same minute. `precondition_failed` when `value` still works. */
  prove(act: Act, value: SecretValue, control: SecretValue): Promise<void>
  /** What exists at the target, with the rotation that made it, for the orphan reaper. */
  inventory?(act: Act): AsyncIterable<{ readonly id: string; readonly rotation: string | null }>
  classify(error: unknown): Classification
  close(): Promise<void>
}
