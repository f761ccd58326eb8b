import assert from 'node:assert/strict'
import type { Instance, Ledger } from '../ledger.ts'
import { hour, type LedgerCheck, minute } from './subject.ts'

const told = (id: string, more: Partial<Instance> = {}) => ({ id, loaded: ['k1'], wanted: 'k1', using: 'k1', version: '1.0.0', ...more })
const ids = async (ledger: Ledger): Promise<readonly string[]> => (await ledger.instances.live()).map(({ id }) => id)

/** Heartbeats. */
export const instanceChecks: readonly LedgerCheck[] = [
  {
    title: 'an instance is what its last heartbeat told, and as old as its first',
    run: async ({ ledger, advance }) => {
      await ledger.instances.beat(told('i1'))
      const [first] = await ledger.instances.live()
      assert(first !== undefined)
      assert.deepEqual(first, { ...told('i1'), startedAt: first.startedAt, seenAt: first.startedAt })
      assert(first.startedAt <= (await ledger.now()))
      await advance(15_000)
      const next = told('i1', { loaded: ['k1', 'k2'], wanted: 'k2', version: '1.0.1' })
      await ledger.instances.beat(next)
      const [second] = await ledger.instances.live()
      assert(second !== undefined && second.seenAt > first.seenAt)
      assert.deepEqual(second, { ...next, startedAt: first.startedAt, seenAt: second.seenAt })
    },
  },
  {
    title: 'an instance lives for a minute from its last heartbeat',
    run: async ({ ledger, advance }) => {
      await ledger.instances.beat(told('i1'))
      await advance(50_000)
      assert.deepEqual(await ids(ledger), ['i1'])
      await ledger.instances.beat(told('i1'))
      await advance(50_000)
      assert.deepEqual(await ids(ledger), ['i1'])
      await advance(10_000)
      assert.deepEqual(await ids(ledger), [])
      await ledger.instances.beat(told('i1'))
      assert.deepEqual(await ids(ledger), ['i1'])
    },
  },
  {
    title: 'an instance that signed off is not live any more, whatever heartbeat of it was under way',
    run: async ({ ledger }) => {
      await ledger.instances.beat(told('i1'))
      await ledger.instances.beat(told('i2'))
      await ledger.instances.signOff('i1')
      await ledger.instances.signOff('i1')
      await ledger.instances.signOff('unheard-of')
      await ledger.instances.beat(told('i1'))
      assert.deepEqual(await ids(ledger), ['i2'])
    },
  },
  {
    title: 'live instances come oldest first',
    run: async ({ ledger, advance }) => {
      for (const id of ['b', 'c', 'a']) {
        await ledger.instances.beat(told(id))
        await advance(1_000)
      }
      await ledger.instances.beat(told('b'))
      assert.deepEqual(await ids(ledger), ['b', 'c', 'a'])
    },
  },
  {
    title: 'an instance that is gone for a day is forgotten',
    run: async ({ ledger, advance }) => {
      await ledger.instances.beat(told('i1'))
      await ledger.instances.beat(told('i2'))
      const started = async () => (await ledger.instances.live()).find(({ id }) => id === 'i2')?.startedAt
      const first = await started()
      await ledger.instances.signOff('i1')
      await advance(23 * hour)
      await ledger.instances.beat(told('i1'))
      await ledger.instances.beat(told('i2'))
      assert.deepEqual(await ids(ledger), ['i2'])
      assert.deepEqual(await started(), first)
      await advance(24 * hour + minute)
      await ledger.instances.beat(told('i1'))
      await ledger.instances.beat(told('i2'))
      assert.deepEqual(await ids(ledger), ['i1', 'i2'])
      assert(Number(await started()) > Number(first))
    },
  },
]
