import type { Random, SecretId } from '@keyturn/core'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const length = 26

/** A new id: `sec_` and 26 characters of Crockford's base 32, 130 random bits. */
export function secretIdFrom(random: Random): SecretId {
  // 256 is a multiple of 32: every character is as likely
  const characters = Array.from(random.bytes(length), byte => alphabet.charAt(byte % alphabet.length))
  return `sec_${characters.join('')}` as SecretId
}
