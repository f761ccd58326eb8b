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

/** What a payload is bound to. No KEK id: re-wrapping must leave the payload as it is. */
export function payloadBinding(store: string, slot: Slot): Buffer {
  return lengthPrefixed(['keyturn/p/1', algorithm, store, slot.secretId, decimal(slot.number), slot.kind])
}

/** What a wrap is bound to. */
export function wrapBinding(store: string, slot: VersionSlot, kekId: string): Buffer {
  return lengthPrefixed(['keyturn/w/1', algorithm, store, slot.secretId, decimal(slot.number), kekId])
}

function decimal(number: number): string {
  if (Number.isSafeInteger(number) && number >= 1) return number.toString()
  throw new BrokerError('invalid_argument', 'the number of a version must be a whole number from 1')
}
