import type { Random, Sealed } from '@keyturn/core'
import { EnvelopeSealer, type Keyring, type WrapMeter } from '@keyturn/envelope'

/** What closes and opens envelopes here. */
export interface SealParts {
  readonly keyring: Keyring
  readonly random: Random
  /** Counts the wraps under each KEK; null where nothing is closed. */
  readonly meter: WrapMeter | null
}

const keyBytes = 32

/** A new key for a bundle, and the same sealed under the current KEK. It opens for this bundle and this generation alone. The caller wipes `key`. */
export function newBundleKey(parts: SealParts, id: string, generation: number): { readonly key: Uint8Array; readonly sealed: Sealed } {
  const key = parts.random.bytes(keyBytes)
  return { key, sealed: sealerOf(parts, id).sealRoot(generation, key) }
}

/** The key of a bundle. The caller wipes it. `unavailable` when its KEK is not loaded, `corrupt` when it does not belong to this bundle. */
export function openBundleKey(parts: SealParts, id: string, generation: number, sealed: Sealed): Uint8Array {
  return sealerOf(parts, id).openRoot(generation, sealed)
}

/** What opens and closes the envelopes of one database, or of one bundle. */
export function sealerOf({ keyring, random, meter }: SealParts, store: string): EnvelopeSealer {
  return new EnvelopeSealer({ keyring, random, store, meter })
}
