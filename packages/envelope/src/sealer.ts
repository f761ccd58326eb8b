import { createSecretKey } from 'node:crypto'
import { BrokerError, type Random, type Sealed, type Sealer, type SealSlot, type SecretId, type SecretValue } from '@keyturn/core'
import { ivBytes, keyBytes } from './aead.ts'
import { Bindings, type Slot, type VersionSlot } from './binding.ts'
import { isKekId } from './kek-text.ts'
import type { Keyring } from './keyring.ts'
import { closePayload, openPayload, payloadRandomBytes } from './payload.ts'
import { plaintextOf, readValue, type ValueKind } from './plaintext.ts'
import { closeWrap, openWrap } from './wrap.ts'
import type { WrapMeter } from './wrap-meter.ts'

/** The slot of a value. The journal's own `SealSlot` is one. */
export interface ValueSlot extends VersionSlot {
  readonly kind: ValueKind
}

/** What a sealer works with; `random` must be cryptographically strong. */
export interface SealerParts {
  readonly keyring: Keyring
  readonly random: Random
  /** The random id that the database was given with its first migration. */
  readonly store: string
  /** Counts the wraps under each KEK; null only where somebody else counts. */
  readonly meter: WrapMeter | null
}

const rootSlot = (number: number): Slot => ({ secretId: 'root' as SecretId, number, kind: 'root' })

/**
 * Closes and opens the values of one database: a new DEK for each, wrapped by the current KEK. Errors: `corrupt` (changed, cut, or not
 * in its place), `unavailable` (its KEK is not loaded, `detail.kekId`), of `spend` in `Keyring` and `take` in `WrapMeter`. The format is final; the golden
 * vectors beside the tests say so.
 */
export class EnvelopeSealer implements Sealer {
  readonly #keyring: Keyring
  readonly #random: Random
  readonly #bindings: Bindings
  readonly #meter: WrapMeter | null

  constructor(parts: SealerParts) {
    if (parts.store === '') throw new BrokerError('invalid_argument', 'the id of the store is empty')
    this.#keyring = parts.keyring
    this.#random = parts.random
    this.#bindings = new Bindings(parts.store)
    this.#meter = parts.meter
  }

  seal(slot: SealSlot | ValueSlot, value: SecretValue): Sealed {
    return this.#close(slot, plaintextOf(slot.kind, value))
  }

  open(slot: SealSlot | ValueSlot, sealed: Sealed): SecretValue {
    const plaintext = this.#open(slot, sealed)
    try {
      return readValue(slot.kind, plaintext)
    } finally {
      plaintext.fill(0)
    }
  }

  /** Closes the root secret of 32 bytes; `number` grows when it is made anew. */
  sealRoot(number: number, root: Uint8Array): Sealed {
    if (root.byteLength !== keyBytes) throw new BrokerError('invalid_argument', `the root secret must have ${keyBytes} bytes`)
    return this.#close(rootSlot(number), root)
  }

  /** The root secret. The caller wipes it. */
  openRoot(number: number, sealed: Sealed): Uint8Array {
    return this.#open(rootSlot(number), sealed)
  }

  /**
   * The same payload under another KEK: `wrap` and `kekId` change, `payload` never does, nor is it looked at: it may be left empty. Already there:
   * as it was.
   */
  rewrapped(slot: VersionSlot, sealed: Sealed, toKek: string): Sealed {
    const to = this.#keyring.closing(toKek)
    if (sealed.kekId === toKek) return sealed
    const binding = this.#bindings.wrap(slot, sealed.kekId)
    const dek = this.#unwrap(slot, sealed, binding)
    try {
      this.#meter?.take(toKek)
      const wrap = closeWrap(to, this.#bindings.moved(binding, slot, sealed.kekId, toKek), dek, this.#random.bytes(ivBytes))
      return { kekId: toKek, payload: sealed.payload, wrap }
    } finally {
      dek.fill(0)
    }
  }

  /** The same plaintext, of any kind, under a new DEK, closed by this KEK: nothing that opened the old form opens the new one. */
  reseal(slot: Slot, sealed: Sealed, toKek: string): Sealed {
    const to = this.#keyring.closing(toKek)
    const plaintext = this.#open(slot, sealed)
    try {
      return this.#close(slot, plaintext, toKek, to)
    } finally {
      plaintext.fill(0)
    }
  }

  /** Opens it and gives nothing: `corrupt` or `unavailable` as `open`, of any kind. */
  proves(slot: Slot, sealed: Sealed): void {
    this.#open(slot, sealed).fill(0)
  }

  /** As `rewrapped`, of the root secret. */
  rewrapRoot(number: number, sealed: Sealed, toKek: string): Sealed {
    return this.rewrapped(rootSlot(number), sealed, toKek)
  }

  #close(slot: Slot, plaintext: Uint8Array, kekId = this.#keyring.currentId, kek = this.#keyring.closing(kekId)): Sealed {
    const bindings = { payload: this.#bindings.payload(slot), wrap: this.#bindings.wrap(slot, kekId) }
    this.#meter?.take(kekId)
    // one request of random bytes: DEK, salt and vector of the payload, vector of the wrap
    const random = this.#random.bytes(keyBytes + payloadRandomBytes + ivBytes)
    const dek = random.subarray(0, keyBytes)
    try {
      const payload = closePayload(createSecretKey(dek), bindings.payload, plaintext, random.subarray(keyBytes, -ivBytes))
      const wrap = closeWrap(kek, bindings.wrap, dek, random.subarray(-ivBytes))
      return { kekId, payload, wrap }
    } finally {
      dek.fill(0)
    }
  }

  #open(slot: Slot, sealed: Sealed): Buffer {
    const dek = this.#unwrap(slot, sealed)
    const key = createSecretKey(dek)
    dek.fill(0)
    const plaintext = openPayload(key, this.#bindings.payload(slot), sealed.payload)
    if (plaintext === undefined) throw corrupt(slot, 'payload')
    return plaintext
  }

  #unwrap(slot: VersionSlot, sealed: Sealed, binding = this.#bindings.wrap(slot, sealed.kekId)): Buffer {
    // what is loaded has an id that was looked at
    if (!this.#keyring.has(sealed.kekId) && !isKekId(sealed.kekId)) throw corrupt(slot, 'KEK id')
    const dek = openWrap(this.#keyring.kek(sealed.kekId), binding, sealed.wrap)
    if (dek === undefined) throw corrupt(slot, 'wrap')
    return dek
  }
}

function corrupt(slot: VersionSlot, part: string): BrokerError {
  return new BrokerError('corrupt', `the ${part} of version ${slot.number} of ${slot.secretId} was changed, cut, or is not in its place`, {
    hint: 'restore this version from a backup; the other versions are not touched by this',
    detail: { secretId: slot.secretId, number: slot.number, part },
  })
}
