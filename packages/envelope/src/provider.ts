import type { Finding } from '@keyturn/core'
import type { KeyringContent } from './keyring.ts'

/** Where KEKs come from. */
export interface KekProvider {
  /** As the config calls it. */
  readonly kind: string
  /** Everything that it holds now. Throws what a `Keyring` would refuse, and `unavailable` when a provider elsewhere does not answer. */
  load(signal: AbortSignal): Promise<KeyringContent>
  /** Tells when `load` may give something else, as when a mounted folder changed; the answer ends it. Absent: only a restart brings other keys. */
  watch?(changed: () => void): () => void
  /** Makes a KEK that it holds from then on, and calls it current. Absent: keys are made by the operator. `conflict` when the id is taken. */
  make?(id: string, signal: AbortSignal): Promise<void>
  /** Destroys a KEK for good. Absent: the operator has to. Twice is once. */
  destroy?(id: string, signal: AbortSignal): Promise<void>
  /** Whether it can be reached and may do what it must. */
  examine(signal: AbortSignal): Promise<readonly Finding[]>
  close(): Promise<void>
}

/** Closes KEKs by a key that never leaves its place. What it closes for one KEK of one ledger opens for no other. */
export interface KekWrapper {
  /** As the config calls it. */
  readonly kind: string
  /** `key` is the immutable name and version of the key that closed it: never an alias. */
  wrap(kek: Uint8Array, context: WrapContext, signal: AbortSignal): Promise<{ readonly key: string; readonly bytes: Uint8Array }>
  /** The 32 bytes; the caller wipes them. `corrupt` when they do not belong to the context, `unavailable` when it does not answer. */
  unwrap(wrapped: { readonly key: string; readonly bytes: Uint8Array }, context: WrapContext, signal: AbortSignal): Promise<Uint8Array>
  examine(signal: AbortSignal): Promise<readonly Finding[]>
  close(): Promise<void>
}

/** What a wrapped KEK is bound to. It may be in the clear in a provider's log: ids, never names of secrets. */
export interface WrapContext {
  readonly ledgerId: string
  readonly kekId: string
}
