import { BrokerError, type SecretId } from '@keyturn/core'
import { algorithm } from './aead.ts'

/** What a plaintext is; bound into its payload, so that nothing of one kind opens as another. */
export type Kind = 'text' | 'bytes' | 'fields' | 'pending' | 'previous' | 'root'

/** The place of a version in a store. */
export interface VersionSlot {
  readonly secretId: SecretId
  /** The version's number, from 1. */
  readonly number: number
}

/** The place of a sealed value, and what it is: it opens nowhere else. */
export interface Slot extends VersionSlot {
  readonly kind: Kind
}

/**
 * Every field as a 4-byte big-endian length and its UTF-8 bytes. No two lists of fields have one form, whatever they hold.
 */
export function lengthPrefixed(fields: readonly string[]): Buffer {
  const lengths = fields.map(field => Buffer.byteLength(field))
  const joined = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 4 + length, 0))
  let at = 0
  for (const [index, field] of fields.entries()) {
    at = joined.writeUInt32BE(lengths[index] ?? 0, at)
    at += joined.write(field, at)
  }
  return joined
}

/** What the values of one database are bound to. What all of its rows share is put together once. */
export class Bindings {
  readonly #payload: Buffer
  readonly #wrap: Buffer

  constructor(store: string) {
    this.#payload = lengthPrefixed(['keyturn/p/1', algorithm, store])
    this.#wrap = lengthPrefixed(['keyturn/w/1', algorithm, store])
  }

  /** What a payload is bound to. No KEK id: re-wrapping must leave the payload as it is. */
  payload(slot: Slot): Buffer {
    return bound(this.#payload, slot, slot.kind)
  }

  /** What a wrap is bound to. */
  wrap(slot: VersionSlot, kekId: string): Buffer {
    return bound(this.#wrap, slot, kekId)
  }

  /** What the same wrap is bound to under another KEK; `binding` is not to be used any more. */
  moved(binding: Buffer, slot: VersionSlot, fromId: string, toId: string): Buffer {
    if (fromId.length !== toId.length) return this.wrap(slot, toId)
    // an id of a KEK has one byte for each character
    binding.write(toId, binding.byteLength - toId.length, 'latin1')
    return binding
  }
}

/** As `lengthPrefixed` of all of it. */
function bound(head: Buffer, { secretId, number }: VersionSlot, last: string): Buffer {
  const decimals = decimal(number)
  const [idBytes, lastBytes] = [Buffer.byteLength(secretId), Buffer.byteLength(last)]
  const joined = Buffer.allocUnsafe(head.byteLength + 12 + idBytes + decimals.length + lastBytes)
  let at = head.copy(joined)
  at = joined.writeUInt32BE(idBytes, at)
  at += joined.write(secretId, at)
  at = joined.writeUInt32BE(decimals.length, at)
  at += joined.write(decimals, at, 'latin1')
  at = joined.writeUInt32BE(lastBytes, at)
  joined.write(last, at)
  return joined
}

function decimal(number: number): string {
  if (Number.isSafeInteger(number) && number >= 1) return number.toString()
  throw new BrokerError('invalid_argument', 'the number of a version must be a whole number from 1')
}
