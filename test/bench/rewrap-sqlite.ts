import { createSecretKey, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { SecretId } from '@keyturn/core'
import { SecretValue } from '@keyturn/core'
import { EnvelopeSealer, Keyring } from '@keyturn/envelope'
import { pooledRandom } from '../../packages/broker/src/random.ts'
import type { BenchBroker } from './rewrap-broker.ts'
import { fingerprint, sealedRows } from './rewrap-rows.ts'

const pageRows = 100
const cryptoRows = 20_000

function withFile<T>(broker: BenchBroker, act: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(broker.folder, 'data/secrets.db'))
  try {
    database.exec('pragma journal_mode = wal; pragma locking_mode = exclusive; pragma synchronous = full; pragma secure_delete = on')
    return act(database)
  } finally {
    database.close()
  }
}

/** A file as the broker makes it, filled with sealed rows under its first KEK. */
export async function fillFile(broker: BenchBroker, count: number): Promise<void> {
  await broker.start()
  await broker.ask('PUT', '/v1/secrets/bench/first', { value: 'first' })
  await broker.stop()
  withFile(broker, database => {
    const { id } = database.prepare('select id from store').get() as { id: string }
    const secret = database.prepare('insert into secrets (number, id, path, revision) values (?, ?, ?, 1)')
    const version = database.prepare(
      `insert into versions (secret, number, kind, label, created_at, intent, fingerprint, kek_id, payload, wrap)
       values (?, 1, 'text', 'current', ?, 'bench', ?, ?, ?, ?)`,
    )
    for (const page of sealedRows(broker, id, count, 1_000)) {
      database.exec('begin immediate')
      for (const row of page) {
        secret.run(row.number, row.id, row.path)
        version.run(row.number, 1_767_225_600_000 + row.number, fingerprint, row.kekId, row.payload, row.wrap)
      }
      database.exec('commit')
    }
  })
}

/** The limit of the file: the paged updates with bytes that are there already, there and back. Rows a second, the slower of the two. */
export function bareInFile(broker: BenchBroker): number {
  return withFile(broker, database => {
    database.exec("insert into keks (id) values ('bench') on conflict (id) do nothing")
    return Math.min(bare(database, 'bench'), bare(database, broker.current))
  })
}

function bare(database: DatabaseSync, to: string): number {
  const page = database.prepare(
    `select t.secret, t.number, s.id, t.kek_id, t.wrap from versions t join secrets s on s.number = t.secret
     where t.kek_id <> ? and (t.secret, t.number) > (?, ?) order by t.secret, t.number limit ${pageRows}`,
  )
  const update = database.prepare('update versions set kek_id = ?, wrap = ? where secret = ? and number = ? and kek_id = ? and wrap = ?')
  let [secret, number, count] = [0, 0, 0]
  const begun = performance.now()
  for (;;) {
    // the columns of the statement above
    const rows = page.all(to, secret, number) as { secret: number; number: number; kek_id: string; wrap: Uint8Array }[]
    database.exec('begin immediate')
    for (const row of rows) update.run(to, row.wrap, row.secret, row.number, row.kek_id, row.wrap)
    database.exec('commit')
    count += rows.length
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageRows) return (count / (performance.now() - begun)) * 1_000
    ;[secret, number] = [last.secret, last.number]
  }
}

/** Re-wraps a second on this processor, with no database. */
export function cryptoAlone(): number {
  const keks = new Map(['k1', 'k2'].map(id => [id, createSecretKey(randomBytes(32))]))
  const sealer = new EnvelopeSealer({
    keyring: new Keyring({ keks, current: 'k1' }),
    random: pooledRandom(),
    store: 'db_bench',
    meter: null,
  })
  const slot = { secretId: `sec_${'0'.repeat(26)}` as SecretId, number: 1, kind: 'text' } as const
  const sealed = sealer.seal(slot, SecretValue.text('value'))
  const begun = performance.now()
  for (let at = 0; at < cryptoRows; at += 1) sealer.rewrapped(slot, sealed, 'k2')
  return (cryptoRows / (performance.now() - begun)) * 1_000
}
