import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { BrokerError, type SecretId, SecretValue } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { Keyring } from './keyring.ts'
import { EnvelopeSealer } from './sealer.ts'
import { WrapMeter, wrapsHard } from './wrap-meter.ts'

function tallyFrom(start: number) {
  const sums = new Map<string, number>()
  let adds = 0
  return {
    sums,
    get adds() {
      return adds
    },
    async add(kekId: string, count: number) {
      adds++
      const sum = (sums.get(kekId) ?? start) + count
      sums.set(kekId, sum)
      return sum
    },
  }
}

const codeOf = (run: () => void): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof BrokerError) return error.code
    throw error
  }
}

describe('the wrap meter', () => {
  test('the tally is never behind what was used, and is asked once a block', async () => {
    const tally = tallyFrom(0)
    const meter = new WrapMeter(tally, 8)
    for (let used = 1; used <= 100; used++) {
      await meter.ready('k1')
      meter.take('k1')
      expect(tally.sums.get('k1')).toBeGreaterThanOrEqual(used)
    }
    expect(tally.adds).toBeLessThanOrEqual(100 / 8 + 2)
  })

  test('reserves the next block before the last one is used up', async () => {
    const meter = new WrapMeter(tallyFrom(0), 8)
    await meter.ready('k1')
    for (let used = 0; used < 100; used++) {
      meter.take('k1')
      await Promise.resolve()
      await Promise.resolve()
    }
  })

  test('what is not reserved cannot be used', () => {
    expect(codeOf(() => new WrapMeter(tallyFrom(0)).take('k1'))).toBe('unavailable')
  })

  test('many can be reserved at once, and waiting together asks once', async () => {
    const tally = tallyFrom(0)
    const meter = new WrapMeter(tally, 8)
    await Promise.all([meter.ready('k1', 100), meter.ready('k1'), meter.ready('k1', 3)])
    expect(tally.adds).toBe(1)
    for (let used = 0; used < 100; used++) meter.take('k1')
  })

  test('each KEK has its own count', async () => {
    const tally = tallyFrom(0)
    const meter = new WrapMeter(tally, 8)
    await meter.ready('k1')
    expect(codeOf(() => meter.take('k2'))).toBe('unavailable')
  })

  test('nothing is closed beyond the hard limit, and the error names the KEK', async () => {
    const meter = new WrapMeter(tallyFrom(wrapsHard - 8), 8)
    await meter.ready('k1')
    for (let used = 0; used < 8; used++) meter.take('k1')
    await expect(meter.ready('k1')).rejects.toMatchObject({ code: 'precondition_failed', detail: { kekId: 'k1' } })
    // also to who only takes
    expect(codeOf(() => meter.take('k1'))).toBe('precondition_failed')
  })

  test('a tally that fails is heard by who waits, and later tries go on', async () => {
    let broken = true
    const meter = new WrapMeter({ add: async (_, count) => (broken ? Promise.reject(new Error('disk full')) : count) }, 8)
    await expect(meter.ready('k1')).rejects.toThrow('disk full')
    expect(codeOf(() => meter.take('k1'))).toBe('unavailable')
    // whoever waits now would still hear of the try that `take` began
    await new Promise(resolve => setImmediate(resolve))
    broken = false
    await meter.ready('k1')
    meter.take('k1')
  })

  test('a sealer uses one wrap for each value it closes and each re-wrap, and none to open', async () => {
    const tally = tallyFrom(0)
    const meter = new WrapMeter(tally, 2)
    const keks = new Map(['k1', 'k2'].map(id => [id, createSecretKey(randomBytes(32))]))
    const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
    const sealer = new EnvelopeSealer({ keyring: new Keyring({ keks, current: 'k1' }), random, store: 's', meter })
    const slot = { secretId: 'sec_0123456789ABCDEFGHJKMNPQRS' as SecretId, number: 1, kind: 'text' } as const
    expect(codeOf(() => sealer.seal(slot, SecretValue.text('a')))).toBe('unavailable')
    await meter.ready('k1', 2)
    const sealed = sealer.seal(slot, SecretValue.text('a'))
    for (let time = 0; time < 5; time++) sealer.open(slot, sealed)
    expect(codeOf(() => sealer.rewrapped(slot, sealed, 'k2'))).toBe('unavailable')
    await meter.ready('k2')
    expect(sealer.rewrapped(slot, sealed, 'k2').kekId).toBe('k2')
  })
})
