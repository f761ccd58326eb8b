import { beforeEach, expect, test } from 'vitest'
import { Breaker, breakerLimits, type Pass } from './breaker.ts'

const { failuresMax, pauseMs, pauseMaxMs } = breakerLimits
let nowMs = 0
let breaker: Breaker

beforeEach(() => {
  nowMs = 1_000_000
  breaker = new Breaker({ now: () => new Date(nowMs), after: () => () => undefined })
})

function enter(): Pass {
  const pass = breaker.enter()
  if (typeof pass === 'number') throw new Error(`wait ${pass}`)
  return pass
}

/** Fails as often as it takes. */
function trip(): void {
  for (let count = 1; count <= failuresMax; count++) expect(breaker.failed(enter())).toBe(count === failuresMax)
}

test('it opens after some failures in a row, and says how long to wait', () => {
  trip()
  expect(breaker.open).toBe(true)
  expect(breaker.enter()).toBe(pauseMs)
  nowMs += 500
  expect(breaker.enter()).toBe(pauseMs - 500)
})

test('any answer between them keeps it closed', () => {
  for (let count = 1; count < failuresMax; count++) breaker.failed(enter())
  expect(breaker.answered()).toBe(false)
  for (let count = 1; count < failuresMax; count++) breaker.failed(enter())
  expect(breaker.open).toBe(false)
})

test('after the pause one caller looks, and the others still wait; when it is answered all may ask', () => {
  trip()
  nowMs += pauseMs
  expect(enter()).toEqual({ probe: true })
  expect(breaker.enter()).toBe(pauseMs)
  expect(breaker.answered()).toBe(true)
  expect([enter(), enter()]).toEqual([{ probe: false }, { probe: false }])
})

test('a look that fails doubles the pause, up to a bound, and what was asked before it opened does not', () => {
  const before = enter()
  trip()
  expect(breaker.failed(before)).toBe(false)
  expect(breaker.enter()).toBe(pauseMs)
  let pause = pauseMs
  for (let round = 0; round < 8; round++) {
    nowMs += pause
    expect(breaker.failed(enter())).toBe(false)
    pause = Math.min(pause * 2, pauseMaxMs)
    expect(breaker.enter()).toBe(pause)
  }
  expect(pause).toBe(pauseMaxMs)
})

test('whoever leaves in the middle of a look makes room for the next one', () => {
  trip()
  nowMs += pauseMs
  breaker.left(enter())
  expect(enter()).toEqual({ probe: true })
})
