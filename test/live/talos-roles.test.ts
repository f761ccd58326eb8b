import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../e2e/harness.ts'
import { Deployment } from '../e2e/runbook/deployment.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { blockOf, connected } from './database-scene.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()
const counts = tally()
afterAll(() =>
  tell({
    adapter: 'talos as the role of the application',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`talos as the role of the application (absent: ${server.absent})`, () => {})
else suite(server)

const page = readFileSync(new URL('../../docs/postgresql.md', import.meta.url), 'utf8')
const serve = 'set -a; . ./talos.env; set +a\nnpx --no keyturn serve --config configs/talos/keyturn.yaml\n'
const kek = () => randomBytes(32).toString('base64url')

function suite({ url, stop }: PostgresServer): void {
  let deployment: Deployment
  const roles: Record<'owner' | 'app' | 'maintenance', string> = { owner: '', app: '', maintenance: '' }
  const keyturn = async (line: string, env = '') => {
    const ended = await deployment.run(`${env} npx --no keyturn ${line}`)
    return { ...ended, all: `${ended.out}${ended.err}` }
  }
  const asRoot = (line: string) => keyturn(`${line} --token-file data/admin.token`)
  const environment = (role: keyof typeof roles, current: string) =>
    deployment.run(`sed -i '/^DATABASE_URL=/d; /^TALOS_CURRENT/d' talos.env
echo 'DATABASE_URL=${roles[role]}' >> talos.env; echo TALOS_CURRENT_KEK_ID=${current} >> talos.env`)

  beforeAll(async () => {
    await connected(url, client => client.query(blockOf('administrator')))
    for (const role of ['owner', 'app', 'maintenance'] as const) {
      const password = randomBytes(12).toString('hex')
      await connected(url, client => client.query(`alter role keyturn_${role} password '${password}'`))
      roles[role] = Object.assign(new URL(url), { username: `keyturn_${role}`, password }).href
    }
    deployment = await Deployment.make(1)
    deployment.place.write('talos.env', `TALOS_KEK_v1=${kek()}\nTALOS_KEK_v2=${kek()}\nTALOS_KEK_v3=${kek()}\nKEYTURN_DATA=data\n`)
  })
  afterAll(async () => {
    await deployment?.remove()
    await stop()
  })

  test('the owner migrates by the line of the page, and a broker that may not says what to do before', async () => {
    await environment('app', 'v1')
    await expect(deployment.start(0, serve)).rejects.toThrow(/run keyturn migrate once/)
    const line = page.split('```sh migrate\n')[1]?.split('```')[0] ?? ''
    const migrated = await deployment.run(`export DATABASE_URL='${roles.owner}'\n${line}`)
    expect(migrated, migrated.err).toMatchObject({ code: 0 })
    expect(migrated.out).toMatch(/keyturn_ledger.*none\t\d/)
    expect(migrated.out).toMatch(/keyturn_store.*none\t\d/)
    await connected(roles.owner, client => client.query(blockOf('owner')))
    await deployment.start(0, serve)
  }, 60_000)

  test('it serves, rotates, re-wraps, scrubs, backs up, restores and retires as keyturn_app', async () => {
    const put = (value: string) => deployment.ask('PUT', '/v1/secrets/upstream/openai', { body: { value } })
    expect((await put('one')).status).toBe(201)
    expect((await put('two')).status).toBe(200)
    const backup = await asRoot('backup create --reason "as the application"')
    expect(backup, backup.all).toMatchObject({ code: 0 })
    const scrub = async () => {
      const { rows } = await connected(url, client =>
        client.query(
          "select note, id in (select id from keyturn_store.passes) as begun from keyturn_ledger.campaigns where kind = 'scrub'",
        ),
      )
      return rows[0]?.begun === true ? (rows[0].note as string | null) : undefined
    }
    expect(await until('the scrub has begun', scrub, 30_000)).toBe(null)
    await environment('app', 'v2')
    await deployment.start(0, serve)
    await until('v2 is current', async () => {
      const { body } = await deployment.ask('GET', '/admin/v1/secrets/kek-status')
      return body.current === 'v2' ? true : undefined
    })
    const rewrapped = await asRoot('kek rewrap --wait')
    expect(rewrapped, rewrapped.all).toMatchObject({ code: 0 })
    expect((await deployment.ask('GET', '/admin/v1/secrets/kek-status')).body.stale_counts.v1).toBe(0)
    const retired = await asRoot('kek retire v1')
    expect(retired, retired.all).toMatchObject({ code: 0 })
    expect((await deployment.ask('DELETE', '/v1/secrets/upstream/openai')).status).toBe(204)
    const { out } = await asRoot('backup list --json')
    const id = /bak_\w+/.exec(out)?.[0]
    const restored = await deployment.run(
      `set -a; . ./talos.env; set +a\nnpx --no keyturn restore ${id} --config configs/talos/keyturn.yaml --yes`,
    )
    expect(restored, restored.out + restored.err).toMatchObject({ code: 0 })
    expect((await deployment.ask('GET', '/v1/secrets/upstream/openai')).body).toMatchObject({ value: 'two' })
    const rotated = await asRoot('rotate gateway/session-key --wait')
    expect(rotated, rotated.all).toMatchObject({ code: 0 })
  }, 120_000)

  test('it may not re-encrypt, and nothing is changed; the owner may', async () => {
    const stored = () =>
      connected(url, async client => {
        const { rows } = await client.query(
          "select secret, number, encode(payload, 'hex') as payload from keyturn_store.versions order by 1, 2",
        )
        return rows
      })
    const before = await stored()
    const { body } = await deployment.ask('POST', '/admin/v1/secrets/reencrypt-all')
    const view = async () => (await deployment.ask('GET', body.status_url)).body
    const note = await until(
      'it is told why',
      async () => {
        const { note, state } = await view()
        expect(state).not.toBe('done')
        return note?.includes('may not erase') ? (note as string) : undefined
      },
      60_000,
    )
    expect(note).toContain('role keyturn_app')
    expect(await stored()).toEqual(before)
    await environment('owner', 'v2')
    await deployment.start(0, serve)
    await until('the owner has done it', async () => ((await view()).state === 'done' ? true : undefined), 60_000)
    const after = await stored()
    expect(after).toHaveLength(before.length)
    for (const [index, row] of after.entries()) expect(row.payload).not.toBe(before[index].payload)
    expect((await deployment.ask('GET', '/v1/secrets/upstream/openai')).body).toMatchObject({ value: 'two' })
  }, 120_000)
}
