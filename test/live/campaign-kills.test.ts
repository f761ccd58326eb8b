import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { verify } from '@keyturn/audit'
import { auditKeys, makeKeyFile, promoteKeyFile, readConfig } from '@keyturn/broker'
import pg from 'pg'
import { afterAll, expect, test } from 'vitest'
import { until } from '../e2e/harness.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { SeededRandom } from '../simulation/random.ts'
import { Fleet, type Member } from './campaigns/fleet.ts'
import { keysIn, openAll, sealerFor, seed, watchWraps } from './campaigns/rows.ts'
import { Traffic } from './campaigns/traffic.ts'
import { tally, tell } from './tell.ts'

/** Evidence is 200 kills and more; every run has some. */
const kills = Number(process.env.KEYTURN_CAMPAIGN_KILLS ?? 20)
const seedText = process.env.KEYTURN_CAMPAIGN_SEED ?? randomBytes(4).toString('hex')
const coldRows = Number(process.env.KEYTURN_CAMPAIGN_ROWS ?? 40_000)
const hot = Array.from({ length: 60 }, (_, index) => `hot/${index}`)
const cold = { count: coldRows, of: (index: number) => ({ path: `cold/${index}`, value: `cold value ${index} of ${seedText}` }) }
const campaignsMax = 60
const ids = Array.from({ length: campaignsMax + 1 }, (_, index) => `k${index + 1}`)

const server = await startPostgres({ settings: { max_connections: '200' } })
const counts = tally()
afterAll(() =>
  tell({
    adapter: 'campaigns',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`campaigns that are killed (absent: ${server.absent})`, () => {})
else suite(server)

interface Shown {
  readonly state: string
  readonly finished: string | null
  readonly note: string | null
  readonly total: number
  readonly done: number
  readonly skipped: number
  readonly failed: number
  readonly databases: readonly {
    readonly name: string
    readonly total: number
    readonly done: number
    readonly skipped: number
    readonly failed: number
  }[]
}

function suite(postgres: PostgresServer): void {
  const admin = new pg.Pool({ connectionString: postgres.url, max: 3 })
  admin.on('error', () => {})
  const keys = mkdtempSync(join(tmpdir(), 'keyturn-keys-'))
  const random = new SeededRandom(seedText)
  const url = '$' + '{DATABASE_URL}'
  const config = `broker: { ledger: "${url}", keys: { provider: file, folder: ${keys} }, backups: { before: [] } }\ndatabase: { url: "${url}" }\n`
  const env = { DATABASE_URL: postgres.url, KEYTURN_LOG_LEVEL: 'warn' }
  let fleet: Fleet | null = null
  const starting = new Set<Promise<void>>()

  afterAll(async () => {
    await Promise.allSettled([...starting])
    await Promise.all(fleet?.members.map(member => member.kill()) ?? [])
    fleet?.remove()
    rmSync(keys, { recursive: true })
    await admin.end()
    await postgres.stop()
  })

  /** Kills one and starts it again at once. The dead one is taken off the list of the live, which would take a minute. */
  const kill = async (member: Member): Promise<void> => {
    const dead = member.instances
    await member.kill()
    await admin.query('update keyturn_ledger.instances set signed_off_at = seen_at where id = any($1) and signed_off_at is null', [dead])
    const begun: Promise<void> = member.start().finally(() => starting.delete(begun))
    starting.add(begun)
    begun.catch(() => undefined)
  }

  test(`${kills} kills at random moments (seed ${seedText}): no row is lost, none is wrapped twice, the counts add up, every value opens`, {
    timeout: 1_800_000,
  }, async () => {
    for (const id of ids) makeKeyFile(keys, id)
    promoteKeyFile(keys, 'k1')
    fleet = await Fleet.make(3, config, env)
    const { members } = fleet
    for (const member of members) await member.start()
    const traffic = new Traffic(fleet, hot, cold)
    await traffic.begin()
    const everyKek = keysIn(keys, ids)
    await seed(
      admin,
      await sealerFor(admin, everyKek, 'k1'),
      Array.from({ length: coldRows }, (_, index) => cold.of(index)),
    )
    await watchWraps(admin)
    traffic.start(2, 2)
    const begunMs = performance.now()
    let killed = 0
    let current = 'k1'
    const finished: { readonly target: string; readonly op: string; readonly shown: Shown }[] = []
    while (killed < kills) {
      const target = ids[finished.length + 1]
      if (target === undefined) throw new Error('the campaigns are over before the kills are: more rows are needed')
      await Promise.all(starting)
      promoteKeyFile(keys, target)
      const status = () => fleet?.look('/admin/v1/secrets/kek-status')
      await until(`${target} to become current`, async () => ((await status())?.body.current === target ? true : undefined), 60_000)
      current = target
      const { body } = (await fleet.ask(0, 'POST', '/admin/v1/secrets/rotate-all')) ?? { body: undefined }
      const op: string = body.op_id
      const look = async (): Promise<Shown> => (await fleet?.look(`/admin/v1/secrets/rotation-status/${op}`))?.body
      for (;;) {
        const shown = await look()
        if (shown.finished !== null) {
          finished.push({ target, op, shown })
          break
        }
        await pause(random.fraction() * 700)
        const up = members.filter(member => member.up)
        // with one of three a client goes on reading
        const victim = up[Math.floor(random.fraction() * up.length)]
        if (killed >= kills || up.length < 2 || victim === undefined || shown.done === 0) continue
        killed += 1
        await kill(victim)
      }
    }
    await Promise.all(starting)
    await traffic.stop()
    const seconds = Math.round((performance.now() - begunMs) / 1_000)

    // what writers changed under the pass was skipped, and is the next one's
    const { body: last } = (await fleet.ask(0, 'POST', '/admin/v1/secrets/rotate-all')) ?? { body: undefined }
    await until('what was skipped is taken', async () => {
      const shown: Shown | undefined = (await fleet?.look(`/admin/v1/secrets/rotation-status/${last.op_id}`))?.body
      if (shown === undefined || shown.finished === null) return undefined
      finished.push({ target: current, op: last.op_id, shown })
      return true
    })

    const changedTo = new Map<string, number>()
    for (const { op, target, shown } of finished) {
      expect([op, shown.state, shown.failed]).toEqual([op, 'done', 0])
      expect(shown.note ?? 'closed under another KEK').toContain('closed under another KEK')
      expect(shown.done + shown.skipped + shown.failed).toBe(shown.total)
      for (const part of ['total', 'done', 'skipped', 'failed'] as const) {
        expect(shown.databases.reduce((sum, database) => sum + database[part], 0)).toBe(shown[part])
      }
      const store = shown.databases.find(({ name }) => name !== 'ledger')
      if (op !== last.op_id) expect(store?.total).toBeGreaterThanOrEqual(coldRows)
      changedTo.set(target, (changedTo.get(target) ?? 0) + (store?.done ?? 0))
    }
    for (const [target, done] of changedTo) {
      const { rows } = await admin.query<{ changed: string }>('select count(*) as changed from public.wraps where after = $1', [target])
      expect([target, Number(rows[0]?.changed)]).toEqual([target, done])
    }
    const twice = await admin.query('select secret, number, after from public.wraps group by 1, 2, 3 having count(*) > 1 limit 5')
    expect(twice.rows).toEqual([])
    expect((await admin.query('select 1 from public.wraps where not same_payload limit 1')).rows).toEqual([])

    const left = new Map<string, number>()
    const unlike: string[] = []
    let versions = 0
    const seen = new Set<string>()
    await openAll(admin, await sealerFor(admin, everyKek, current), row => {
      versions += 1
      left.set(row.kek, (left.get(row.kek) ?? 0) + 1)
      if (!row.isCurrent) return
      seen.add(row.path)
      const index = Number(/^cold\/(\d+)$/.exec(row.path)?.[1] ?? Number.NaN)
      const fits = traffic.allows(row.path, row.value) ?? cold.of(index).value === row.value
      if (!fits) unlike.push(`${row.path}: ${row.value}`)
    })
    expect(unlike).toEqual([])
    expect(seen.size).toBe(coldRows + hot.length)
    expect(traffic.wrong).toEqual([])
    expect(traffic.reads).toBeGreaterThan(kills)
    expect((await fleet.look('/admin/v1/secrets/kek-status')).body.stale_counts).toMatchObject(
      Object.fromEntries(ids.slice(0, finished.length - 1).map(id => [id, 0])),
    )
    expect([...left.keys()]).toEqual([current])
    for (const member of members) {
      expect(await member.stop()).toBe(0)
      const own = { ...env, KEYTURN_LISTEN: '127.0.0.1:1', KEYTURN_DATA: join(member.place.folder, 'data') }
      const read = await readConfig({ config: join(member.place.folder, 'keyturn.yaml'), cwd: member.place.folder, env: own })
      expect((await verify(read.audit.file, { findKey: await auditKeys(read, own) })).status).toBe('ok')
    }
    process.stdout.write(
      `seed ${seedText}: ${killed} kills in ${seconds} s, ${finished.length} campaigns over ${coldRows} rows and ${versions - coldRows} written meanwhile, ` +
        `${traffic.reads} reads, ${traffic.writes} writes (${traffic.unclear} cut off), ` +
        `${finished.reduce((sum, { shown }) => sum + shown.skipped, 0)} rows skipped\n`,
    )
  })
}
