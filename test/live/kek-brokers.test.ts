import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, expect, test } from 'vitest'
import { Child } from '../e2e/child.ts'
import { type Asked, askAt, Place, until } from '../e2e/harness.ts'
import { freePort } from '../servers/free-port.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()
const counts = tally()

afterAll(() =>
  tell({
    adapter: 'KEKs of several brokers',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`KEKs of several brokers (absent: ${server.absent})`, () => {})
else suite(server)

/** A broker of several, on a port that it keeps over its restarts. */
interface Seat {
  readonly place: Place
  readonly port: number
  child: Child | null
}

function suite(postgres: PostgresServer): void {
  const keks = Object.fromEntries(['v1', 'v2', 'v3'].map(id => [`TALOS_KEK_${id}`, randomBytes(32).toString('base64url')]))
  const seats: Seat[] = []
  let stopReading = async (): Promise<void> => undefined
  /** Which broker a reader goes to first. */
  let turn = 0

  afterEach(async () => {
    await stopReading()
    for (const { child, place } of seats.splice(0)) {
      await child?.kill()
      place.remove()
    }
  })
  afterAll(() => postgres.stop())

  /** What a broker is given; the last one is current. */
  const given = (ids: readonly string[]) => ({
    DATABASE_URL: postgres.url,
    TALOS_CURRENT_KEK_ID: ids.at(-1) ?? '',
    ...Object.fromEntries(ids.map(id => [`TALOS_KEK_${id}`, keks[`TALOS_KEK_${id}`] ?? ''])),
  })

  async function seat(ids: readonly string[]): Promise<Seat> {
    const place = new Place()
    place.write(
      'keyturn.yaml',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the config reads it
      'environment: test\nbroker:\n  ledger: ${DATABASE_URL}\n  keys: { provider: env, prefix: TALOS }\ndatabase: { url: "${DATABASE_URL}" }\n',
    )
    const one: Seat = { place, port: await freePort(), child: null }
    seats.push(one)
    one.child = await Child.start(place, one.port, given(ids))
    return one
  }

  async function restart(one: Seat, ids: readonly string[]): Promise<void> {
    await one.child?.stop()
    one.child = null
    one.child = await Child.start(one.place, one.port, given(ids))
  }

  const token = () => seats[0]?.place.read('data/admin.token').trim() ?? ''
  const ask = (one: Seat, method: string, target: string, body?: unknown): Promise<Asked> =>
    askAt(`http://127.0.0.1:${one.port}`, method, target, { token: token(), ...(body === undefined ? {} : { body }) })
  const status = async (one: Seat) => (await ask(one, 'GET', '/admin/v1/secrets/kek-status')).body
  const names = Array.from({ length: 20 }, (_, index) => `name${index}`)

  /** Reads everything, over and over, at whichever broker accepts a connection; answers with how to end, and what was not read. */
  function reading(): () => Promise<{ readonly reads: number; readonly failed: readonly string[] }> {
    const failed: string[] = []
    let [reads, ends] = [0, false]
    const loop = async () => {
      while (!ends) {
        for (const name of names) {
          const asked = await readAnywhere(name)
          reads += 1
          if (asked?.body?.value !== `value of ${name}`) failed.push(`${name}: ${asked?.status} ${asked?.body?.detail}`)
        }
        await new Promise(resolve => setTimeout(resolve, 20))
      }
    }
    const running = loop()
    stopReading = async () => {
      ends = true
      await running
    }
    return async () => {
      await stopReading()
      return { reads, failed }
    }
  }

  async function readAnywhere(name: string): Promise<Asked | undefined> {
    turn += 1
    for (const one of [...seats.slice(turn % seats.length), ...seats.slice(0, turn % seats.length)]) {
      const asked = await ask(one, 'GET', `/v1/secrets/${name}`).catch(() => undefined)
      // a broker that begins or ends says so, and its balancer asks another
      if (asked !== undefined) return asked
    }
    return undefined
  }

  test('three brokers take a new KEK one by one, with nobody noticing; one that is killed is waited for, and then no more', {
    timeout: 280_000,
  }, async () => {
    const [one, two, three] = [await seat(['v1']), await seat(['v1']), await seat(['v1'])]
    for (const name of names) expect((await ask(one, 'PUT', `/v1/secrets/${name}`, { value: `value of ${name}` })).status).toBe(201)
    expect(await status(three)).toMatchObject({ current: 'v1', promotion: 'done', instances: { length: 3 } })
    const end = reading()

    await restart(one, ['v1', 'v2'])
    const first = await status(one)
    expect(first).toMatchObject({ current: 'v1', wanted: 'v2', promotion: 'waiting 1/3', loaded: ['v1', 'v2'] })
    const waits = (await ask(one, 'POST', '/admin/v1/secrets/rotate-all')).body
    expect((await ask(two, 'GET', waits.status_url)).body.state).toBe('waiting')
    await restart(two, ['v1', 'v2'])
    const second = await status(two)
    expect(second).toMatchObject({ current: 'v1', promotion: 'waiting 2/3', safe_to_retire: { v1: { safe: false } } })
    await restart(three, ['v1', 'v2'])
    await until('v2 is current', async () => ((await status(three)).current === 'v2' ? true : undefined))
    // the others learn it by their heartbeats
    const using = async () => (await status(one)).instances.map((instance: { using: string }) => instance.using)
    await until('all use it', async () => ((await using()).every((id: string) => id === 'v2') ? true : undefined), 20_000)
    await until(
      'the campaign that waited is done',
      async () => ((await ask(two, 'GET', waits.status_url)).body.state === 'done' ? true : undefined),
      60_000,
    )
    expect((await status(one)).stale_counts).toEqual({ v1: 0 })

    // a death: nobody knows it until its heartbeat is a minute old
    await three.child?.kill()
    three.child = null
    await restart(one, ['v1', 'v2', 'v3'])
    await restart(two, ['v1', 'v2', 'v3'])
    expect(await status(two)).toMatchObject({ current: 'v2', promotion: 'waiting 2/3' })
    expect((await status(one)).safe_to_retire.v1.reasons.join()).not.toContain('needs')
    const since = performance.now()
    await until('v3 is current', async () => ((await status(two)).current === 'v3' ? true : undefined), 90_000)
    expect(performance.now() - since).toBeGreaterThan(20_000)
    // the one that died comes back as it was: without the KEK in use it must not start
    await expect(restart(three, ['v1', 'v2'])).rejects.toThrow(/KEK v3 .* is not loaded here: no broker starts without it/)
    await restart(three, ['v1', 'v2', 'v3'])
    // an earlier one: only when all want it, not when one does
    await restart(one, ['v1', 'v3', 'v2'])
    expect(await status(one)).toMatchObject({ current: 'v3', wanted: 'v2', promotion: 'waiting 1/3' })
    await restart(one, ['v1', 'v2', 'v3'])
    expect(await end()).toMatchObject({ failed: [] })

    const loss = (await ask(three, 'POST', '/admin/v1/keks/v2/destroy')).body.particulars
    expect(loss).toMatchObject({ secrets: 20, current: 20, paths: [...names].sort() })
    // an end: each lets go of it by its next heartbeat, and says what is left to do
    const { confirmation, loses } = (await ask(one, 'POST', '/admin/v1/keks/v1/destroy')).body.particulars
    const destroyed = await ask(two, 'POST', '/admin/v1/keks/v1/destroy', { confirm: 'v1', confirmation, loses })
    expect(destroyed).toMatchObject({ status: 200, body: { next: expect.stringContaining('TALOS_KEK_v1') } })
    for (const each of [one, two, three])
      await until('v1 is let go of', async () => ((await status(each)).loaded.includes('v1') ? undefined : true), 20_000)
    expect((await status(three)).findings).toMatchObject([{ name: 'KEK not gone', what: 'KEK v1' }])
    for (const name of names) expect((await ask(three, 'GET', `/v1/secrets/${name}`)).body.value).toBe(`value of ${name}`)
  })

  test('a KEK is due by its age in the ledger, and one of three brokers tells it', { timeout: 120_000 }, async () => {
    const admin = new pg.Client({ connectionString: postgres.url })
    await admin.connect()
    try {
      await admin.query('drop schema if exists keyturn_ledger cascade')
      await admin.query('drop schema if exists keyturn_store cascade')
      const first = await seat(['v1'])
      await first.child?.stop()
      await admin.query("update keyturn_ledger.kek_lives set current_since = current_since - 91 * 86400000::bigint where state = 'active'")
      await restart(first, ['v1'])
      await seat(['v1'])
      await seat(['v1'])
      for (const each of seats) {
        expect(await status(each)).toMatchObject({ due: true, keks: { v1: { age_days: 91 } } })
        expect((await ask(each, 'PUT', `/v1/secrets/of${each.port}`, { value: 'x' })).status).toBe(201)
      }
      await until('it is told', () => (first.place.read('data/audit.jsonl').includes('kek_due') ? true : undefined))
      for (const { place } of seats.slice(1)) expect(place.read('data/audit.jsonl')).not.toContain('kek_due')
    } finally {
      await admin.end()
    }
  })
}
