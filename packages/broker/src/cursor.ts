import { createHmac, timingSafeEqual } from 'node:crypto'
import { BrokerError, type SecretName } from '@keyturn/core'
import type { DerivedKey } from './keys/root.ts'

/** Where a page ended, as text that only this broker can make: a name in it may be one that the caller must not learn about. */
export function cursorAfter(key: DerivedKey, list: string, name: SecretName): string {
  const body = Buffer.from(name).toString('base64url')
  return `${body}.${macOf(key, list, body).toString('base64url')}`
}

/** The name in a cursor of this list; `invalid_argument` for any other text. */
export function afterCursor(key: DerivedKey, list: string, cursor: string): SecretName {
  const [body = '', mac = ''] = cursor.split('.')
  const given = Buffer.from(mac, 'base64url')
  const expected = macOf(key, list, body)
  // nobody but `cursorAfter` makes this mac, and it was given a name
  if (given.length === expected.length && timingSafeEqual(given, expected)) return Buffer.from(body, 'base64url').toString() as SecretName
  throw new BrokerError('invalid_argument', 'the cursor is none of this list', { hint: 'begin again without a cursor' })
}

function macOf(key: DerivedKey, list: string, body: string): Buffer {
  return createHmac('sha256', key.key).update(`${key.id}\n${list}\n${body}`).digest()
}
