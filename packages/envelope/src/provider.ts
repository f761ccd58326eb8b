import type { BrokerError, Finding } from '@keyturn/core'
import type { KeyringContent } from './keyring.ts'

/** What a provider gives: keys for a keyring, and what it should have given and could not. */
export interface ProvidedKeks extends KeyringContent {
  /** KEKs that the provider refuses to open for good, as when their key was destroyed. The others are served without them. */
  readonly missing: readonly { readonly id: string; readonly why: BrokerError }[]
}

/** Where KEKs come from. */
export interface KekProvider {
  /** As the config calls it. */
  readonly kind: string
  /** How long, in milliseconds, its last answer may be used while it does not give another; null: for as long as the process runs. */
  readonly maxAgeMs: number | null
  /** Everything that it holds now. Throws what a `Keyring` would refuse, and `unavailable` when a provider elsewhere does not answer. */
  load(signal: AbortSignal): Promise<ProvidedKeks>
  /** Tells when `load` may give something else, as when a mounted folder changed; the answer ends it. Absent: nothing tells. */
  watch?(changed: () => void): () => void
  /** Makes a KEK that it holds from then on, and calls it current. Absent: keys are made by the operator. `conflict` when the id is taken. */
  make?(id: string, signal: AbortSignal): Promise<void>
  /** Destroys a KEK for good. Absent: the operator has to. Twice is once. `conflict` for the one that it calls current. */
  destroy?(id: string, signal: AbortSignal): Promise<void>
  /** Whether it can be reached and may do what it must. */
  examine(signal: AbortSignal): Promise<readonly Finding[]>
  close(): Promise<void>
}

/** A KEK as a key elsewhere closed it. */
export interface WrappedBytes {
  /** The immutable name and version of the key that closed it: never an alias. */
  readonly key: string
  readonly bytes: Uint8Array
}

/**
 * Closes KEKs by a key that never leaves its place. What it closes for one KEK of one ledger opens for no other. Errors: `corrupt` (changed, or
 * of another context), `not_found` (no such key), `precondition_failed` (its key is disabled or goes away), `permission_denied`, `unauthenticated`,
 * `throttled`, `unavailable` (no answer, or none of this kind of server), `cancelled`.
 */
export interface KekWrapper {
  /** As the config calls it. */
  readonly kind: string
  wrap(kek: Uint8Array, context: WrapContext, signal: AbortSignal): Promise<WrappedBytes>
  /** The 32 bytes; the caller wipes them. */
  unwrap(wrapped: WrappedBytes, context: WrapContext, signal: AbortSignal): Promise<Uint8Array>
  /** The name and version of the key that `wrap` closes with now: what another one closed is due for a new wrap. */
  newest(signal: AbortSignal): Promise<string>
  examine(signal: AbortSignal): Promise<readonly Finding[]>
  close(): Promise<void>
}

/** What a wrapped KEK is bound to. It may be in the clear in a provider's log: ids, never names of secrets. */
export interface WrapContext {
  readonly ledgerId: string
  readonly kekId: string
}
