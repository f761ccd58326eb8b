import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BrokerError, type OperationId, type RotationId, secretName } from '@keyturn/core'
import { migrate } from '@keyturn/sql'
import { SqliteDatabase } from '@keyturn/sql/sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { refused } from '../contract/subject.ts'
import { SqlLedger } from '../sql/ledger.ts'
import { migrations } from '../sql/migrations.ts'
import { openSqlite } from './open.ts'

const clock = { now: () => new Date('2026-01-01T00:01:00Z'), after: () => () => {} }
const random = { bytes: (count: number) => new Uint8Array(count), uuid: () => '00000000-0000-4000-8000-000000000000' }
const fixtures = join(import.meta.dirname, 'fixtures')
const folder = mkdtempSync(join(tmpdir(), 'keyturn-migration-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A data folder with the ledger that an earlier version left. */
function left(version: number): string {
  const data = mkdtempSync(join(folder, 'data-'))
  const database = new DatabaseSync(join(data, 'ledger.db'))
  database.exec(readFileSync(join(fixtures, `schema-${String(version).padStart(4, '0')}.sql`), 'utf8'))
  database.close()
  return data
}

function schemaOf(data: string): unknown {
  const database = new DatabaseSync(join(data, 'ledger.db'))
  const schema = database.prepare("select type, name, sql from sqlite_master where name not like 'sqlite_%' order by type, name").all()
  database.close()
  return schema
}

async function migrated(upTo: number): Promise<string> {
  const data = mkdtempSync(join(folder, 'data-'))
  const database = new SqliteDatabase({ file: join(data, 'ledger.db'), clock, what: 'ledger' })
  await database.transaction(async tx => {
    await migrate(tx, migrations.slice(0, upTo), 'ledger')
    await SqlLedger.name(tx, random)
  })
  await database.close()
  return data
}

test('every version of the schema has a ledger that it left', () => {
  expect(readdirSync(fixtures).length).toBe(migrations.length)
  expect(migrations.map(({ number }) => number)).toEqual(migrations.map((_, index) => index + 1))
})

describe.each(migrations.map(({ number }) => number))('a ledger that version %i of the schema left', version => {
  test('has the schema that its migrations make to this day', async () => {
    expect(schemaOf(left(version))).toEqual(schemaOf(await migrated(version)))
  })

  test("has today's schema once it is opened", async () => {
    const data = left(version)
    await (await openSqlite(data, clock, random)).close()
    expect(schemaOf(data)).toEqual(schemaOf(await migrated(migrations.length)))
  })

  test('loses nothing when it is opened', async () => {
    const ledger = await openSqlite(left(version), clock, random)
    expect(ledger.id).toBe('0b9f3f0e-6f3e-4c39-9a53-0f9f3d3d1a11')
    const stripe = await ledger.secrets.byName(secretName('payments/stripe'))
    expect(stripe).toMatchObject({ type: 'api-key', labels: { tier: 'gold' }, nextRotationAt: new Date(1767312000000) })
    const rotation = await ledger.journal.rotation('rot_00000000000000000000000002' as RotationId)
    expect(stripe?.rotation).toEqual(rotation)
    expect(rotation).toMatchObject({
      state: 'grace',
      hold: { kind: 'waiting', for: 'grace' },
      wish: 'rollback',
      approved: true,
      base: { number: 2, version: 'v2', etag: 'e2' },
    })
    const versions = await ledger.journal.versions(rotation.secretId)
    expect(versions.map(({ label, fate }) => [label, fate])).toEqual([
      ['current', null],
      ['previous', null],
      [null, 'quarantined'],
    ])
    expect(versions[1]?.sealed).toEqual({ kekId: 'k1', payload: Uint8Array.of(5, 6), wrap: Uint8Array.of(7, 8) })
    expect(await ledger.journal.revocations(rotation.id)).toMatchObject([{ number: 2, state: 'pending', dueAt: new Date(1767229200000) }])
    expect(await ledger.outbox.pending(9)).toMatchObject([{ id: 7, action: 'rotation.promoted', version: 'v3' }])
    expect(await ledger.secrets.unfinishedWrites()).toMatchObject([{ number: 1, idempotencyKey: 'w1', superseded: null }])
    const operation = await ledger.operations.byId('op_00000000000000000000000001' as OperationId)
    expect(operation?.items.map(item => item.rotation?.id ?? item.error?.code)).toEqual([rotation.id, 'unsupported'])
    expect((await ledger.tokens.list()).map(({ id, revokedAt }) => [id, revokedAt !== null])).toEqual([
      ['t1', false],
      ['t2', true],
    ])
    expect(await ledger.tokens.revision()).toBe(2)
    const answered = { principal: 'token:ci', route: 'POST /rotate', key: 'k1', bodyHash: Uint8Array.of(1) }
    expect(await ledger.idempotency.begin(answered)).toEqual({ status: 202, body: '{}' })
    expect(await ledger.sealed.get('root')).toEqual({ kekId: 'k1', payload: Uint8Array.of(13, 14), wrap: Uint8Array.of(15, 16) })
    await ledger.close()
  })

  test('knows the KEKs that its rows need, and how many do', async () => {
    const ledger = await openSqlite(left(version), clock, random)
    const needs = { journal: 1, pending: 2, records: 1 }
    const [k1] = (await ledger.envelopes.keks()).filter(({ id }) => id === 'k1')
    expect(k1).toMatchObject({ needs, oldest: new Date(1767100000000) })
    await ledger.keks.meet([{ id: 'k1', fingerprint: 'f1' }])
    await ledger.keks.promote('k1', { from: null, allows: () => true })
    expect(await ledger.keks.all()).toContainEqual(expect.objectContaining({ id: 'k1', fingerprint: 'f1', state: 'active' }))
    await ledger.keks.meet([{ id: 'k2', fingerprint: 'f2' }])
    await ledger.keks.promote('k2', { from: 'k1', allows: () => true })
    expect((await refused('conflict', ledger.keks.move('k1', 'retired'))).detail).toEqual({ kekId: 'k1', needs })
    await ledger.close()
  })

  test('goes on where it was', async () => {
    const ledger = await openSqlite(left(version), { ...clock, now: () => new Date(1767229200000) }, random)
    const lease = await ledger.journal.claim({ holder: 'w', leaseMs: 1_000 })
    expect(lease).toMatchObject({ abandoned: true, rotation: { epoch: 4, state: 'grace' } })
    if (lease === null) return
    expect(await ledger.journal.reserve(lease)).toBe(4)
    const event = { action: 'next', outcome: 'allowed', version: null, code: null } as const
    await ledger.journal.record(lease, { rotation: { state: 'revoking' }, events: [event] })
    expect((await ledger.outbox.pending(9)).map(({ id }) => id)).toEqual([7, 8])
    await ledger.close()
  })
})

test('a ledger that version 4 of the schema left keeps the lives of its KEKs, its campaigns and its backups', async () => {
  const ledger = await openSqlite(left(4), clock, random)
  const at = (ms: number) => new Date(1767225500000 + ms)
  const wrapped = { provider: 'vault-transit', key: 'keyturn:3', bytes: Uint8Array.of(0x11, 0x12) }
  expect(await ledger.keks.all()).toMatchObject([
    { id: 'k0', fingerprint: 'f0', state: 'retired', stateAt: at(20_000), wrapped: null },
    { id: 'k1', fingerprint: 'f1', state: 'active', metAt: at(0), currentSince: at(10_000), changes: [{}, { state: 'active' }], wrapped },
  ])
  expect(await ledger.keks.reserve('k1', 1)).toBe(65_537)
  expect(await ledger.instances.live()).toMatchObject([{ id: 'i1', startedAt: at(0), loaded: ['k0', 'k1'], using: 'k1' }])
  const [scrub] = await ledger.campaigns.unfinished()
  expect(scrub).toMatchObject({ kind: 'scrub', kekId: null, state: 'running', principal: 'broker', reason: 'daily', note: 'a note' })
  expect(await ledger.envelopes.progress(scrub?.id ?? '')).toMatchObject({ total: 4, over: false })
  expect(await ledger.backups.all()).toMatchObject([
    {
      file: '/backups/1.jsonl',
      host: 'broker-1',
      bytes: 2048,
      sha256: 'aa',
      versions: 3,
      keks: { k0: 1, k1: 2 },
      keepUntil: new Date(1767312000000),
    },
  ])
  await ledger.close()
})

test('a schema newer than this build is refused, and left as it is', async () => {
  const data = await migrated(migrations.length)
  const file = new DatabaseSync(join(data, 'ledger.db'))
  file.exec("insert into migrations values (99, 'later', 0)")
  file.close()
  const error = await refused('precondition_failed', openSqlite(data, clock, random))
  expect(error.message).toBe(`ledger: the schema is 99, newer than the ${migrations.length} that this build knows`)
  const again = await refused('precondition_failed', openSqlite(data, clock, random))
  expect(again).toBeInstanceOf(BrokerError)
})

test('a migration that fails in the middle leaves the schema before it', async () => {
  const data = await migrated(1)
  const before = schemaOf(data)
  const database = new SqliteDatabase({ file: join(data, 'ledger.db'), clock, what: 'ledger' })
  const failing = [
    ...migrations.slice(0, 1),
    { number: 2, name: 'failing', statements: () => ['create table half (a integer)', 'create table half (a integer)'] },
  ]
  await refused(
    'internal',
    database.transaction(tx => migrate(tx, failing, 'ledger')),
  )
  await database.close()
  expect(schemaOf(data)).toEqual(before)
})
