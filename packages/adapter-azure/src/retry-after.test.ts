import { describe, expect, test } from 'vitest'
import { waitOf } from './retry-after.ts'

describe('a wait that a server asks for', () => {
  test.each([
    [{}, undefined],
    [{ 'retry-after': '2' }, 2_000],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:10 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' }, 10_000],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT', date: 'Wed, 21 Oct 2026 07:28:10 GMT' }, undefined],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:10 GMT' }, undefined],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '-1' }, undefined],
  ])('%j', (headers, ms) => {
    expect(waitOf(headers)).toBe(ms)
  })
})
