import { createHash, createHmac, type KeyObject } from 'node:crypto'
import type { Random } from '@keyturn/core'

const prefix = 'kt_'
const bodyBytes = 32
const checksumLength = 6
const form = /^kt_([A-Za-z0-9_-]{43})([0-9a-z]{6})$/

/**
 * A new token: `kt_`, 43 base64url characters of 32 random bytes, and a checksum of 6 characters by which secret scanners
 * and `parseToken` tell a token from a text that only looks like one.
 */
export function makeToken(random: Random): string {
  const body = Buffer.from(random.bytes(bodyBytes)).toString('base64url')
  return `${prefix}${body}${checksum(body)}`
}

/** Whether a text has the form of a token. Costs no key and no look-up, so that guesses are refused cheaply. */
export function isToken(text: string): boolean {
  const parts = form.exec(text)
  return parts?.[1] !== undefined && checksum(parts[1]) === parts[2]
}

/** What is stored in place of a token: HMAC-SHA-256 under the token key. 256 random bits need no slow hash. */
export function tokenMac(key: KeyObject, token: string): Buffer {
  return createHmac('sha256', key).update(token).digest()
}

function checksum(body: string): string {
  const number = createHash('sha256').update(`${prefix}${body}`).digest().readUInt32BE()
  return (number % 36 ** checksumLength).toString(36).padStart(checksumLength, '0')
}
