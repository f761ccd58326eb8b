import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../servers/free-port.ts'
import { Child, verdictOf } from './child.ts'
import { askAt, Place, until } from './harness.ts'

const loaded = Object.fromEntries(['v1', 'v2', 'v3'].map(id => [`TALOS_KEK_${id}`, randomBytes(32).toString('base64url')]))
const keks = (current: string) => ({ ...loaded, TALOS_CURRENT_KEK_ID: current })
// a role that may do everything to secrets, and nothing to the broker
const config = `broker: { keys: { provider: env, prefix: TALOS } }
database: {}
access:
  roles:
    app: { allow: [{ secrets: ["*"], actions: [read, write, rotate] }] }
`
const rows = 240
const place = new Place()
let port: number
let broker: Child

const textOf = (index: number) => `value of ${index} ${'x'.repeat(40)}`
const nameOf = (index: number) => `app/secret-${index}`

beforeAll(async () => {
  place.write('keyturn.yaml', config)
  port = await freePort()
  broker = await Child.start(place, port, keks('v1'))
  for (let index = 0; index < rows; index += 40) {
    const batch = Array.from({ length: 40 }, (_, offset) =>
      broker.ask('PUT', `/v1/secrets/${nameOf(index + offset)}`, { body: { value: textOf(index + offset) } }),
    )
    for (const { status } of await Promise.all(batch)) expect(status).toBe(201)
  }
}, 120_000)
afterAll(async () => {
  await broker?.kill()
  place.remove()
})

const tokenOf = (file: string) => place.read(`data/${file}`).trim()

interface Stored {
  readonly path: string
  readonly number: number
  readonly kek: string
  readonly payload: string
  readonly wrap: string
}

/** The rows of the sealed store of a broker that is not running. */
function stored(): readonly Stored[] {
  const database = new DatabaseSync(join(place.folder, 'data/secrets.db'), { readOnly: true })
  try {
    const found = database
      .prepare(
        'select s.path, v.number, v.kek_id as kek, v.payload, v.wrap from versions v join secrets s on s.number = v.secret order by s.path, v.number',
      )
      .all() as unknown as readonly { path: string; number: number; kek: string; payload: Uint8Array; wrap: Uint8Array }[]
    return found.map(row => ({ ...row, payload: Buffer.from(row.payload).toString('hex'), wrap: Buffer.from(row.wrap).toString('hex') }))
  } finally {
    database.close()
  }
}

/** Reads one secret after another until told to stop; answers with what went wrong. */
function reading(): () => Promise<{ readonly reads: number; readonly wrong: readonly string[] }> {
  const wrong: string[] = []
  let reads = 0
  let stopped = false
  const loop = (async () => {
    for (let index = 0; !stopped; index = (index + 37) % rows) {
      const read = await broker.ask('GET', `/v1/secrets/${nameOf(index)}`)
      reads += 1
      if (read.body?.value !== textOf(index)) wrong.push(`${nameOf(index)}: ${read.status}`)
      // what is left of the machine is for what is tested
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  })()
  return async () => {
    stopped = true
    await loop
    return { reads, wrong }
  }
}

const begin = async (path = 'rotate-all') => (await broker.ask('POST', `/admin/v1/secrets/${path}`)).body.op_id as string
const status = async (op: string) => (await broker.ask('GET', `/admin/v1/secrets/rotation-status/${op}`)).body
const over = (op: string) =>
  until(
    `the end of ${op}`,
    async () => {
      const seen = await status(op)
      return seen.finished === null ? undefined : seen
    },
    120_000,
  )

describe('over HTTP', () => {
  test('a re-wrap begins with 202 and where to look; the same key answers the same', async () => {
    const headers = { 'idempotency-key': 'one-intent' }
    const ask = () => askAt(broker.address, 'POST', '/admin/v1/secrets/rotate-all', { token: tokenOf('admin.token'), headers })
    const first = await ask()
    expect(first.status).toBe(202)
    const again = await ask()
    expect([again.status, again.headers.get('idempotent-replayed'), again.body]).toEqual([202, 'true', first.body])
    const { op_id: op, status_url: url } = first.body
    expect(url).toBe(`/admin/v1/secrets/rotation-status/${op}`)
    expect(await over(op)).toMatchObject({ op_id: op, kind: 'rewrap', state: 'done', target: 'v1', failed: 0, items: [], failures: [] })
  })

  test('without a token it is 401 with a hint, with a role that may not 403, an unknown operation 404', async () => {
    for (const [method, target] of [
      ['POST', '/admin/v1/secrets/rotate-all'],
      ['POST', '/admin/v1/secrets/reencrypt-all'],
      ['GET', '/admin/v1/secrets/rotation-status/op_00000000000000000000000000'],
    ] as const) {
      const answer = await fetch(`${broker.address}${target}`, { method })
      expect([target, answer.status]).toEqual([target, 401])
      expect(((await answer.json()) as { hint: string }).hint).toContain('Authorization: Bearer')
    }
    expect((await broker.ask('GET', '/admin/v1/secrets/rotation-status/op_00000000000000000000000000')).status).toBe(404)
    const { body } = await broker.ask('POST', '/admin/v1/tokens', { body: { role: 'app', ttl: 600 } })
    const op = await begin()
    for (const [method, target] of [
      ['POST', '/admin/v1/secrets/rotate-all'],
      ['POST', '/admin/v1/secrets/reencrypt-all'],
      ['GET', `/admin/v1/secrets/rotation-status/${op}`],
      ['POST', `/admin/v1/ops/${op}/abort`],
    ] as const) {
      const answer = await askAt(broker.address, method, target, { token: body.token })
      expect([target, answer.status, answer.body.code]).toEqual([target, 403, 'permission_denied'])
    }
    await over(op)
  })

  test('one that is over cannot be aborted', async () => {
    const op = await begin()
    await over(op)
    expect((await broker.ask('POST', `/admin/v1/ops/${op}/abort`)).status).toBe(409)
  })
})

test('killed again and again, it resumes; the counts add up; payloads and numbers are untouched; nobody who reads notices', {
  timeout: 180_000,
}, async () => {
  await broker.stop()
  const before = stored()
  expect(before.length).toBe(rows)
  expect(new Set(before.map(({ kek }) => kek))).toEqual(new Set(['v1']))
  broker = await Child.start(place, port, keks('v2'))
  const op = await begin()
  for (const waitMs of [5, 25, 60]) {
    await new Promise(resolve => setTimeout(resolve, waitMs))
    await broker.kill()
    broker = await Child.start(place, port, keks('v2'))
  }
  const stopReading = reading()
  const end = await over(op)
  const { reads, wrong } = await stopReading()
  expect(wrong).toEqual([])
  expect(reads).toBeGreaterThan(0)
  expect(end).toMatchObject({ state: 'done', target: 'v2', skipped: 0, failed: 0 })
  expect(end.total).toBe(end.done)
  const store = end.databases.find(({ name }: { name: string }) => name !== 'ledger')
  expect(store).toMatchObject({ total: rows, done: rows, state: 'done' })
  expect(await verdictOf(place, keks('v2'))).toBe('ok')
  expect(await broker.stop()).toBe(0)
  const after = stored()
  expect(after.map(({ path, number, payload }) => [path, number, payload])).toEqual(
    before.map(({ path, number, payload }) => [path, number, payload]),
  )
  expect(new Set(after.map(({ kek }) => kek))).toEqual(new Set(['v2']))
  const wraps = new Set(before.map(({ wrap }) => wrap))
  expect(after.filter(({ wrap }) => wraps.has(wrap))).toEqual([])
  broker = await Child.start(place, port, keks('v2'))
})

test('a re-encryption changes every payload, and no byte of an old one is left in the files', { timeout: 180_000 }, async () => {
  await broker.stop()
  const before = stored()
  broker = await Child.start(place, port, keks('v3'))
  const op = await begin('reencrypt-all')
  const stopReading = reading()
  const end = await over(op)
  expect((await stopReading()).wrong).toEqual([])
  expect(end).toMatchObject({ kind: 'reencrypt', state: 'done', target: 'v3', skipped: 0, failed: 0 })
  await broker.stop()
  const after = stored()
  expect(after.map(({ path, number, kek }) => [path, number, kek])).toEqual(before.map(({ path, number }) => [path, number, 'v3']))
  const payloads = new Set(before.map(({ payload }) => payload))
  expect(after.filter(({ payload }) => payloads.has(payload))).toEqual([])
  const data = join(place.folder, 'data')
  for (const name of readdirSync(data).filter(name => name.startsWith('secrets.db'))) {
    const bytes = readFileSync(join(data, name))
    // the first bytes of a payload are its salt, which is nowhere else
    const left = before.filter(({ payload }) => bytes.includes(Buffer.from(payload.slice(2, 66), 'hex')))
    expect([name, left.length]).toEqual([name, 0])
  }
  broker = await Child.start(place, port, keks('v3'))
  expect((await broker.ask('GET', `/v1/secrets/${nameOf(7)}`)).body.value).toBe(textOf(7))
})
