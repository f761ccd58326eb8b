import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { BrokerError } from '@keyturn/core'

/** The name of the algorithm in every binding. */
export const algorithm = 'A256GCM'
export const keyBytes = 32
export const ivBytes = 12
export const tagBytes = 16

/**
 * AES-256-GCM (NIST SP 800-38D): `head` as it is, ciphertext and the 16-byte tag, joined. The only module that may use ciphers. A KEK must never see an
 * `iv` twice: take it from a strong random source, anew for every call.
 */
export function encrypt(key: KeyObject, iv: Uint8Array, binding: Uint8Array, plaintext: Uint8Array, head: Uint8Array): Buffer {
  mustFit(key, iv)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  cipher.setAAD(binding)
  const ciphertext = cipher.update(plaintext)
  // GCM is a stream mode: `final` has no bytes left to give
  cipher.final()
  return Buffer.concat([head, ciphertext, cipher.getAuthTag()])
}

/** The plaintext, once the whole of it is proven; undefined, and nothing kept, when key, binding, ciphertext or tag do not belong together. */
export function decrypt(key: KeyObject, iv: Uint8Array, binding: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  mustFit(key, iv)
  const end = sealed.byteLength - tagBytes
  // Node takes shorter tags where it is allowed to (DEP0182): the length is ours to check
  if (end < 0) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  decipher.setAAD(binding)
  decipher.setAuthTag(sealed.subarray(end))
  const plaintext = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
    return plaintext
  } catch {
    plaintext.fill(0)
    return undefined
  }
}

function mustFit(key: KeyObject, iv: Uint8Array): void {
  if (key.symmetricKeySize !== keyBytes) throw new BrokerError('internal', `a cipher key must have ${keyBytes} bytes`)
  if (iv.byteLength !== ivBytes) throw new BrokerError('internal', `an initialisation vector must have ${ivBytes} bytes`)
}
