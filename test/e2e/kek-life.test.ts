import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { VaultTransitFake } from '../fakes/vault-transit.ts'
import { freePort } from '../servers/free-port.ts'
import { Child } from './child.ts'
import { Place, until } from './harness.ts'

const dayMs = 24 * 3_600_000

let place: Place
let broker: Child | null

beforeEach(() => {
  place = new Place()
  broker = null
})
afterEach(async () => {
  await broker?.kill()
  place.remove()
})

const withKeys = (keys: string, more = '') =>
  place.write('keyturn.yaml', `environment: test\nbroker:\n  keys: ${keys}\nsealed: { kind: database }\n${more}`)

async function serve(env: Record<string, string> = {}): Promise<Child> {
  await broker?.stop()
  broker = null
  broker = await Child.start(place, await freePort(), env)
  return broker
}

/** The KEK that is current has been so for longer, by SQL, while no broker runs. */
async function age(days: number): Promise<void> {
  await broker?.stop()
  broker = null
  const ledger = new DatabaseSync(join(place.folder, 'data/ledger.db'))
  ledger.prepare("update kek_lives set current_since = current_since - ? where state = 'active'").run(days * dayMs)
  ledger.close()
}

const status = async (child: Child) => (await child.ask('GET', '/admin/v1/secrets/kek-status')).body
const write = (child: Child, name: string, value: string) => child.ask('PUT', `/v1/secrets/${name}`, { body: { value } })
const read = (child: Child, name: string) => child.ask('GET', `/v1/secrets/${name}`)
const metrics = async (child: Child) => (await (await fetch(`${child.address}/metrics`)).text()).split('\n')
const key = (id: string) => join(place.folder, 'data/keys', `${id}.key`)

// biome-ignore lint/suspicious/noExplicitAny: records are compared by the tests
const records = (action: string): any[] =>
  place
    .read('data/audit.jsonl')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
    .filter(record => record.action === action)

async function finished(child: Child, act: string): Promise<unknown> {
  const { body } = await child.ask('POST', act)
  return until('the campaign is over', async () => {
    const now = (await child.ask('GET', body.status_url)).body
    return now.state === 'running' || now.state === 'waiting' ? undefined : now
  })
}

/** A second KEK in the folder, current. */
async function promoteSecond(child: Child): Promise<void> {
  writeFileSync(key('k2'), `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
  writeFileSync(join(place.folder, 'data/keys/current'), 'k2\n', { mode: 0o600 })
  await until('k2 is current', async () => ((await status(child)).current === 'k2' ? true : undefined))
}

describe('a KEK that is too old', () => {
  test('is reported by status, metric, log and one record a day, and keeps nobody from reading or writing', {
    timeout: 90_000,
  }, async () => {
    withKeys('{ provider: file }')
    let child = await serve()
    await write(child, 'a', 'young')
    expect(await status(child)).toMatchObject({ due: false, due_reasons: [] })
    expect(await metrics(child)).toContain('keyturn_kek_due 0')
    await age(91)
    child = await serve()
    await until('it is recorded', () => (records('alert').length > 0 ? true : undefined))
    const why = 'KEK k1 has closed values for 91 days; the threshold is 90'
    expect(await status(child)).toMatchObject({ due: true, due_reasons: [why], keks: { k1: { age_days: 91 } } })
    expect((await status(child)).findings).toEqual([expect.objectContaining({ name: 'KEK due', detail: why })])
    expect(await metrics(child)).toContain('keyturn_kek_due 1')
    expect(child.output).toContain(`KEK k1 is to be replaced: ${why}`)
    expect((await read(child, 'a')).body.value).toBe('young')
    expect((await write(child, 'b', 'still')).status).toBe(201)
    // and not again on this day, whoever starts
    child = await serve()
    await child.stop()
    broker = null
    const today = new Date().toISOString().slice(0, 10)
    const said = records('alert').filter(({ requestId }) => requestId === `kek_due_k1_${today}`)
    expect(said).toEqual([expect.objectContaining({ code: 'kek_due', field: 'k1', source: why, outcome: 'failed' })])
    child = await serve({ KEK_ROTATION_THRESHOLD_DAYS: '92' })
    expect(await status(child)).toMatchObject({ due: false })
    for (const bad of ['0', '-1', 'x', '1.5']) {
      const started = serve({ KEK_ROTATION_THRESHOLD_DAYS: bad })
      await expect(started).rejects.toThrow(/KEK_ROTATION_THRESHOLD_DAYS/)
    }
  })

  test('with auto is replaced, and everything under it wrapped anew, by a provider of files', { timeout: 60_000 }, async () => {
    withKeys('{ provider: file, auto: true }')
    await replaced({})
    expect(existsSync(key('k2'))).toBe(true)
  })

  test('and by a provider elsewhere', { timeout: 60_000 }, async () => {
    const fake = await VaultTransitFake.start()
    fake.makeKey('keyturn')
    try {
      withKeys(`{ provider: vault-transit, address: "${fake.url}", key: keyturn, auto: true }`)
      await replaced({ VAULT_TOKEN: fake.grant() })
    } finally {
      await fake.close()
    }
  })

  async function replaced(env: Record<string, string>): Promise<void> {
    let child = await serve(env)
    await write(child, 'a', 'under k1')
    await age(91)
    child = await serve(env)
    const after = await until('nothing needs k1 any more', async () => {
      const now = await status(child)
      return now.current === 'k2' && now.stale_counts.k1 === 0 ? now : undefined
    })
    expect(after).toMatchObject({
      due: false,
      promotion: 'done',
      keks: { k1: { state: 'deactivated' }, k2: { state: 'active', age_days: 0 } },
    })
    await until('it is safe to retire', async () => ((await status(child)).safe_to_retire.k1.safe ? true : undefined))
    expect((await read(child, 'a')).body.value).toBe('under k1')
    expect(records('kek.promoted').map(({ field, source }) => [field, source])).toEqual([
      ['k1', 'the first'],
      ['k2', 'after k1'],
    ])
    // one look a minute, and one new KEK a threshold
    expect(Object.keys((await status(child)).keks).sort()).toEqual(['k1', 'k2'])
  }
})

test('a compromised KEK opens only, and what was under it is to be encrypted anew before anything is safe', {
  timeout: 60_000,
}, async () => {
  withKeys('{ provider: file }')
  const child = await serve()
  await write(child, 'a', 'known to others')
  const compromise = () => child.ask('POST', '/admin/v1/keks/k1/compromise', { body: { reason: 'it was in a public bucket' } })
  expect(await compromise()).toMatchObject({ status: 409, body: { detail: expect.stringContaining('promote another one first') } })
  await promoteSecond(child)
  expect(await compromise()).toMatchObject({ status: 200, body: { id: 'k1', state: 'compromised' } })
  expect(await compromise()).toMatchObject({ status: 200, body: { id: 'k1', state: 'compromised' } })
  expect((await read(child, 'a')).body.value).toBe('known to others')
  const anew = expect.stringContaining('every value is to be encrypted anew')
  expect(await status(child)).toMatchObject({ due: true, due_reasons: [anew], keks: { k1: { state: 'compromised' } } })
  // a new wrap around the same key is no cure
  expect(await finished(child, '/admin/v1/secrets/rotate-all')).toMatchObject({ state: 'done' })
  expect((await status(child)).safe_to_retire.k1.reasons).toEqual([anew])
  expect(await finished(child, '/admin/v1/secrets/reencrypt-all')).toMatchObject({ state: 'done', failed: 0 })
  expect(await status(child)).toMatchObject({ due: false, due_reasons: [], findings: [] })
  expect((await child.ask('POST', '/admin/v1/keks/k1/retire')).body.detail).toContain('not retired but destroyed')
  const { confirmation, loses, warnings } = (await child.ask('POST', '/admin/v1/keks/k1/destroy')).body.particulars
  expect(warnings).toEqual([])
  const body = { confirm: 'k1', confirmation, loses }
  expect(await child.ask('POST', '/admin/v1/keks/k1/destroy', { body })).toMatchObject({ status: 200, body: { state: 'destroyed' } })
  expect((await read(child, 'a')).body.value).toBe('known to others')
  expect(records('kek.compromise').map(({ outcome, field }) => [outcome, field])).toEqual([
    ['failed', 'k1'],
    ['allowed', 'k1'],
    ['allowed', 'k1'],
  ])
})

test('a KEK whose file cannot be destroyed is not called gone, and is when it is', { timeout: 60_000 }, async () => {
  withKeys('{ provider: file }')
  const child = await serve()
  await write(child, 'a', 'under k1')
  await promoteSecond(child)
  await finished(child, '/admin/v1/secrets/rotate-all')
  const destroy = (body: object = {}) => child.ask('POST', '/admin/v1/keks/k1/destroy', { body })
  const { confirmation, loses } = (await destroy()).body.particulars
  // what is no file cannot be overwritten
  renameSync(key('k1'), join(place.folder, 'k1.away'))
  mkdirSync(key('k1'))
  const refused = await destroy({ confirm: 'k1', confirmation, loses })
  expect([refused.status, refused.body.detail]).toEqual([
    503,
    expect.stringMatching(/KEK k1 is destroyed in the register.*copy is still there/),
  ])
  expect((await destroy()).status).toBe(503)
  expect(await status(child)).toMatchObject({
    loaded: ['k2'],
    findings: [{ name: 'KEK not gone', what: 'KEK k1' }],
    keks: { k1: { state: 'destroyed' } },
  })
  rmdirSync(key('k1'))
  renameSync(join(place.folder, 'k1.away'), key('k1'))
  expect(await destroy()).toMatchObject({ status: 200, body: { state: 'destroyed', next: expect.stringContaining('every other copy') } })
  expect(() => readFileSync(key('k1'))).toThrow('ENOENT')
  expect((await status(child)).findings).toEqual([])
})

test('metrics.listen serves metrics alone, without a login, and the broker serves them no more', { timeout: 30_000 }, async () => {
  const port = await freePort()
  withKeys('{ provider: file }', `metrics: { listen: "127.0.0.1:${port}" }\n`)
  const child = await serve()
  const door = `http://127.0.0.1:${port}`
  const answer = await fetch(`${door}/metrics`)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
  expect(await answer.text()).toContain('keyturn_kek_due 0\n')
  expect(await (await fetch(`${door}/metrics`, { method: 'HEAD' })).text()).toBe('')
  for (const path of ['/', '/v1/secrets', '/admin/v1/secrets/kek-status', '/healthz'])
    expect((await fetch(`${door}${path}`)).status).toBe(404)
  expect((await fetch(`${door}/metrics`, { method: 'POST' })).status).toBe(404)
  expect((await child.ask('GET', '/metrics')).status).toBe(404)
  await expect(serveBeside(port)).rejects.toThrow(/cannot listen for metrics on 127\.0\.0\.1:.*\n?/)
  await child.stop()
  broker = null
  await expect(fetch(`${door}/metrics`)).rejects.toThrow()
})

/** Another deployment that wants the same port. */
async function serveBeside(port: number): Promise<void> {
  const other = new Place()
  try {
    other.write('keyturn.yaml', `environment: test\nmetrics: { listen: "127.0.0.1:${port}" }\nsealed: { kind: database }\n`)
    await (await Child.start(other, await freePort())).kill()
  } finally {
    other.remove()
  }
}
