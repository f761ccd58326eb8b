import { createSecretKey } from 'node:crypto'
import { secretName } from '@keyturn/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { afterCursor, cursorAfter } from './cursor.ts'

const key = { id: 'r1.cursor', key: createSecretKey(Buffer.alloc(32, 1)) }
const name = secretName('payments/größe')

test('a cursor gives its name back, in its own list and under its own key', () => {
  const cursor = cursorAfter(key, 'secrets', name)
  expect(afterCursor(key, 'secrets', cursor)).toBe(name)
  expect(() => afterCursor(key, 'rotation-status', cursor)).toThrow('none of this list')
  expect(() => afterCursor({ ...key, key: createSecretKey(Buffer.alloc(32, 2)) }, 'secrets', cursor)).toThrow('none of this list')
})

test('any other text is refused', () => {
  const refused = (text: string) => {
    expect(() => afterCursor(key, 'secrets', text)).toThrow('none of this list')
  }
  fc.assert(fc.property(fc.string(), refused))
  fc.assert(fc.property(fc.base64String(), fc.base64String(), (body, mac) => refused(`${body}.${mac}`)))
})
