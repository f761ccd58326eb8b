import { randomBytes, randomUUID } from 'node:crypto'
import { type Ledger, openLedger } from '@keyturn/ledger'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { named, refused } from '../../packages/ledger/src/contract/subject.ts'
import { openPostgres } from '../../packages/ledger/src/postgres/open.ts'
import { startWorker, type Worker } from '../../packages/ledger/test/worker.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { ledgerGrants } from './database-scene.ts'
import { tally, tell } from './tell.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const clock = { now: () => new Date(), after: () => () => {} }
const grants = ledgerGrants('keyturn_broker')
const server = await startPostgres()
const counts = tally()

afterAll(() =>
  tell({
    adapter: 'ledger, its brokers',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`brokers that share a ledger (absent: ${server.absent})`, () => {})
else suite(server)

function suite(postgres: PostgresServer): void {
  const { url } = postgres
  const admin = new pg.Pool({ connectionString: url, max: 4 })
  // the server ends while connections are idle
  admin.on('error', () => {})
  const open: Ledger[] = []
  const workers: Worker[] = []

  beforeEach(async () => {
    await admin.query('drop schema if exists keyturn_ledger cascade')
  })
  afterEach(async () => {
    await Promise.all(workers.splice(0).map(worker => worker.end()))
    await Promise.all(open.splice(0).map(ledger => ledger.close()))
  })
  afterAll(async () => {
    await admin.end()
    await postgres.stop()
  })

  const opened = async (address = url): Promise<Ledger> => {
    const ledger = await openLedger({ url: address, data: '', clock, random })
    open.push(ledger)
    return ledger
  }
  const brokers = (count: number): Promise<readonly Ledger[]> => Promise.all(Array.from({ length: count }, () => opened()))
  const versions = async (): Promise<number> =>
    (await admin.query("select count(*)::int as n from keyturn_ledger.versions where label = 'current'")).rows[0].n

  test('three brokers and 200 due secrets make 200 versions; one that somebody holds waits, and keeps no other from its turn', async () => {
    const ledger = await opened()
    for (let index = 0; index < 200; index += 1) await ledger.secrets.ensure(named(`secret/${index}`))
    await admin.query(
      "update keyturn_ledger.secrets set next_rotation_at = (extract(epoch from now() - interval '1 second') * 1000)::bigint",
    )
    // the one whose turn is first
    await admin.query("update keyturn_ledger.secrets set next_rotation_at = 1 where name = 'secret/7'")
    const psql = await admin.connect()
    await psql.query('begin')
    await psql.query("select 1 from keyturn_ledger.secrets where name = 'secret/7' for update")
    try {
      workers.push(...['one', 'two', 'three'].map(holder => startWorker(url, holder)))
      await expect.poll(versions, { timeout: 60_000 }).toBe(199)
      expect((await ledger.secrets.byName(named('secret/7')))?.rotation).toBeNull()
    } finally {
      await psql.query('rollback')
      psql.release()
    }
    await expect.poll(versions, { timeout: 10_000 }).toBe(200)
    await Promise.all(workers.map(worker => worker.end()))
    const { rows } = await admin.query('select count(*)::int as n, count(distinct secret_id)::int as secrets from keyturn_ledger.rotations')
    expect(rows).toEqual([{ n: 200, secrets: 200 }])
    const said = workers.flatMap(worker => worker.said)
    expect(said.filter(line => line.claimed !== undefined).length).toBe(200)
    expect(said.filter(line => line.failed !== undefined)).toEqual([])
    expect(new Set(said.map(line => line.holder)).size).toBe(3)
  })

  test('of brokers that promote at the same moment one does, round for round', async () => {
    const ledgers = await brokers(4)
    const [first] = ledgers
    let from: string | null = null
    for (let round = 0; round < 10; round += 1) {
      const ids = ledgers.map((_, index) => `k${round}-${index}`)
      await Promise.all(ledgers.map((ledger, index) => ledger.keks.meet([{ id: ids[index] ?? '', fingerprint: `print ${ids[index]}` }])))
      const known = from
      const done = await Promise.all(
        ledgers.map((ledger, index) => ledger.keks.promote(ids[index] ?? '', { from: known, allows: () => true })),
      )
      expect(done.filter(Boolean).length).toBe(1)
      const active = (await first?.keks.all())?.filter(({ state }) => state === 'active').map(({ id }) => id)
      expect(active).toEqual(ids.filter((_, index) => done[index]))
      from = active?.[0] ?? null
    }
  })

  test('brokers that meet a key of the same id at the same moment agree on one, and the others are told', async () => {
    const ledgers = await brokers(4)
    const met = await Promise.allSettled(ledgers.map((ledger, index) => ledger.keks.meet([{ id: 'k1', fingerprint: `print ${index}` }])))
    expect(met.filter(({ status }) => status === 'fulfilled').length).toBe(1)
    expect(met.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason.code] : []))).toEqual(
      Array(3).fill('precondition_failed'),
    )
  })

  test('a broker that begins while a KEK becomes current is counted, or sees it: it never misses both', async () => {
    const [promoting, beginning] = await brokers(2)
    if (promoting === undefined || beginning === undefined) return expect.fail('two brokers')
    for (let round = 0; round < 25; round += 1) {
      const [former, next] = [`old-${round}`, `new-${round}`]
      await promoting.keks.meet([former, next].map(id => ({ id, fingerprint: `print ${id}` })))
      const active = (await promoting.keks.all()).find(({ state }) => state === 'active')?.id ?? null
      expect(await promoting.keks.promote(former, { from: active, allows: () => true })).toBe(true)
      const id = `instance-${round}`
      const begin = async () => {
        await beginning.instances.beat({ id, loaded: [former], wanted: former, using: former, version: '1' })
        return (await beginning.keks.all()).find(({ state }) => state === 'active')?.id
      }
      const holds = {
        from: former,
        allows: (live: readonly { readonly loaded: readonly string[] }[]) => live.every(({ loaded }) => loaded.includes(next)),
      }
      const [promoted, seen] = await Promise.all([promoting.keks.promote(next, holds), begin()])
      expect(seen).toBe(promoted ? next : former)
      await beginning.instances.signOff(id)
    }
  })

  test('brokers that ask for a campaign at the same moment share one; its target stands when they ask for others', async () => {
    const ledgers = await brokers(4)
    const request = { kind: 'rewrap', principal: 'token:ops', reason: 'because', state: 'running' } as const
    for (let round = 0; round < 10; round += 1) {
      const joined = await Promise.all(ledgers.map(ledger => ledger.campaigns.open({ ...request, kekId: `k${round}` })))
      expect(new Set(joined.map(({ id }) => id)).size).toBe(1)
      await Promise.all(ledgers.map((ledger, index) => ledger.campaigns.open({ ...request, kekId: `k${round}-${index}` })))
      const { rows } = await admin.query(
        "select count(*) filter (where finished_at is null)::int as open, count(*)::int as n from keyturn_ledger.campaigns where kind = 'rewrap'",
      )
      expect(rows).toEqual([{ open: 1, n: (round + 1) * 5 }])
    }
    const orphans = 'select 1 from keyturn_ledger.operations where id not in (select id from keyturn_ledger.campaigns)'
    expect((await admin.query(orphans)).rows).toEqual([])
  })

  test('reservations of many brokers add up', async () => {
    const ledgers = await brokers(4)
    await ledgers[0]?.keks.meet([{ id: 'k1', fingerprint: 'print' }])
    const sums = await Promise.all(Array.from({ length: 80 }, (_, index) => ledgers[index % 4]?.keks.reserve('k1', 65_536)))
    expect(sums.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 80 }, (_, index) => (index + 1) * 65_536))
  })

  describe('a role with the rights of the documents', () => {
    const password = randomBytes(16).toString('hex')
    const limited = url.replace(/\/\/[^@]+@/, `//keyturn_broker:${password}@`)

    beforeEach(async () => {
      await admin.query(`drop role if exists keyturn_broker; create role keyturn_broker login password '${password}'`)
    })
    afterEach(async () => {
      await admin.query('drop owned by keyturn_broker')
    })

    test('changes no schema, and deletes nothing that must stay', async () => {
      await (await opened()).check()
      await admin.query(grants)
      const role = new pg.Pool({ connectionString: limited, max: 1 })
      const kept = [
        'secrets',
        'rotations',
        'versions',
        'revocations',
        'operations',
        'tokens',
        'sealed_records',
        'keks',
        'kek_lives',
        'campaigns',
        'ledger',
      ]
      const attempts = [
        'create table keyturn_ledger.mine (a int)',
        'alter table keyturn_ledger.secrets add column mine int',
        'alter table keyturn_ledger.versions disable trigger all',
        'drop schema keyturn_ledger cascade',
        'insert into keyturn_ledger.migrations values (99, $$later$$, 0)',
        'delete from keyturn_ledger.kek_rows',
        ...kept.flatMap(table => [`delete from keyturn_ledger.${table}`, `truncate keyturn_ledger.${table} cascade`]),
      ]
      try {
        for (const attempt of attempts) await expect(role.query(attempt), attempt).rejects.toMatchObject({ code: '42501' })
      } finally {
        await role.end()
      }
    })

    test('cannot open a schema that is not up to date, and is told so', async () => {
      const missing = await refused('precondition_failed', openPostgres(limited, { random }))
      expect(missing.message).not.toContain(password)
      await opened()
      await admin.query(grants)
      await admin.query('delete from keyturn_ledger.migrations where number = (select max(number) from keyturn_ledger.migrations)')
      const older = await refused('precondition_failed', openPostgres(limited, { random }))
      expect(older.hint).toContain('the role that owns the schema')
    })
  })
}
