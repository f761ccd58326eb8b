import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { makeKeyFile, openRestore, promoteKeyFile, type RestorePlan, type RestoreRow, readConfig } from '@keyturn/broker'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { Place, type Running, start, until } from '../e2e/harness.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { Fleet, type Member } from './campaigns/fleet.ts'
import { keysIn, sealerFor, seed } from './campaigns/rows.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()
const counts = tally()
afterAll(() =>
  tell({
    adapter: 'backups',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`backups of PostgreSQL (absent: ${server.absent})`, () => {})
else suite(server)

function suite(postgres: PostgresServer): void {
  const admin = new pg.Pool({ connectionString: postgres.url, max: 3 })
  admin.on('error', () => {})
  const databases: pg.Pool[] = []
  const reference = '$' + '{DATABASE_URL}'
  let place: Place
  let keys: string
  let brokers: Running[]

  beforeEach(() => {
    place = new Place()
    keys = mkdtempSync(join(tmpdir(), 'keyturn-keys-'))
    brokers = []
    makeKeyFile(keys, 'k1')
    promoteKeyFile(keys, 'k1')
    const broker = `broker: { ledger: "${reference}", keys: { provider: file, folder: ${keys} } }\n`
    place.write('keyturn.yaml', `${broker}database: { url: "${reference}" }\n`)
    place.write('embedded.yaml', `broker: { keys: { provider: file, folder: ${keys} } }\ndatabase: {}\n`)
  })
  afterEach(async () => {
    await Promise.all(brokers.map(broker => broker.stop()))
    place.remove()
    rmSync(keys, { recursive: true })
  })
  afterAll(async () => {
    await Promise.all([admin, ...databases].map(pool => pool.end()))
    await postgres.stop()
  })

  /** An empty database of the server. */
  async function database(): Promise<{ readonly url: string; readonly pool: pg.Pool }> {
    const name = `backups_${randomBytes(4).toString('hex')}`
    await admin.query(`create database ${name}`)
    const url = Object.assign(new URL(postgres.url), { pathname: `/${name}` }).href
    const pool = new pg.Pool({ connectionString: url, max: 3 })
    pool.on('error', () => {})
    databases.push(pool)
    return { url, pool }
  }

  async function started(url: string, data = 'data'): Promise<Running> {
    const broker = await start(place, { DATABASE_URL: url, KEYTURN_DATA: join(place.folder, data) })
    brokers.push(broker)
    return broker
  }

  interface Target {
    readonly config: string
    readonly data: string
    readonly url: string
  }

  /** A restore to where a config and a data folder lead; read back, unless what is different there stays. */
  async function restored(bundle: string, { config: name, data, url }: Target, isReadBack = true): Promise<readonly RestoreRow[]> {
    const env = { KEYTURN_DATA: join(place.folder, data), DATABASE_URL: url }
    const config = await readConfig({ config: join(place.folder, name), cwd: place.folder, env })
    const { signal } = new AbortController()
    const restore = await openRestore({ config, bundle, overwrite: false, partial: false, env, signal }, false)
    try {
      const rows: RestoreRow[] = []
      await restore.run(row => void rows.push(row))
      if (isReadBack) await restore.verify(row => expect.fail(`${row.name}: ${row.action} ${row.why}`))
      return rows
    } finally {
      await restore.close()
    }
  }

  /** Puts secrets into the store of a broker, many at a time. */
  async function filled(pool: pg.Pool, broker: Pick<Running, 'ask'>, names: readonly string[], value: string): Promise<void> {
    // the store learns of the KEK by the first
    const [first = '', ...others] = names
    expect((await broker.ask('PUT', `/v1/secrets/${first}`, { body: { value } })).status).toBe(201)
    const sealer = await sealerFor(pool, keysIn(keys, ['k1']), 'k1')
    for (let at = 0; at < others.length; at += 2_000)
      await seed(
        pool,
        sealer,
        others.slice(at, at + 2_000).map(path => ({ path, value })),
      )
  }

  async function drilled(bundle: string, url: string, data = 'drill'): Promise<RestorePlan> {
    const env = { KEYTURN_DATA: join(place.folder, data), DATABASE_URL: url }
    const config = await readConfig({ config: join(place.folder, 'embedded.yaml'), cwd: place.folder, env })
    const restore = await openRestore({ config, bundle, overwrite: false, partial: false, env, signal: new AbortController().signal }, true)
    try {
      return await restore.drill(() => undefined)
    } finally {
      await restore.close()
    }
  }

  const histories = (pool: pg.Pool) =>
    pool
      .query(
        `select s.path, count(*)::int as versions, max(v.number)::int as last, count(*) filter (where v.label = 'current')::int as current,
         max(v.number) filter (where v.label = 'current')::int as shown
         from keyturn_store.secrets s join keyturn_store.versions v on v.secret = s.number group by s.path order by s.path`,
      )
      .then(({ rows }) => rows as { path: string; versions: number; last: number; current: number; shown: number }[])

  test('made while others write, each secret is of one moment; it comes back into PostgreSQL, into a file, and changes nothing where it was made', async () => {
    const { url, pool } = await database()
    const broker = await started(url)
    const names = Array.from({ length: 40 }, (_, at) => `app/s${at}`)
    const written = new Map(names.map(name => [name, 0]))
    const write = async (name: string) => {
      const number = (written.get(name) ?? 0) + 1
      const { status, text } = await broker.ask('PUT', `/v1/secrets/${name}`, { body: { value: `${name}-${number}` } })
      expect(status, text).toBeLessThan(300)
      written.set(name, number)
    }
    for (let round = 0; round < 3; round += 1) await Promise.all(names.map(write))
    let isOver = false
    // each writer has its own names: what it wrote last is known
    const writers = [0, 1, 2, 3].map(async lane => {
      for (let at = lane; !isOver; at = (at + 4) % names.length) await write(names[at] ?? '')
    })
    await pause(200)
    const acknowledged = new Map(written)
    const made = await broker.ask('POST', '/admin/v1/backups', { body: { reason: 'while others write' } })
    const begun = new Map(written)
    isOver = true
    await Promise.all(writers)
    expect(made.status, made.text).toBe(201)
    expect([...begun.values()].reduce((sum, each) => sum + each)).toBeGreaterThan(
      [...acknowledged.values()].reduce((sum, each) => sum + each),
    )
    const { file } = made.body as { file: string }

    const same = await restored(file, { config: 'keyturn.yaml', data: 'data', url }, false)
    expect(new Set(same.map(({ action }) => action)).has('new')).toBe(false)
    const before = await histories(pool)
    expect(before.map(({ path, versions }) => [path, versions])).toEqual([...written].sort(([a], [b]) => (a < b ? -1 : 1)))

    const empty = await database()
    const there = await restored(file, { config: 'keyturn.yaml', data: 'there', url: empty.url })
    expect(new Set(there.map(({ action }) => action))).toEqual(new Set(['new']))
    for (const { path, versions, last, current, shown } of await histories(empty.pool)) {
      // from the first to one that was the last at some moment: none is missing, and what is shown is the newest
      expect([path, last, current, shown]).toEqual([path, versions, 1, versions])
      expect(versions).toBeGreaterThanOrEqual(acknowledged.get(path) ?? 0)
      expect(versions).toBeLessThanOrEqual(begun.get(path) ?? 0)
    }
    const other = await started(empty.url, 'there')
    for (const { path, versions } of await histories(empty.pool)) {
      expect((await other.ask('GET', `/v1/secrets/${path}`)).body.value).toBe(`${path}-${versions}`)
    }
    expect((await restored(file, { config: 'keyturn.yaml', data: 'there', url: empty.url })).map(({ action }) => action)).toEqual(
      names.map(() => 'same'),
    )

    const embedded = { config: 'embedded.yaml', data: 'embedded', url }
    expect(new Set((await restored(file, embedded)).map(({ action }) => action))).toEqual(new Set(['new']))
    expect(new Set((await restored(file, embedded)).map(({ action }) => action))).toEqual(new Set(['same']))
  })

  test('what is deleted, written or equal where it was made is told, and nothing there is changed', async () => {
    const { url, pool } = await database()
    const broker = await started(url)
    for (const name of ['a', 'b', 'c']) await broker.ask('PUT', `/v1/secrets/${name}`, { body: { value: `${name}-1` } })
    const { file } = (await broker.ask('POST', '/admin/v1/backups', { body: {} })).body
    await broker.ask('PUT', '/v1/secrets/b', { body: { value: 'later' } })
    const before = await histories(pool)
    const rows = await restored(file, { config: 'keyturn.yaml', data: 'data', url }, false)
    expect(rows.map(({ name, action, versions }) => [name, action, versions]).sort()).toEqual([
      ['a', 'same', 0],
      ['b', 'different', 0],
      ['c', 'same', 0],
    ])
    expect(await histories(pool)).toEqual(before)
  })

  test('of more than 200 MB takes less than half of that in memory, garbage included', async () => {
    const { url, pool } = await database()
    const broker = await started(url)
    const value = randomBytes(6_000).toString('base64')
    const names = Array.from({ length: 20_000 }, (_, at) => `big/${at}`)
    await filled(pool, broker, names, value)
    const used = () => {
      const { heapUsed, external } = process.memoryUsage()
      return heapUsed + external
    }
    const first = used()
    let [most, isOver] = [0, false]
    const watch = (async () => {
      for (; !isOver; await pause(5)) most = Math.max(most, used())
    })()
    const made = await broker.ask('POST', '/admin/v1/backups', { body: {} })
    isOver = true
    await watch
    expect(made.status, made.text).toBe(201)
    expect(made.body).toMatchObject({ versions: 20_000 })
    expect(made.body.bytes).toBeGreaterThan(200_000_000)
    expect(most - first).toBeLessThan(100_000_000)
    process.stdout.write(`${Math.round(made.body.bytes / 1e6)} MB of bundle, ${Math.round((most - first) / 1e6)} MB of memory at most\n`)
  })

  test('two brokers renew the bundles of one host at once, and are killed: no bundle is lost, and each opens with the new KEK alone', {
    timeout: 240_000,
  }, async () => {
    const { url, pool } = await database()
    const folder = join(place.folder, 'bundles')
    const settings = `ledger: "${reference}", keys: { provider: file, folder: ${keys} }, backups: { folder: ${folder}, before: [] }`
    const fleet = await Fleet.make(2, `broker: { ${settings} }\ndatabase: { url: "${reference}" }\n`, {
      DATABASE_URL: url,
      KEYTURN_LOG_LEVEL: 'warn',
    })
    const kill = async (member: Member) => {
      const dead = member.instances
      await member.kill()
      await pool.query('update keyturn_ledger.instances set signed_off_at = seen_at where id = any($1) and signed_off_at is null', [dead])
      await member.start()
    }
    try {
      for (const member of fleet.members) await member.start()
      const names = Array.from({ length: 6_000 }, (_, at) => `cold/${at}`)
      const asked = async (...about: Parameters<Running['ask']>) => (await fleet.ask(0, ...about)) ?? expect.fail('it was cut')
      await filled(pool, { ask: asked }, names, 'value')
      const ids: string[] = []
      for (const reason of ['one', 'two', 'three', 'four']) {
        const made = await fleet.ask(0, 'POST', '/admin/v1/backups', { body: { reason } })
        ids.push(made?.body.id)
      }
      makeKeyFile(keys, 'k2')
      promoteKeyFile(keys, 'k2')
      const status = async () => (await fleet.look('/admin/v1/secrets/kek-status')).body
      await until('k2 to become current', async () => ((await status()).current === 'k2' ? true : undefined), 60_000)
      const begun = await fleet.ask(0, 'POST', '/admin/v1/secrets/rotate-all')
      const half = () => readdirSync(folder).some(name => name.startsWith('.bak_'))
      const over = async () => {
        const { body } = await fleet.look(begun?.body.status_url)
        return body.finished === null ? undefined : body
      }
      let kills = 0
      // a half bundle in the folder: whoever is killed now may be the one that writes it
      for (const member of [fleet.members[0], fleet.members[1], fleet.members[0]]) {
        const moment = await until('a renewal', async () => (half() ? 'half' : (await over()) === undefined ? undefined : 'over'), 60_000)
        if (moment === 'over' || member === undefined) break
        await kill(member)
        kills += 1
      }
      expect(kills).toBeGreaterThan(0)
      expect(await until('the end', over, 120_000)).toMatchObject({ state: 'done', failed: 0, note: null })
      const listed = async () =>
        (await fleet.look('/admin/v1/backups')).body.backups as { id: string; file: string; sha256: string; keks: object }[]
      const renewed = await until(
        'every bundle to be renewed',
        async () => {
          const all = await listed()
          return all.every(({ keks }) => Object.keys(keks).join() === 'k2') ? all : undefined
        },
        60_000,
      )
      for (const member of fleet.members) expect(await member.stop()).toBe(0)
      expect(renewed.map(({ id }) => id)).toEqual(ids)
      rmSync(join(keys, 'k1.key'))
      for (const { id, file, sha256 } of renewed) {
        expect([id, createHash('sha256').update(readFileSync(file)).digest('hex')]).toEqual([id, sha256])
        expect([id, await drilled(file, url)]).toMatchObject([id, { isWhole: true, opened: 6_000 }])
      }
    } finally {
      await Promise.all(fleet.members.map(member => member.kill()))
      fleet.remove()
    }
  })
}
