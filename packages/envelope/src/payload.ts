import { createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import { decrypt, encrypt, ivBytes, keyBytes, tagBytes } from './aead.ts'

/** The first byte of every payload. */
export const payloadFormat = 1
const saltBytes = 32
const commitmentBytes = 32
const saltAt = 1
const commitmentAt = saltAt + saltBytes
const ivAt = commitmentAt + commitmentBytes
const ciphertextAt = ivAt + ivBytes

/** Random bytes that one payload takes. */
export const payloadRandomBytes = saltBytes + ivBytes
/** What a payload is longer than its plaintext. */
export const payloadOverheadBytes = ciphertextAt + tagBytes

const info = Buffer.from('keyturn/v1/payload')
const format = Buffer.of(payloadFormat)

/**
 * Closes a plaintext under its own DEK: `0x01 | salt 32 | commitment 32 | iv 12 | ciphertext | tag 16`. The DEK is used for this one
 * payload and no other. `random` is `payloadRandomBytes` strong bytes.
 */
export function closePayload(dek: KeyObject, binding: Uint8Array, plaintext: Uint8Array, random: Uint8Array): Buffer {
  const salt = random.subarray(0, saltBytes)
  const iv = random.subarray(saltBytes)
  const { encryption, commitment } = deriveKeys(dek, salt)
  return encrypt(encryption, iv, binding, plaintext, Buffer.concat([format, salt, commitment, iv]))
}

/** The plaintext; undefined when the payload was changed, belongs to another slot or to another DEK. */
export function openPayload(dek: KeyObject, binding: Uint8Array, payload: Uint8Array): Buffer | undefined {
  if (payload.byteLength < payloadOverheadBytes || payload[0] !== payloadFormat) return undefined
  const { encryption, commitment } = deriveKeys(dek, payload.subarray(saltAt, commitmentAt))
  // GCM alone does not commit to its key: one ciphertext can be made to open under two
  if (!timingSafeEqual(commitment, payload.subarray(commitmentAt, ivAt))) return undefined
  return decrypt(encryption, payload.subarray(ivAt, ciphertextAt), binding, payload.subarray(ciphertextAt))
}

/** HKDF-SHA-256 (RFC 5869): the key that encrypts and the commitment to it, independent of each other. */
function deriveKeys(dek: KeyObject, salt: Uint8Array): { encryption: KeyObject; commitment: Buffer } {
  const derived = Buffer.from(hkdfSync('sha256', dek, salt, info, keyBytes + commitmentBytes))
  const encryption = createSecretKey(derived.subarray(0, keyBytes))
  derived.fill(0, 0, keyBytes)
  return { encryption, commitment: derived.subarray(keyBytes) }
}
