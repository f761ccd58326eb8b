import { BrokerError } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { durationRemedy, formatDuration, parseDuration } from './duration.ts'
import { sizeBytes, sizeRemedy } from './size.ts'

const hourMs = 3_600_000

describe('a duration', () => {
  test.each([
    ['90d', 90 * 24 * hourMs],
    ['24h', 24 * hourMs],
    ['1h30m', 1.5 * hourMs],
    ['10s', 10_000],
    ['0s', 0],
    ['1d2h3m4s', 26 * hourMs + 184_000],
  ])('%s is read', (text, ms) => expect(parseDuration(text)).toBe(ms))

  test.each(['', '90', '-1h', '1.5h', '1h 30m', '30m1h', '1M', '1w', '500ms', 'P30D', '1h1h', '10S', ' 10s', '10s\n', '9999999999d'])(
    '%j is refused with the right form',
    text => {
      const refused = (() => {
        try {
          return parseDuration(text)
        } catch (error) {
          return error
        }
      })()
      expect(refused).toBeInstanceOf(BrokerError)
      expect(refused).toMatchObject({ code: 'invalid_argument', hint: durationRemedy(text) })
      const written = /^write (\S+)$/.exec(durationRemedy(text))?.[1]
      if (written !== undefined) expect(parseDuration(written)).toBeGreaterThan(0)
    },
  )

  test('is written as it is read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 36_525 * 86_400 }), seconds => {
        expect(parseDuration(formatDuration(seconds * 1000))).toBe(seconds * 1000)
      }),
    )
  })

  test.each([
    [24 * hourMs, '24h'],
    [48 * hourMs, '2d'],
    [90 * 60_000, '1h30m'],
    [30 * 24 * hourMs, '30d'],
    [1, '1s'],
    [0, '0s'],
  ])('of %d ms is written %s', (ms, text) => expect(formatDuration(ms)).toBe(text))
})

describe('a size', () => {
  test.each([
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['512B', 512],
  ])('%s is read', (text, bytes) => expect(sizeBytes(text)).toBe(bytes))

  test.each([
    ['64kb', 'write 64KiB'],
    ['64 K', 'write 64KiB'],
    ['64', 'a unit is missing: write 64B or 64KiB'],
    ['many', 'write a whole number with B, KiB, MiB or GiB, such as 64KiB'],
  ])('%s is answered: %s', (text, remedy) => {
    expect(sizeBytes(text)).toBeUndefined()
    expect(sizeRemedy(text)).toBe(remedy)
  })
})
