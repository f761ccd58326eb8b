import { BrokerError, type Clock, type ErrorCode } from '@keyturn/core'
import { beforeEach, expect, test } from 'vitest'
import { Patience } from './patience.ts'

/** Passes every pause at once, and notes it. */
class QuickClock implements Clock {
  #nowMs = 0
  readonly pauses: number[] = []

  now(): Date {
    return new Date(this.#nowMs)
  }

  after(ms: number, run: () => void): () => void {
    this.pauses.push(ms)
    let cancelled = false
    queueMicrotask(() => {
      if (cancelled) return
      this.#nowMs += ms
      run()
    })
    return () => {
      cancelled = true
    }
  }
}

let clock: QuickClock
let told: number[]
let patience: Patience
const signal = new AbortController().signal
beforeEach(() => {
  clock = new QuickClock()
  told = []
  patience = new Patience(clock, ms => told.push(ms))
})

/** Fails so many times, then answers how often it was called. */
function failing(times: number, code: ErrorCode, retryAfterMs?: number): () => Promise<number> {
  let calls = 0
  return async () => {
    calls += 1
    if (calls > times) return calls
    throw new BrokerError(code, 'not now', retryAfterMs === undefined ? {} : { retryAfterMs })
  }
}

test('it waits as long as the store asks, then longer and longer, and tells of each pause', async () => {
  expect(await patience.run(failing(1, 'throttled', 7_000), signal)).toBe(2)
  expect(await patience.run(failing(3, 'throttled'), signal)).toBe(4)
  expect(told).toEqual([7_000, 500, 1_000, 2_000])
  expect(clock.pauses).toEqual(told)
})

test('it gives up after some attempts, sooner on what cannot be reached, and at once where waiting takes too long or helps nothing', async () => {
  await expect(patience.run(failing(6, 'throttled'), signal)).rejects.toMatchObject({ code: 'throttled' })
  expect(told).toHaveLength(5)
  await expect(patience.run(failing(3, 'unavailable'), signal)).rejects.toMatchObject({ code: 'unavailable' })
  expect(told).toHaveLength(7)
  for (const act of [failing(1, 'throttled', 600_000), failing(1, 'permission_denied'), failing(1, 'outcome_unknown')]) {
    await expect(patience.run(act, signal)).rejects.toBeInstanceOf(BrokerError)
  }
  expect(told).toHaveLength(7)
})

test('all calls of the store wait together', async () => {
  let second: Promise<number> | undefined
  // asked while the first one waits, and before the clock has gone on
  const shared: Patience = new Patience(clock, () => {
    second = Promise.resolve().then(() => shared.run(async () => clock.now().getTime(), signal))
  })
  await shared.run(failing(1, 'throttled', 5_000), signal)
  expect(await second).toBeGreaterThanOrEqual(5_000)
})

test('stopped, it waits no longer and calls nothing', async () => {
  const stop = new AbortController()
  stop.abort()
  await expect(patience.run(failing(0, 'throttled'), stop.signal)).rejects.toMatchObject({ code: 'cancelled' })
})
