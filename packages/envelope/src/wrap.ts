import type { KeyObject } from 'node:crypto'
import { decrypt, encrypt, ivBytes, keyBytes, tagBytes } from './aead.ts'

/** The first byte of every wrap. */
export const wrapFormat = 1
/** The length of every wrap. */
export const wrapBytes = 1 + ivBytes + keyBytes + tagBytes

/** Closes a DEK of 32 bytes under a KEK: `0x01 | iv 12 | ciphertext 32 | tag 16`. `iv` is strong random bytes, never used before. */
export function closeWrap(kek: KeyObject, binding: Uint8Array, dek: Uint8Array, iv: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(1 + ivBytes)
  head[0] = wrapFormat
  head.set(iv, 1)
  return encrypt(kek, iv, binding, dek, head)
}

/** The DEK; undefined when the wrap was changed, or belongs to another slot or KEK. The caller wipes it. */
export function openWrap(kek: KeyObject, binding: Uint8Array, wrap: Uint8Array): Buffer | undefined {
  if (wrap.byteLength !== wrapBytes || wrap[0] !== wrapFormat) return undefined
  return decrypt(kek, wrap.subarray(1, 1 + ivBytes), binding, wrap.subarray(1 + ivBytes))
}
