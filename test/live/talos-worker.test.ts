import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../e2e/harness.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { SeededRandom } from '../simulation/random.ts'
import { Fleet, type Member } from './campaigns/fleet.ts'
import { spoiling } from './database-scene.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()
const counts = tally()
const kills = 20
const seed = process.env.KEYTURN_CAMPAIGN_SEED ?? randomBytes(4).toString('hex')
afterAll(() =>
  tell({
    adapter: 'the worker of talos, three brokers',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`the worker of three brokers (absent: ${server.absent})`, () => {})
else suite(server)

const names = (group: string, count: number) => Array.from({ length: count }, (_, at) => `${group}/key-${at}`)
const due = names('due', 200)
const mortal = names('mortal', 60)
const url = '$' + '{DATABASE_URL}'
// as in configs/talos, with more that is made and renewed here
const config = `environment: production
broker: { ledger: "${url}", keys: { provider: env, prefix: TALOS }, backups: { before: [] } }
database: { url: "${url}" }
secrets:
${[...due, ...mortal].map(name => `  ${name}: { type: service-token }`).join('\n')}
rotation: { every: 30d, grace: 24h }
`

interface Row {
  readonly path: string
  readonly number: number
  readonly label: string | null
  readonly kek: string
}

function suite(postgres: PostgresServer): void {
  const admin = new pg.Pool({ connectionString: postgres.url, max: 4 })
  admin.on('error', () => {})
  let fleet: Fleet

  const versionsOf = async (group: string): Promise<readonly Row[]> =>
    (
      await admin.query<Row>(
        `select s.path, v.number::int, v.label, v.kek_id as kek from keyturn_store.versions v join keyturn_store.secrets s on s.number = v.secret
         where s.path like $1 order by 1, 2`,
        [`${group}/%`],
      )
    ).rows
  const second = async (group: string) => (await versionsOf(group)).filter(({ number, label }) => number >= 2 && label === 'current')
  /** The records of all chains that tell of a promotion, by secret. */
  const promotions = (): ReadonlyMap<string, number> => {
    const found = new Map<string, number>()
    for (const { place } of fleet.members) {
      for (const line of place.read('data/audit.jsonl').split('\n')) {
        if (!line.includes('"rotation.promoted"')) continue
        const { secret } = JSON.parse(line) as { secret: string }
        found.set(secret, (found.get(secret) ?? 0) + 1)
      }
    }
    return found
  }

  beforeAll(async () => {
    const kek = () => randomBytes(32).toString('base64url')
    fleet = await Fleet.make(3, config, {
      DATABASE_URL: postgres.url,
      TALOS_KEK_v1: kek(),
      TALOS_KEK_v2: kek(),
      TALOS_CURRENT_KEK_ID: 'v2',
      ROTATION_WORKER_SLEEP_SEC: '1',
      KEYTURN_LOG_LEVEL: 'warn',
    })
    for (const member of fleet.members) await member.start()
    await until(
      'every secret has its first version',
      async () => ((await versionsOf('due')).length + (await versionsOf('mortal')).length === 260 ? true : undefined),
      120_000,
    )
    // none of them is open any more
    await until(
      'first rotations are over',
      async () => {
        const { rows } = await admin.query('select count(*)::int as n from keyturn_ledger.rotations where finished_at is null')
        return rows[0].n === 0 ? true : undefined
      },
      60_000,
    )
  }, 200_000)
  afterAll(async () => {
    for (const member of fleet?.members ?? []) await member.kill()
    fleet?.remove()
    await admin.end()
    await postgres.stop()
  })

  test('200 that are due at once are rotated once each, under the current KEK; one that is held waits, and the others go on', async () => {
    const held = due[77] ?? ''
    const holder = await admin.connect()
    try {
      await admin.query(
        "update keyturn_ledger.secrets set next_rotation_at = (extract(epoch from now()) * 1000)::bigint + 3000 where name like 'due/%'",
      )
      await holder.query('begin')
      await holder.query('select 1 from keyturn_ledger.secrets where name = $1 for update', [held])
      await until('199 are rotated', async () => ((await second('due')).length === 199 ? true : undefined), 120_000)
      expect((await second('due')).some(({ path }) => path === held)).toBe(false)
    } finally {
      await holder.query('rollback')
      holder.release()
    }
    await until('the one that was held is rotated', async () => ((await second('due')).length === 200 ? true : undefined), 60_000)
    // several looks later nobody has rotated anything again, nor will before its time
    await pause(4_000)
    const versions = await versionsOf('due')
    expect(versions).toHaveLength(400)
    expect(versions.filter(({ kek }) => kek !== 'v2')).toEqual([])
    expect(versions.filter(({ label }) => label === 'previous')).toHaveLength(200)
    const { rows } = await admin.query(
      "select min(next_rotation_at - (extract(epoch from now()) * 1000)::bigint) / 86400000.0 as days from keyturn_ledger.secrets where name like 'due/%'",
    )
    expect(Number(rows[0].days)).toBeGreaterThan(29)
    await until('every promotion is in a chain', () => (due.every(name => (promotions().get(name) ?? 0) >= 2) ? true : undefined), 30_000)
    // the first version, and this one
    expect(due.filter(name => promotions().get(name) !== 2)).toEqual([])
  }, 300_000)

  test(`${kills} kills at any moment (seed ${seed}): one current each, old and new readable, and no version without its record`, async () => {
    const starting = new Set<Promise<void>>()
    const random = new SeededRandom(seed)
    // promoted a period ago: a start counts the due time anew from that
    await spoiling(postgres.url)(`update keyturn_ledger.versions set created_at = created_at - 31 * 86400000::bigint
      where secret_id in (select id from keyturn_ledger.secrets where name like 'mortal/%')`)
    await admin.query(
      "update keyturn_ledger.secrets set next_rotation_at = (extract(epoch from now()) * 1000)::bigint + floor(random() * 5000)::bigint where name like 'mortal/%'",
    )
    for (let killed = 0; killed < kills; ) {
      await pause(random.fraction() * 700)
      const up = fleet.members.filter(member => member.up)
      const victim: Member | undefined = up[Math.floor(random.fraction() * up.length)]
      if (victim === undefined) continue
      killed += 1
      await victim.kill()
      const begun: Promise<void> = victim.start().finally(() => starting.delete(begun))
      starting.add(begun)
      begun.catch(() => undefined)
    }
    await Promise.all(starting)
    await until('all are rotated', async () => ((await second('mortal')).length === mortal.length ? true : undefined), 200_000)
    const versions = await versionsOf('mortal')
    for (const name of mortal) {
      const own = versions.filter(({ path }) => path === name)
      expect([name, own.filter(({ label }) => label === 'current').length]).toEqual([name, 1])
      expect([name, own.length]).toEqual([name, 2])
      const path = `/v1/secrets/${name}`
      const [now, before] = [await fleet.look(path), await fleet.look(`${path}?stage=previous`)]
      expect([now.status, before.status, now.body.value === before.body.value]).toEqual([200, 200, false])
    }
    const { rows } = await admin.query(
      "select secret_id from keyturn_ledger.versions where label = 'current' group by 1 having count(*) > 1",
    )
    expect(rows).toEqual([])
    await until(
      'every promotion is in a chain',
      () => (mortal.every(name => (promotions().get(name) ?? 0) >= 2) ? true : undefined),
      60_000,
    )
  }, 600_000)
}
