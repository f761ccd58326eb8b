import { SecretValue } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32cOf } from '../../../test/fakes/gcp-crc32c.ts'
import { crc32c } from './crc32c.ts'
import { decodePayload, encodePayload, refusal } from './values.ts'

describe('a checksum', () => {
  // RFC 3720, B.4, and the check value of the polynomial
  test.each([
    [Buffer.alloc(32), 0x8a9136aa],
    [Buffer.alloc(32, 0xff), 0x62a8ab43],
    [Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
    [Buffer.from('123456789'), 0xe3069283],
    [Buffer.alloc(0), 0],
  ])('of %j', (bytes, sum) => {
    expect(crc32c(bytes)).toBe(sum)
  })

  test('is the one that is made bit by bit', () => {
    fc.assert(fc.property(fc.uint8Array(), bytes => crc32c(bytes) === crc32cOf(bytes)))
  })
})

describe('a payload', () => {
  test('keeps every byte, and is text again where it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), bytes => {
        const value = SecretValue.bytes(bytes)
        expect(decodePayload(encodePayload(value), 'it').equals(value)).toBe(true)
      }),
    )
  })

  test.each([
    ['a number', 3_808_858_755],
    ['a text', '3808858755'],
    ['an object of a 64-bit number', { toString: () => '3808858755' }],
    ['nothing', undefined],
    ['null', null],
  ])('is read with its checksum as %s', (_title, dataCrc32c) => {
    expect(
      decodePayload({ data: Buffer.from('123456789'), ...(dataCrc32c === undefined ? {} : { dataCrc32c }) }, 'it').equals(
        SecretValue.text('123456789'),
      ),
    ).toBe(true)
  })

  test.each([
    { data: Buffer.from('12345678'), dataCrc32c: '3808858755' },
    { data: Buffer.from('x'), dataCrc32c: '0' },
    { data: null },
    {},
    null,
    undefined,
  ])('%j is corrupt', payload => {
    expect(() => decodePayload(payload, 'version 1 of it')).toThrow(expect.objectContaining({ code: 'corrupt' }))
  })
})

describe('a value', () => {
  test('of fields, of no bytes or of too many is refused', () => {
    expect(refusal(SecretValue.fields({ a: 'b' }))).toContain('set of fields')
    expect(refusal(SecretValue.text(''))).toContain('empty')
    expect(refusal(SecretValue.text('x'.repeat(65_537)))).toContain('65537 bytes')
    expect(refusal(SecretValue.text('ü'.repeat(32_769)))).toContain('65538 bytes')
    expect(refusal(SecretValue.text('x'.repeat(65_536)))).toBeUndefined()
    expect(refusal(SecretValue.bytes(Uint8Array.of(0)))).toBeUndefined()
  })
})
