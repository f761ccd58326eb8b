import { expect, test } from 'vitest'
import { Breather } from './breather.ts'

/** A breather on a clock that only turns of the loop and the work itself move. */
function breathing(turnMs: number) {
  let nowMs = 0
  let turns = 0
  const turn = async () => {
    nowMs += turnMs
    turns += 1
  }
  const breather = new Breather(() => nowMs, turn)
  return { breather, work: (ms: number) => (nowMs += ms), turns: () => turns }
}

test('a piece of work is at most a millisecond long', () => {
  const { breather, work } = breathing(0)
  expect(breather.due).toBe(false)
  work(0.6)
  expect(breather.due).toBe(false)
  work(0.6)
  expect(breather.due).toBe(true)
})

test('with nobody else at work the loop turns once', async () => {
  const { breather, work, turns } = breathing(0.02)
  work(1)
  await breather.breathe()
  expect(turns()).toBe(1)
  expect(breather.due).toBe(false)
})

test.each([
  [1.5, 3],
  [10, 1],
])('others that need %s ms a turn get %s of them, and then the work goes on', async (turnMs, expected) => {
  const { breather, turns } = breathing(turnMs)
  await breather.breathe()
  expect(turns()).toBe(expected)
})
