import { describe, expect, test } from 'vitest'
import { InFlight } from './in-flight.ts'

const { signal } = new AbortController()

/** A call that ends when it is told to. */
function held(calls: InFlight, begun: string[], name: string, until: AbortSignal = signal) {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const ended = calls.run(until, () => {
    begun.push(name)
    return promise
  })
  ended.catch(() => undefined)
  return { ended, end: () => resolve(name), fail: () => reject(new Error(name)) }
}
const settled = () => new Promise(resolve => setImmediate(resolve))

describe('calls in flight', () => {
  test('are so many at once, and the others come in their turn', async () => {
    const calls = new InFlight(2)
    const begun: string[] = []
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(name => held(calls, begun, name))
    await settled()
    expect(begun).toEqual(['a', 'b'])
    b?.end()
    await settled()
    expect(begun).toEqual(['a', 'b', 'c'])
    a?.fail()
    await settled()
    expect(begun).toEqual(['a', 'b', 'c', 'd'])
    for (const each of [c, d]) each?.end()
    expect(await Promise.allSettled([a?.ended, b?.ended, c?.ended, d?.ended])).toMatchObject([
      { reason: { message: 'a' } },
      { value: 'b' },
      { value: 'c' },
      { value: 'd' },
    ])
  })

  test('do not begin once their signal has ended the wait, and leave their turn to the next', async () => {
    const calls = new InFlight(1)
    const begun: string[] = []
    const caller = new AbortController()
    const first = held(calls, begun, 'first')
    const given = held(calls, begun, 'given up', caller.signal)
    const last = held(calls, begun, 'last')
    caller.abort(new Error('enough'))
    await expect(given.ended).rejects.toThrow('enough')
    first.end()
    await settled()
    expect(begun).toEqual(['first', 'last'])
    last.end()
    await expect(calls.run(caller.signal, async () => 'late')).rejects.toThrow('enough')
    expect(await calls.run(signal, async () => 'the place is free')).toBe('the place is free')
  })

  test('lose no place when a signal ends in the moment in which it is given', async () => {
    const calls = new InFlight(1)
    const begun: string[] = []
    const caller = new AbortController()
    const first = held(calls, begun, 'first')
    const second = held(calls, begun, 'second', caller.signal)
    first.end()
    await first.ended
    caller.abort(new Error('enough'))
    await settled()
    second.end()
    await Promise.allSettled([second.ended])
    expect(await calls.run(signal, async () => 'the place is free')).toBe('the place is free')
  })
})
