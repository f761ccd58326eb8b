import { createSecretKey, randomBytes } from 'node:crypto'
import { SecretValue, type StorePath } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { carry, fingerprint, merged, pick } from './carry.ts'
import type { Place } from './places.ts'

const place = (format: Place['format'], ...fields: string[]): Place => ({
  path: 'p' as StorePath,
  fields: fields.length === 0 ? null : fields,
  format,
})
const text = SecretValue.text('v')
const bytes = SecretValue.bytes(Uint8Array.of(0, 255))
const one = SecretValue.fields({ key: 'v' })
const two = SecretValue.fields({ a: '1', b: { json: '12345678901234567890' } })

describe('what a value is at its new place', () => {
  test.each([
    ['a text where texts are', text, place('text'), place('text'), text],
    ['bytes where texts are', bytes, place('text'), place('text'), bytes],
    ['a text in the field that the entry names', text, place('text'), place('fields', 'key'), one],
    ['one field by another name', one, place('fields', 'key'), place('json', 'other'), SecretValue.fields({ other: 'v' })],
    ['the field that the entry names as a text', one, place('fields', 'key'), place('text'), text],
    ['fields where fields are', two, place('fields'), place('json'), two],
    ['fields that both entries name', two, place('fields', 'a', 'b'), place('json', 'b', 'a'), two],
    ['anything where anything is kept', text, place('text'), place('stored'), text],
    ['a set where anything is kept', two, place('json'), place('stored'), two],
  ])('%s', (_, value, from, to, wanted) => {
    const carried = carry(value, from, to)
    expect('value' in carried && carried.value.equals(wanted)).toBe(true)
  })

  test.each([
    ['a set as a text', two, place('fields'), place('text'), 'format: json'],
    // that it has one field today is not what the config says
    ['a set of one as a text', one, place('fields'), place('text'), 'format: json'],
    ['a text as a set', text, place('stored'), place('fields'), 'write key:'],
    ['a text as JSON', text, place('text'), place('json'), 'write key:'],
    ['other fields than those of the entry', two, place('fields'), place('fields', 'a', 'c'), 'the fields a, c, and it is the fields a, b'],
    ['two fields in one', two, place('fields', 'a', 'b'), place('json', 'a'), 'the field a, and it is the fields a, b'],
  ])('%s is refused with what to write', (_, value, from, to, words) => {
    expect(carry(value, from, to)).toEqual({ why: expect.stringContaining(words) })
  })
})

test('a path takes new fields, and keeps its neighbours byte for byte', () => {
  const before = SecretValue.fields({ a: 'old', n: { json: '1.0' }, raw: Uint8Array.of(255) })
  const next = merged(before, [{ place: place('fields', 'a'), value: SecretValue.fields({ a: 'new' }) }])
  expect(next.equals(SecretValue.fields({ a: 'new', n: { json: '1.0' }, raw: Uint8Array.of(255) }))).toBe(true)
  expect(pick(next, place('fields', 'n', 'a')).value?.equals(SecretValue.fields({ a: 'new', n: { json: '1.0' } }))).toBe(true)
  expect(pick(next, place('fields', 'none'))).toEqual({ missing: 'none' })
})

test('a fingerprint tells what readers see: values, not how a store writes them; and nothing without its key', () => {
  const key = createSecretKey(randomBytes(32))
  const of = (value: SecretValue) => fingerprint(key, value)
  expect(of(two)).toBe(of(SecretValue.fields({ b: '12345678901234567890', a: '1' })))
  expect(of(two)).not.toBe(of(SecretValue.fields({ a: '1', b: '12345678901234567891' })))
  expect(of(text)).not.toBe(of(one))
  expect(of(bytes)).not.toBe(of(SecretValue.bytes(Uint8Array.of(0, 254))))
  expect(fingerprint(createSecretKey(randomBytes(32)), text)).not.toBe(of(text))
})
