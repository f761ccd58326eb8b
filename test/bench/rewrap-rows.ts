import { randomBytes } from 'node:crypto'
import { type SecretId, SecretValue } from '@keyturn/core'
import { EnvelopeSealer, Keyring } from '@keyturn/envelope'
import { pooledRandom } from '../../packages/broker/src/random.ts'
import type { BenchBroker } from './rewrap-broker.ts'

/** A row as both databases keep it. */
export interface FilledRow {
  readonly number: number
  readonly id: SecretId
  readonly path: string
  readonly kekId: string
  readonly payload: Uint8Array
  readonly wrap: Uint8Array
}

/** Really sealed rows, in pages: secrets `bench/<number>` of one version each. */
export function* sealedRows(broker: BenchBroker, store: string, count: number, first: number): Generator<readonly FilledRow[]> {
  const keyring = new Keyring({ keks: broker.keyObjects, current: broker.current })
  const sealer = new EnvelopeSealer({ keyring, random: pooledRandom(), store, meter: null })
  const pageRows = 5_000
  for (let at = 0; at < count; at += pageRows) {
    yield Array.from({ length: Math.min(pageRows, count - at) }, (_, index) => {
      const number = first + at + index
      const id = `sec_${String(number).padStart(26, '0')}` as SecretId
      const { kekId, payload, wrap } = sealer.seal({ secretId: id, number: 1, kind: 'text' }, SecretValue.text(`value ${number}`))
      return { number, id, path: `bench/${number}`, kekId, payload, wrap }
    })
  }
}

export const fingerprint = randomBytes(32)
