import type { Instance, KekRecord, KekState } from '@keyturn/ledger'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { promotion, promotionWord, wished } from './promotion.ts'

const at = new Date('2026-03-01T00:00:00Z')

function kek(id: string, state: KekState, currentSince: Date | null = state === 'pre-active' ? null : at): KekRecord {
  return { id, fingerprint: id, state, metAt: at, currentSince, stateAt: at, changes: [{ state, at }], wrapped: null }
}

function broker(id: string, loaded: readonly string[], wanted: string): Instance {
  return { id, loaded, wanted, using: 'v1', version: '0', startedAt: at, seenAt: at }
}

describe('a KEK that never was current', () => {
  const records = [kek('v1', 'active'), kek('v2', 'pre-active')]

  test('waits until every live broker holds it, whatever they want', () => {
    const old = broker('b', ['v1'], 'v1')
    const mine = broker('a', ['v1', 'v2'], 'v2')
    expect(promotion(records, [mine, old, { ...old, id: 'c' }], 'v2')).toEqual({ kind: 'waiting', ready: 1 })
    expect(promotionWord(promotion(records, [mine, old], 'v2'), 2)).toBe('waiting 1/2')
    expect(promotion(records, [mine, { ...old, loaded: ['v1', 'v2'] }], 'v2')).toEqual({ kind: 'ready', from: 'v1', to: 'v2' })
  })

  test('is current at once where nothing was', () => {
    expect(promotion([kek('v1', 'pre-active')], [broker('a', ['v1'], 'v1')], 'v1')).toEqual({ kind: 'ready', from: null, to: 'v1' })
  })

  test('has nothing to wait for once it is', () => {
    expect(promotion([kek('v1', 'deactivated'), kek('v2', 'active')], [], 'v2')).toEqual({ kind: 'done' })
  })
})

test('every broker tells what the deployment goes to, also one that was not restarted yet', () => {
  const records = [kek('v1', 'active'), kek('v2', 'pre-active'), kek('v3', 'pre-active')]
  const [old, restarted] = [broker('b', ['v1'], 'v1'), broker('a', ['v1', 'v2'], 'v2')]
  const last = { ...broker('c', ['v1', 'v3'], 'v3'), startedAt: new Date(at.getTime() + 1) }
  expect(wished(records, [old, restarted], 'v1')).toBe('v2')
  expect(wished(records, [old, restarted, last], 'v1')).toBe('v3')
  expect(wished(records, [old, restarted, last], 'v2')).toBe('v2')
  expect(wished(records, [old], 'v1')).toBe('v1')
  // one that was not restarted after a promotion does not ask for the way back
  expect(wished([kek('v1', 'deactivated'), kek('v2', 'active')], [broker('b', ['v1', 'v2'], 'v1')], 'v2')).toBe('v2')
})

test('the way back needs every live broker to want it', () => {
  const records = [kek('v1', 'deactivated'), kek('v2', 'active')]
  const [back, stays] = [broker('a', ['v1', 'v2'], 'v1'), broker('b', ['v1', 'v2'], 'v2')]
  expect(promotion(records, [back, stays], 'v1')).toEqual({ kind: 'waiting', ready: 1 })
  expect(promotion(records, [back], 'v1')).toEqual({ kind: 'ready', from: 'v2', to: 'v1' })
})

test.each(['compromised', 'retired', 'destroyed'] as const)('what is %s closes nothing any more', state => {
  expect(promotion([kek('v1', state), kek('v2', 'active')], [broker('a', ['v1', 'v2'], 'v1')], 'v1')).toMatchObject({ kind: 'refused' })
})

test('brokers that want different new KEKs come to one of them, and stay there', () => {
  const ids = ['v1', 'v2', 'v3', 'v4']
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...ids), { minLength: 1, maxLength: 5 }), wishes => {
      const live = wishes.map((wanted, index) => broker(`b${index}`, ids, wanted))
      let records: readonly KekRecord[] = [kek('v1', 'active'), ...ids.slice(1).map(id => kek(id, 'pre-active'))]
      let promotions = 0
      for (let round = 0; round < 6; round += 1) {
        for (const { wanted } of live) {
          const decided = promotion(records, live, wanted)
          if (decided.kind !== 'ready') continue
          promotions += 1
          records = records.map(record => {
            if (record.id === decided.to) return kek(record.id, 'active')
            return record.state === 'active' ? kek(record.id, 'deactivated') : record
          })
        }
      }
      expect(promotions).toBeLessThanOrEqual(new Set(wishes.filter(wish => wish !== 'v1')).size)
      expect(records.filter(({ state }) => state === 'active')).toHaveLength(1)
    }),
  )
})
