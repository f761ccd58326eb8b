import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../servers/free-port.ts'
import { Child } from './child.ts'
import { type Asked, Place, until } from './harness.ts'

const kek = () => randomBytes(32).toString('base64url')
const config = (keys: string) => `environment: test\nbroker:\n  keys: ${keys}\nsealed: { kind: database }\n`
const fromEnv = config('{ provider: env, prefix: TALOS }')
const fromFile = config('{ provider: file }')

let place: Place
let broker: Child | null = null

beforeEach(() => {
  place = new Place()
})
afterEach(async () => {
  await broker?.kill()
  broker = null
  place.remove()
})

async function serve(env: Record<string, string> = {}): Promise<Child> {
  await broker?.stop()
  broker = await Child.start(place, await freePort(), env)
  return broker
}

const status = async (child: Child) => (await child.ask('GET', '/admin/v1/secrets/kek-status')).body
const write = (child: Child, name: string, value: string) => child.ask('PUT', `/v1/secrets/${name}`, { body: { value } })
const read = (child: Child, name: string) => child.ask('GET', `/v1/secrets/${name}`)

async function finished(child: Child, started: Asked): Promise<unknown> {
  expect(started.status).toBe(202)
  let last: unknown
  return until('the campaign is over', async () => {
    const { body } = await child.ask('GET', started.body.status_url)
    last = body
    return body.state === 'running' || body.state === 'waiting' ? undefined : body
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)}\n${child.output}`)
  })
}

describe('keys from the environment', () => {
  const v1 = { TALOS_KEK_v1: kek() }
  const v2 = { TALOS_KEK_v2: kek() }

  test('the runbook: add, promote, re-wrap, retire, remove', { timeout: 120_000 }, async () => {
    place.write('keyturn.yaml', fromEnv)
    let child = await serve({ ...v1, TALOS_CURRENT_KEK_ID: 'v1' })
    for (const name of ['a', 'b', 'c']) await write(child, name, `value of ${name}`)
    expect(await status(child)).toMatchObject({
      current: 'v1',
      wanted: 'v1',
      promotion: 'done',
      loaded: ['v1'],
      stale_counts: {},
      due: false,
      safe_to_retire: { v1: { safe: false } },
      keks: { v1: { state: 'active', age_days: 0, needs: { versions: 3, records: 1 } } },
    })

    child = await serve({ ...v1, ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    const promoted = await status(child)
    expect(promoted).toMatchObject({ current: 'v2', promotion: 'done', loaded: ['v1', 'v2'], stale_counts: { v1: 3 } })
    expect(promoted.safe_to_retire.v1).toEqual({ safe: false, reasons: ['3 versions need it'] })
    await write(child, 'd', 'new')
    const refused = await child.ask('POST', '/admin/v1/keks/v1/retire')
    expect(refused).toMatchObject({ status: 409, body: { code: 'conflict', particulars: { reasons: ['3 versions need it'] } } })

    expect(await finished(child, await child.ask('POST', '/admin/v1/secrets/rotate-all'))).toMatchObject({ state: 'done', failed: 0 })
    expect(await status(child)).toMatchObject({
      stale_counts: { v1: 0 },
      oldest_row: null,
      safe_to_retire: { v1: { safe: true, reasons: [] } },
    })
    const retired = await child.ask('POST', '/admin/v1/keks/v1/retire')
    expect(retired).toMatchObject({ status: 200, body: { id: 'v1', state: 'retired' } })

    // still there at the next start: said, and no reason to refuse
    child = await serve({ ...v1, ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    expect(child.output).toContain('retired KEKs are still given')
    child = await serve({ ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    expect(child.output).toContain('every KEK that rows need is loaded')
    for (const name of ['a', 'b', 'c']) expect((await read(child, name)).body.value).toBe(`value of ${name}`)
    expect((await status(child)).stale_counts).toEqual({ v1: 0 })
  })

  test('a KEK that is removed too early: the rest is served, and it comes back', { timeout: 120_000 }, async () => {
    place.write('keyturn.yaml', fromEnv)
    let child = await serve({ ...v1, TALOS_CURRENT_KEK_ID: 'v1' })
    await write(child, 'old', 'under v1')
    await write(child, 'over', 'under v1 too')
    child = await serve({ ...v1, ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    await write(child, 'new', 'under v2')

    child = await serve({ ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    expect(child.output).toMatch(/KEK v1 is not loaded: 2 rows in store sealed cannot be read until it is put back/)
    expect((await read(child, 'new')).body.value).toBe('under v2')
    const unread = await read(child, 'old')
    expect([unread.status, unread.body.detail]).toEqual([503, expect.stringContaining('KEK v1 is not loaded')])
    expect((await write(child, 'over', 'written anew')).status).toBe(200)
    expect((await read(child, 'over')).body.value).toBe('written anew')
    expect(await finished(child, await child.ask('POST', '/admin/v1/secrets/rotate-all'))).toMatchObject({ state: 'failed', failed: 2 })
    // two rows, and the same two in the backup that was made before
    expect(await status(child)).toMatchObject({ stale_counts: { v1: 4 }, keks: { v1: { needs: { versions: 2, backups: 2 } } } })

    child = await serve({ ...v1, ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    expect((await read(child, 'old')).body.value).toBe('under v1')
    expect((await read(child, 'over')).body.value).toBe('written anew')
  })

  test('another key under a known id is refused at start, and neither key is shown', { timeout: 60_000 }, async () => {
    place.write('keyturn.yaml', fromEnv)
    await serve({ ...v1, TALOS_CURRENT_KEK_ID: 'v1' })
    const other = kek()
    const why = await serve({ TALOS_KEK_v1: other, TALOS_CURRENT_KEK_ID: 'v1' }).catch((error: Error) => error.message)
    expect(why).toContain('the KEK v1 is not the key that this deployment knows by that id')
    expect(why).not.toContain(other)
  })

  test('a KEK is destroyed by two requests that agree, and what it closed says when', { timeout: 120_000 }, async () => {
    place.write('keyturn.yaml', fromEnv)
    let child = await serve({ ...v1, TALOS_CURRENT_KEK_ID: 'v1' })
    await write(child, 'lost', 'under v1')
    child = await serve({ ...v1, ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    expect((await child.ask('POST', '/admin/v1/keks/v2/destroy')).status).toBe(409)
    const first = await child.ask('POST', '/admin/v1/keks/v1/destroy')
    expect(first).toMatchObject({
      status: 409,
      body: { particulars: { loses: 1, databases: { 'store sealed': { versions: 1 } }, secrets: 1, current: 1, paths: ['lost'] } },
    })
    const { confirmation } = first.body.particulars
    const agree = (body: object) => child.ask('POST', '/admin/v1/keks/v1/destroy', { body })
    expect((await agree({ confirm: 'v1', confirmation, loses: 2 })).status).toBe(409)
    expect((await agree({ confirm: 'v2', confirmation, loses: 1 })).status).toBe(409)
    expect((await agree({ confirm: 'v1', confirmation: `${confirmation}x`, loses: 1 })).status).toBe(409)
    expect((await read(child, 'lost')).body.value).toBe('under v1')
    expect(await agree({ confirm: 'v1', confirmation, loses: 1 })).toMatchObject({
      status: 200,
      body: { state: 'destroyed', next: expect.stringContaining('the variable TALOS_KEK_v1') },
    })
    const gone = await read(child, 'lost')
    expect([gone.status, gone.body.detail]).toEqual([412, expect.stringMatching(/KEK v1 was destroyed on .*cannot be recovered/)])
    expect(await status(child)).toMatchObject({ loaded: ['v2'], stale_counts: {} })
    const lost = { ok: true, what: 'KEK v1', detail: 'it was destroyed: 1 rows in store sealed are lost' }
    // a variable that was forgotten keeps nobody from starting, and is told until it is gone
    child = await serve({ ...v1, ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    expect(await status(child)).toMatchObject({ loaded: ['v2'], findings: [lost, { name: 'KEK not gone', what: 'KEK v1' }] })
    expect((await read(child, 'lost')).status).toBe(412)
    const why = await serve({ ...v1, ...v2, TALOS_CURRENT_KEK_ID: 'v1' }).catch((error: Error) => error.message)
    expect(why).toMatch(/KEK v1 is destroyed since/)
    child = await serve({ ...v2, TALOS_CURRENT_KEK_ID: 'v2' })
    expect((await status(child)).findings).toMatchObject([lost])
    expect(child.output).not.toContain('put back')
  })
})

describe('keys from a folder', () => {
  const key = (id: string) => join(place.folder, 'data/keys', `${id}.key`)
  const current = () => join(place.folder, 'data/keys/current')

  test('a new one is taken over without a restart, and one that is put back is used again', { timeout: 60_000 }, async () => {
    place.write('keyturn.yaml', fromFile)
    const child = await serve()
    await write(child, 'a', 'under k1')
    writeFileSync(key('k2'), `${kek()}\n`, { mode: 0o600 })
    writeFileSync(current(), 'k2\n', { mode: 0o600 })
    await until('k2 is current', async () => ((await status(child)).current === 'k2' ? true : undefined))
    renameSync(key('k1'), join(place.folder, 'k1.away'))
    await until('k1 is let go of', async () => ((await status(child)).loaded.includes('k1') ? undefined : true))
    expect(child.output).toMatch(/KEK k1 is not loaded: 1 rows in store sealed/)
    renameSync(join(place.folder, 'k1.away'), key('k1'))
    await until('a is read', async () => ((await read(child, 'a')).status === 200 ? true : undefined))
  })

  test('a bad one is told of, and changes nothing', { timeout: 60_000 }, async () => {
    place.write('keyturn.yaml', fromFile)
    const child = await serve()
    await write(child, 'a', 'under k1')
    writeFileSync(key('bad'), 'not a key\n', { mode: 0o600 })
    const told = await until('it is told', async () => (await status(child)).refusal ?? undefined)
    expect(told).toMatch(/KEK bad/)
    expect((await write(child, 'b', 'still works')).status).toBe(201)
    rmSync(key('bad'))
    await until('it is well', async () => ((await status(child)).refusal === null ? true : undefined))
    chmodSync(key('k1'), 0o644)
    child.hangUp()
    await until('it is told again', async () => ((await status(child)).refusal?.includes('read by others') ? true : undefined))
    expect(child.output).toContain('the rest of the config needs a restart')
    chmodSync(key('k1'), 0o600)
  })

  test('one is made by the provider, promoted at once, and the former one destroyed with its file', { timeout: 60_000 }, async () => {
    place.write('keyturn.yaml', fromFile)
    const child = await serve()
    await write(child, 'a', 'under k1')
    expect(await child.ask('POST', '/admin/v1/keks', { body: { id: 'k2' } })).toMatchObject({ status: 201, body: { state: 'active' } })
    expect((await child.ask('POST', '/admin/v1/keks', { body: { id: 'k2' } })).status).toBe(409)
    await finished(child, await child.ask('POST', '/admin/v1/secrets/rotate-all'))
    expect((await child.ask('POST', '/admin/v1/keks/k1/retire')).status).toBe(200)
    const { confirmation, loses } = (await child.ask('POST', '/admin/v1/keks/k1/destroy')).body.particulars
    expect(loses).toBe(0)
    const body = { confirm: 'k1', confirmation, loses }
    expect((await child.ask('POST', '/admin/v1/keks/k1/destroy', { body })).status).toBe(200)
    expect(() => readFileSync(key('k1'))).toThrow('ENOENT')
    expect((await read(child, 'a')).body.value).toBe('under k1')
  })
})

test('metrics tell of keys and campaigns, to this machine and to nobody else, and no name of a secret', { timeout: 60_000 }, async () => {
  place.write('keyturn.yaml', fromFile)
  const child = await serve()
  await write(child, 'very-private-name', 'x')
  const text = await (await fetch(`${child.address}/metrics`)).text()
  for (const line of [
    'keyturn_kek_rows{kek="k1",part="store sealed"} 1',
    'keyturn_kek_loaded{kek="k1"} 1',
    'keyturn_kek_due 0',
    'keyturn_audit_up 1',
    'keyturn_metrics_source_up{source="keks"} 1',
    'keyturn_metrics_source_up{source="campaigns"} 1',
    'keyturn_metrics_source_up{source="rotations"} 1',
  ]) {
    expect(text.split('\n')).toContain(line)
  }
  expect(text).not.toContain('very-private-name')
  const proxied = await fetch(`${child.address}/metrics`, { headers: { 'x-forwarded-for': '192.0.2.1' } })
  expect(proxied.status).toBe(401)
})
