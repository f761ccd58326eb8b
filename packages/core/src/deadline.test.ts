import { describe, expect, test } from 'vitest'
import { bounded, type Ended, orAbort } from './deadline.ts'
import { BrokerError } from './error.ts'
import type { Clock } from './ports.ts'

/** A clock whose timers run when they are told to. */
function handClock(): Clock & { readonly timers: { readonly ms: number; readonly run: () => void }[] } {
  const timers: { readonly ms: number; readonly run: () => void }[] = []
  return {
    timers,
    now: () => new Date(0),
    after(ms, run) {
      const timer = { ms, run }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0)
    },
  }
}

const ended = (how: Ended) => new BrokerError(how === 'deadline' ? 'unavailable' : 'cancelled', how)
const never = () => new Promise<never>(() => undefined)

describe('a bounded call', () => {
  test('answers with what the call answers, and leaves no timer behind', async () => {
    const clock = handClock()
    expect(await bounded(clock, 5, undefined, ended, async () => 'answer')).toBe('answer')
    expect(clock.timers).toEqual([])
  })

  test('throws what the call throws, at once or later, and leaves no timer behind', async () => {
    const clock = handClock()
    const error = new Error('mine')
    await expect(bounded(clock, 5, undefined, ended, () => Promise.reject(error))).rejects.toBe(error)
    const thrown = () => {
      throw error
    }
    await expect(bounded(clock, 5, undefined, ended, thrown)).rejects.toBe(error)
    expect(clock.timers).toEqual([])
  })

  test('ends at its deadline, even a call that ignores its signal', async () => {
    const clock = handClock()
    let signal: AbortSignal | undefined
    const call = bounded(clock, 5, undefined, ended, given => {
      signal = given
      return never()
    })
    expect(clock.timers.map(({ ms }) => ms)).toEqual([5])
    clock.timers[0]?.run()
    await expect(call).rejects.toMatchObject({ code: 'unavailable' })
    expect(signal?.aborted).toBe(true)
    expect(signal?.reason).toMatchObject({ code: 'unavailable' })
  })

  test('ends when its caller does, and lets go of the caller', async () => {
    const clock = handClock()
    const caller = new AbortController()
    const call = bounded(clock, 5, caller.signal, ended, never)
    caller.abort()
    await expect(call).rejects.toMatchObject({ code: 'cancelled' })
    expect(clock.timers).toEqual([])
  })

  test('is not begun for a caller that has gone', async () => {
    let begun = false
    const call = bounded(handClock(), 5, AbortSignal.abort(), ended, async () => {
      begun = true
    })
    await expect(call).rejects.toMatchObject({ code: 'cancelled' })
    expect(begun).toBe(false)
  })

  test('is not troubled by an answer that comes after the end', async () => {
    const clock = handClock()
    let fail: (error: Error) => void = () => undefined
    const late = new Promise<never>((_, reject) => (fail = reject))
    const call = bounded(clock, 5, undefined, ended, () => late)
    clock.timers[0]?.run()
    fail(new Error('late'))
    await expect(call).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('a shared promise', () => {
  test('is left by the one who goes, and goes on for the others', async () => {
    let finish: (value: string) => void = () => undefined
    const shared = new Promise<string>(resolve => (finish = resolve))
    const leaving = new AbortController()
    const [left, stays] = [orAbort(shared, leaving.signal), orAbort(shared, new AbortController().signal)]
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    finish('here')
    await expect(stays).resolves.toBe('here')
  })

  test('is not waited for by one who has gone', async () => {
    await expect(orAbort(Promise.resolve('here'), AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  })
})
