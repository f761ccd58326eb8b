import type { BrokerError, Clock } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { type Grant, Tokens } from './tokens.ts'

/** A clock that goes when it is told to. */
function handClock(): Clock & { ms: number; readonly timers: { readonly at: number; readonly run: () => void }[] } {
  return {
    ms: 1_000_000,
    timers: [],
    now() {
      return new Date(this.ms)
    },
    after(ms, run) {
      const timer = { at: this.ms + ms, run }
      this.timers.push(timer)
      return () => void this.timers.splice(this.timers.indexOf(timer), 1)
    },
  }
}

function setUp(lifeMs = 3_600_000) {
  const clock = handClock()
  const logins: { readonly signal: AbortSignal; readonly give: () => void; readonly fail: (error: Error) => void }[] = []
  const login = (signal: AbortSignal) =>
    new Promise<Grant>((resolve, reject) => {
      const token = `token-${logins.length + 1}`
      logins.push({ signal, give: () => resolve({ token, endsAt: clock.ms + lifeMs }), fail: reject })
    })
  const tokens = new Tokens({ title: 'the test', login }, clock)
  const current = async () => (await tokens.current(new AbortController().signal)).token
  return { clock, logins, tokens, current }
}

describe('a token', () => {
  test('is got once for all who wait', async () => {
    const { logins, current } = setUp()
    const waiting = Promise.all(Array.from({ length: 50 }, current))
    expect(logins).toHaveLength(1)
    logins[0]?.give()
    expect(new Set(await waiting)).toEqual(new Set(['token-1']))
    expect(await current()).toBe('token-1')
    expect(logins).toHaveLength(1)
  })

  test('is replaced before it ends, while it still serves', async () => {
    const { clock, logins, current } = setUp()
    const first = current()
    logins[0]?.give()
    await first
    clock.ms += 3_600_000 - 230_000
    expect(await current()).toBe('token-1')
    expect(logins).toHaveLength(1)
    clock.ms += 10_000
    expect([await current(), await current()]).toEqual(['token-1', 'token-1'])
    expect(logins).toHaveLength(2)
    logins[1]?.give()
    await expect.poll(current).toBe('token-2')
  })

  test('of a short life is replaced in its last fifth', async () => {
    const { clock, logins, current } = setUp(100_000)
    const first = current()
    logins[0]?.give()
    await first
    clock.ms += 79_000
    await current()
    expect(logins).toHaveLength(1)
    clock.ms += 2_000
    await current()
    expect(logins).toHaveLength(2)
  })

  test('that still serves is given out when its replacement fails, which is tried again after a pause', async () => {
    const { clock, logins, current } = setUp()
    const first = current()
    logins[0]?.give()
    await first
    clock.ms += 3_600_000 - 100_000
    await current()
    logins[1]?.fail(new Error('no'))
    await new Promise(resolve => setImmediate(resolve))
    expect(await current()).toBe('token-1')
    expect(logins).toHaveLength(2)
    clock.ms += 10_000
    expect(await current()).toBe('token-1')
    expect(logins).toHaveLength(3)
  })

  test('that has ended is waited for, and the failure is told', async () => {
    const { clock, logins, current } = setUp()
    const first = current()
    logins[0]?.give()
    await first
    clock.ms += 3_600_000
    const next = current()
    logins[1]?.fail(new Error('no'))
    await expect(next).rejects.toThrow('no')
  })

  test('that was refused is replaced once, whoever says so', async () => {
    const { logins, tokens, current } = setUp()
    const { signal } = new AbortController()
    const first = tokens.current(signal)
    logins[0]?.give()
    const refused = await first
    const others = Promise.all([tokens.insteadOf(refused, signal), tokens.insteadOf(refused, signal)])
    logins[1]?.give()
    expect((await others).map(grant => grant?.token)).toEqual(['token-2', 'token-2'])
    expect((await tokens.insteadOf(refused, signal))?.token).toBe('token-2')
    expect([logins.length, await current()]).toEqual([2, 'token-2'])
  })

  test('whose replacement is refused as well is not replaced by every call, but after a pause', async () => {
    const { clock, logins, tokens } = setUp()
    const { signal } = new AbortController()
    const first = tokens.current(signal)
    logins[0]?.give()
    const second = tokens.insteadOf(await first, signal)
    logins[1]?.give()
    const refused = await second
    if (refused === undefined) throw new Error('there is another one')
    for (let count = 0; count < 20; count += 1) expect(await tokens.insteadOf(refused, signal)).toBeUndefined()
    expect(logins).toHaveLength(2)
    clock.ms += 10_000
    const third = tokens.insteadOf(refused, signal)
    logins[2]?.give()
    expect((await third)?.token).toBe('token-3')
  })
})

describe('a login', () => {
  test('goes on for the others when one caller goes', async () => {
    const { logins, tokens, current } = setUp()
    const leaving = new AbortController()
    const [left, stays] = [tokens.current(leaving.signal), current()]
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    expect(logins[0]?.signal.aborted).toBe(false)
    logins[0]?.give()
    expect(await stays).toBe('token-1')
  })

  test('without an answer ends in time as unavailable, and the next is a new one', async () => {
    const { clock, logins, current } = setUp()
    const hanging = current()
    clock.timers[0]?.run()
    await expect(hanging).rejects.toMatchObject({ code: 'unavailable' } satisfies Partial<BrokerError>)
    expect(logins[0]?.signal.aborted).toBe(true)
    clock.ms += 1_000
    const next = current()
    logins[1]?.give()
    expect(await next).toBe('token-2')
  })

  test('that failed is not begun again for each caller, but a second later', async () => {
    const { clock, logins, current } = setUp()
    const first = current()
    logins[0]?.fail(new Error('no'))
    await expect(first).rejects.toThrow('no')
    for (let count = 0; count < 20; count += 1) await expect(current()).rejects.toThrow('no')
    expect(logins).toHaveLength(1)
    clock.ms += 1_000
    const next = current()
    logins[1]?.give()
    expect(await next).toBe('token-2')
  })

  test('is not begun for a caller who has gone', async () => {
    const { logins, tokens } = setUp()
    await expect(tokens.current(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
    expect(logins).toEqual([])
  })
})
