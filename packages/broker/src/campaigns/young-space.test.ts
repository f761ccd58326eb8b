import { getHeapSpaceStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { holdYoungSpace } from './young-space.ts'

const youngBytes = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? Number.NaN

/** Objects of which many outlive the moment, as the rows of a page do. */
function live(): number {
  let kept: object[] = []
  for (let at = 0; at < 2_000_000; at += 1) {
    kept.push({ at, text: `row ${at}` })
    if (kept.length > 40_000) kept = []
  }
  return kept.length
}

test('while it is held, what lives for a page gets no more room', () => {
  const release = holdYoungSpace()
  const inner = holdYoungSpace()
  inner()
  inner()
  const before = youngBytes()
  live()
  expect(youngBytes()).toBeLessThanOrEqual(before)
  release()
})
