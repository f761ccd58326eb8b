import { randomBytes, randomUUID } from 'node:crypto'
import { SecretValue, type StoreAdapter, type StorePath } from '@keyturn/core'
import { EnvelopeSealer, type Keyring } from '@keyturn/envelope'
import { expect } from 'vitest'

const intent = () => ({ idempotencyKey: randomUUID(), signal: new AbortController().signal })

/**
 * Re-wraps an empty store from k1, which is current, to k2, while somebody writes a secret that the pass has looked at and not changed yet: that row is
 * skipped and never failed, what was written is read, and the next pass leaves nothing under k1.
 */
export async function passBesideWriter(adapter: StoreAdapter, keyring: Keyring): Promise<void> {
  const { envelopes } = adapter
  if (envelopes === undefined) throw new Error('a store of its own tells its envelopes')
  const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
  const sealer = new EnvelopeSealer({ keyring, random, store: envelopes.store, meter: null })
  // values made by this function alone: every one is a path
  const paths = Array.from({ length: 6 }, (_, at) => `beside/secret-${at}` as StorePath)
  for (const path of paths) await adapter.write(path, SecretValue.text('first'), intent())
  const [written = paths[0]] = paths.slice(3)
  if (written === undefined) throw new Error('there are paths')
  const pass = async (id: string, meanwhile: () => Promise<unknown>) => {
    await envelopes.begin({ id, kind: 'rewrap', kekId: 'k2' })
    for (let end = ''; end !== 'over'; ) {
      end = await envelopes.step(id, {
        rows: 500,
        async act(rows) {
          await meanwhile()
          return rows.map(({ slot, sealed }) => sealer.rewrapped(slot, sealed, 'k2'))
        },
      })
    }
    return envelopes.progress(id)
  }
  const first = await pass('beside-1', () => adapter.write(written, SecretValue.text('by hand'), intent()))
  expect(first).toEqual({ total: 6, done: 5, skipped: 1, failed: 0, over: true })
  const read = await adapter.read(written, intent())
  expect([read.version, read.value.equals(SecretValue.text('by hand'))]).toEqual(['2', true])
  expect(await stale(envelopes)).toBe(2)
  expect(await pass('beside-2', async () => undefined)).toEqual({ total: 2, done: 2, skipped: 0, failed: 0, over: true })
  expect(await stale(envelopes)).toBe(0)
  expect((await adapter.read(written, { ...intent(), version: read.version })).value.equals(SecretValue.text('by hand'))).toBe(true)
}

async function stale(envelopes: NonNullable<StoreAdapter['envelopes']>): Promise<number> {
  const use = (await envelopes.keks()).find(({ id }) => id === 'k1')
  return Object.values(use?.needs ?? {}).reduce((sum, rows) => sum + rows, 0)
}
