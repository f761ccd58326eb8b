import { createSecretKey, randomBytes } from 'node:crypto'
import { open } from '@keyturn/adapter-database'
import { Store, type StorePath } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import pg from 'pg'
import { systemClock } from '../../packages/broker/src/clock.ts'
import { pooledRandom } from '../../packages/broker/src/random.ts'
import type { BenchBroker } from './rewrap-broker.ts'
import { median, type Row } from './row.ts'

const inFlight = 32
const connections = 8
const count = 10_000
const names = 5_000
const rounds = 7

/** Reads from the sealed store by its port, nothing cached, against a bare select of the same row through a pool of the same size. */
export async function sealedReads(url: string, broker: BenchBroker): Promise<readonly Row[]> {
  const keyring = new Keyring({ keks: broker.keyObjects, current: broker.current })
  const context = { clock: systemClock, random: pooledRandom(), etagKey: createSecretKey(randomBytes(32)), data: broker.folder }
  const adapter = await open({ url, maxInFlight: connections }, context, { keyring })
  const store = new Store(adapter, { name: 'database', clock: systemClock, timeoutMs: 30_000 })
  const pool = new pg.Pool({ connectionString: url, max: connections })
  const statement = `select s.id, s.revision, v.number, v.created_at, v.kek_id, v.kind, v.payload, v.wrap
    from keyturn_store.secrets s join keyturn_store.versions v on v.secret = s.number and v.label = 'current' where s.path = $1 and s.deleted_at is null`
  const pathOf = (at: number) => `bench/${1_000 + (at % names)}`
  const [sealed, bare]: [number[], number[]] = [[], []]
  try {
    for (let round = 0; round < rounds; round += 1) {
      bare.push(await rate(at => pool.query(statement, [pathOf(at)])))
      // the path is a name of the fill
      sealed.push(await rate(at => store.read(pathOf(at) as StorePath)))
    }
  } finally {
    await Promise.all([store.close(), pool.end()])
  }
  return [
    {
      what: `sealed values read on PostgreSQL, ${inFlight} at once`,
      value: median(sealed.slice(1)),
      unit: 'a second',
      ratio: median(sealed.slice(1)) / median(bare.slice(1)),
      of: 'a bare select through a pool',
    },
  ]
}

async function rate(read: (at: number) => Promise<unknown>): Promise<number> {
  let at = 0
  const begun = performance.now()
  const lane = async () => {
    while (at < count) {
      at += 1
      await read(at)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  return (count / (performance.now() - begun)) * 1_000
}
