import type { AuditEvent } from '@keyturn/audit'
import { BrokerError, type RotationId, type SecretName } from '@keyturn/core'
import type { OutboxRow } from '@keyturn/ledger'
import { expect, test } from 'vitest'
import { OutboxCarrier } from './outbox.ts'

const row = (id: number): OutboxRow => ({
  id,
  at: new Date(0),
  secret: 'app/x' as SecretName,
  rotation: 'rot_1' as RotationId,
  action: 'rotation.promoted',
  outcome: 'allowed',
  version: '2',
  code: null,
})

/** An outbox and a chain whose calls can be made to fail. */
function world(ids: readonly number[], chain: string[] = []) {
  const rows = new Map(ids.map(id => [id, row(id)]))
  const fails = { append: new Set<number>(), delivered: false }
  const ledger = {
    outbox: {
      pending: async (limit: number) => [...rows.values()].slice(0, limit),
      delivered: async (done: readonly number[]) => {
        if (fails.delivered) throw new BrokerError('unavailable', 'the ledger is away')
        for (const id of done) rows.delete(id)
      },
      async deliver(limit: number, take: (some: readonly OutboxRow[]) => Promise<void>) {
        const some = await this.pending(limit)
        await take(some)
        await this.delivered(some.map(({ id }) => id))
      },
    },
  }
  const audit = {
    append: async (event: AuditEvent) => {
      const id = event.requestId ?? ''
      if (fails.append.has(Number(id.slice(4)))) throw new BrokerError('unavailable', 'audit cannot be written')
      await new Promise(resolve => setImmediate(resolve))
      chain.push(id)
    },
    contains: async (wanted: Iterable<string>) => new Set([...wanted].filter(id => chain.includes(id))),
    healthy: () => true,
  }
  // the carrier touches nothing else of the two
  const broker = { ledger, audit } as unknown as ConstructorParameters<typeof OutboxCarrier>[0]
  return { broker, chain, fails, rows }
}

test('every event comes into the chain once, whoever asks how often at the same time', async () => {
  const { broker, chain, rows } = world([1, 2, 3])
  const carrier = new OutboxCarrier(broker)
  await Promise.all([carrier.carry(), carrier.carry(), carrier.carry()])
  rows.set(4, row(4))
  await Promise.all([carrier.carry(), carrier.carry()])
  expect(chain).toEqual(['evt_1', 'evt_2', 'evt_3', 'evt_4'])
  expect(rows.size).toBe(0)
})

test('what was appended and could not be noted is not appended again, in this life or the next', async () => {
  const { broker, chain, fails } = world([1, 2])
  const carrier = new OutboxCarrier(broker)
  fails.delivered = true
  await expect(carrier.carry()).rejects.toThrow('the ledger is away')
  await expect(carrier.carry()).rejects.toThrow('the ledger is away')
  fails.delivered = false
  await new OutboxCarrier(broker).carry()
  expect(chain).toEqual(['evt_1', 'evt_2'])
})

test('one that cannot be appended keeps the others from being lost', async () => {
  const { broker, chain, fails, rows } = world([1, 2, 3])
  const carrier = new OutboxCarrier(broker)
  fails.append.add(2)
  await expect(carrier.carry()).rejects.toThrow('audit cannot be written')
  await new Promise(resolve => setTimeout(resolve, 5))
  expect(rows.size).toBe(3)
  fails.append.clear()
  await carrier.carry()
  expect(chain.toSorted()).toEqual(['evt_1', 'evt_2', 'evt_3'])
})
