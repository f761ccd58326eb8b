import { createSecretKey, type KeyObject } from 'node:crypto'
import { BrokerError } from '@keyturn/core'
import { keyBytes } from './aead.ts'

const textLength = 43
// 32 random bytes hold fewer than 12 different ones once in 10^25 keys
const differentBytesMin = 12

/** Refuses an id that is not 1 to 64 of the letters, digits, `-` and `_`, or that could be a key itself, with `invalid_argument`. */
export function mustBeKekId(id: string): void {
  if (isKekId(id)) return
  throw new BrokerError('invalid_argument', 'not an id of a KEK', {
    hint: 'write 1 to 64 letters, digits, - or _, as in k1 or 2026-03; never the key itself',
  })
}

/** Whether `mustBeKekId` takes it. */
export function isKekId(id: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(id) && !couldBeKey(id)
}

/** Ids stand in messages, logs and rows: a key that came into their place must not. */
function couldBeKey(text: string): boolean {
  if (text.length !== textLength) return false
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text && new Set(bytes).size >= differentBytesMin
}

/**
 * Reads a KEK as it stands in a variable or a file: exactly 32 bytes in base64url (RFC 4648 section 5) without padding, 43 characters.
 * Anything else is `invalid_argument` with the reason; neither the text nor a part of it is in the error.
 */
export function parseKek(id: string, text: string): KeyObject {
  mustBeKekId(id)
  const material = Buffer.alloc(keyBytes)
  try {
    const fault = brokenForm(text) ?? decodeInto(material, text)
    if (fault === undefined) return createSecretKey(material)
    throw new BrokerError('invalid_argument', `the text of KEK ${id} is refused: ${fault}`, {
      hint: "write 32 random bytes in base64url without padding, 43 characters: openssl rand -base64 32 | tr '+/' '-_' | tr -d '='",
      detail: { kekId: id },
    })
  } finally {
    material.fill(0)
  }
}

function brokenForm(text: string): string | undefined {
  if (text === '') return 'it is empty'
  if (/["'`]/.test(text)) return 'it holds quotes'
  if (/\s/.test(text)) return 'it holds white space or a line break'
  if (text.includes('=')) return 'it is padded with ='
  if (/[+/]/.test(text)) return 'it is base64, with + or /; the form is base64url, with - and _'
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return 'it holds characters outside the base64url alphabet'
  if (text.length !== textLength) return `it has ${text.length} characters, not ${textLength}`
  return undefined
}

function decodeInto(material: Buffer, text: string): string | undefined {
  material.write(text, 'base64url')
  if (material.toString('base64url') !== text) return 'its last character holds bits beyond 32 bytes: it was cut or changed'
  if (new Set(material).size < differentBytesMin) return 'its bytes repeat; a key must be random'
  if (material.every(byte => byte >= 0x20 && byte < 0x7f)) return 'it is typed text in base64url; a key must be random'
  return undefined
}
