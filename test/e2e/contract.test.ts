import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Place, type Running, start } from './harness.ts'

const config = `
dotenv: { file: app.env }
database: {}
secrets:
  app/typed: { type: api-key, strategy: generated, every: 30d, grace: 1h, labels: { tier: gold }, owner: "@a" }
access:
  roles:
    reader: { allow: [{ secrets: ["team/*"], actions: [read, list] }] }
    typed: { allow: [{ types: [api-key], actions: [read] }] }
    generic: { allow: [{ types: [generic], actions: [read] }] }
    writer: { allow: [{ secrets: ["team/*"], actions: [read, write, delete, read-metadata] }] }
`
const place = new Place()
let broker: Running
let tokens: Record<'reader' | 'typed' | 'generic' | 'writer', string>

beforeAll(async () => {
  place.write('app.env', 'ONE=first\n')
  place.write('keyturn.yaml', config)
  broker = await start(place)
  tokens = {
    reader: await broker.tokenOf('reader'),
    typed: await broker.tokenOf('typed'),
    generic: await broker.tokenOf('generic'),
    writer: await broker.tokenOf('writer', 'writer'),
  }
})
afterAll(async () => {
  await broker?.stop()
  place.remove()
})

const put = (name: string, body: unknown, headers: Record<string, string> = {}) =>
  broker.ask('PUT', `/v1/secrets/${name}`, { body, headers })
const lastLine = () => broker.audit().at(-1)

describe('authentication', () => {
  test('every way to have no valid token gives the same 401, and a record', async () => {
    const wrong = [null, 'nonsense', `kt_${'a'.repeat(49)}`]
    const answers = []
    for (const token of wrong) answers.push(await broker.ask('GET', '/v1/secrets/ONE', { token }))
    for (const answer of answers) {
      const { requestId, ...rest } = answer.body
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      expect(rest).toEqual({ ...answers[0]?.body, requestId: undefined })
    }
    expect(lastLine()).toMatchObject({ principal: null, action: 'read', outcome: 'denied', code: 'unauthenticated' })
  })

  test('a revoked token is refused at once, and an expired one too', async () => {
    const made = await broker.ask('POST', '/admin/v1/tokens', { body: { role: 'reader', ttl: 2 } })
    expect((await broker.ask('GET', '/v1/secrets/team/none', { token: made.body.token })).status).toBe(404)
    const other = await broker.ask('POST', '/admin/v1/tokens', { body: { role: 'reader', ttl: 60 } })
    expect((await broker.ask('GET', '/v1/secrets/team/none', { token: other.body.token })).status).toBe(404)
    expect((await broker.ask('DELETE', `/admin/v1/tokens/${other.body.id}`)).status).toBe(204)
    expect((await broker.ask('GET', '/v1/secrets/team/none', { token: other.body.token })).status).toBe(401)
    await new Promise(resolve => setTimeout(resolve, 2_050))
    expect((await broker.ask('GET', '/v1/secrets/team/none', { token: made.body.token })).status).toBe(401)
  })

  test('only who may administer makes tokens, of roles that exist, and none is listed', async () => {
    expect((await broker.ask('POST', '/admin/v1/tokens', { token: tokens.reader, body: { role: 'admin', ttl: 60 } })).status).toBe(403)
    expect((await broker.ask('POST', '/admin/v1/tokens', { body: { role: 'no-such', ttl: 60 } })).status).toBe(400)
    const list = await broker.ask('GET', '/admin/v1/tokens')
    expect(list.body.tokens.length).toBeGreaterThan(4)
    expect(list.text).not.toContain('kt_')
    expect(place.read('data/admin.token')).toMatch(/^kt_[\w-]{43}[0-9a-z]{6}\n$/)
  })
})

describe('authorization', () => {
  test('without the right, a name that is there and one that is not are the same 403', async () => {
    await put('other/there', { value: 'x' })
    const there = await broker.ask('GET', '/v1/secrets/other/there', { token: tokens.reader })
    const absent = await broker.ask('GET', '/v1/secrets/other/absent', { token: tokens.reader })
    expect([there.status, absent.status]).toEqual([403, 403])
    expect({ ...there.body, requestId: '' }).toEqual({ ...absent.body, requestId: '' })
    expect(lastLine()).toMatchObject({ secret: 'other/absent', outcome: 'denied', code: 'permission_denied' })
  })

  test('with the right, an absent name is 404', async () => {
    expect((await broker.ask('GET', '/v1/secrets/team/absent', { token: tokens.reader })).status).toBe(404)
  })

  test('a name that no store knows has no type: a rule on types does not match it, whether or not it exists elsewhere', async () => {
    await put('loose/there', { value: 'x' })
    expect((await broker.ask('GET', '/v1/secrets/loose/there', { token: tokens.generic })).status).toBe(200)
    expect((await broker.ask('GET', '/v1/secrets/loose/absent', { token: tokens.generic })).status).toBe(403)
    expect((await broker.ask('GET', '/v1/secrets/loose/there', { token: tokens.typed })).status).toBe(403)
    expect((await broker.ask('GET', '/v1/secrets/app/typed', { token: tokens.typed })).status).toBe(200)
  })

  test('a change of type is judged at once, also for what was read before', async () => {
    await put('loose/typed', { value: 'x' })
    expect((await broker.ask('GET', '/v1/secrets/loose/typed', { token: tokens.generic })).status).toBe(200)
    expect((await broker.ask('GET', '/v1/secrets/loose/typed', { token: tokens.generic })).status).toBe(200)
    expect((await put('loose/typed', { value: 'y', type: 'api-key' })).status).toBe(200)
    expect((await broker.ask('GET', '/v1/secrets/loose/typed', { token: tokens.generic })).status).toBe(403)
    expect((await broker.ask('GET', '/v1/secrets/loose/typed', { token: tokens.typed })).status).toBe(200)
    expect((await put('loose/typed', { value: 'z', type: 'database' })).status).toBe(409)
  })
})

describe('reading', () => {
  test('text, fields, one field, bytes that are no text, and nothing that a cache may keep', async () => {
    await put('team/text', { value: 'grüße' })
    await put('team/set', { fields: { username: 'u', password: 'p', raw: { base64: '/wAB' } } })
    const text = await broker.ask('GET', '/v1/secrets/team/text')
    expect(text.body).toMatchObject({ name: 'team/text', value: 'grüße', type: 'generic', labels: {}, stage: 'current' })
    expect(text.headers.get('etag')).toBe(`"${text.body.version}"`)
    expect(text.headers.get('cache-control')).toBe('no-store')
    expect(text.headers.get('x-content-type-options')).toBe('nosniff')
    expect(text.headers.get('x-keyturn-source')).toBe('database')
    const set = await broker.ask('GET', '/v1/secrets/team/set')
    expect(set.body.fields).toEqual({ username: 'u', password: 'p', raw: { base64: '/wAB' } })
    expect(set.body).not.toHaveProperty('value')
    expect((await broker.ask('GET', '/v1/secrets/team/set?field=password')).body.value).toBe('p')
    expect((await broker.ask('GET', '/v1/secrets/team/set?field=none')).status).toBe(404)
  })

  test('plain text is the bytes alone; several fields do not fit into it', async () => {
    const plain = { accept: 'text/plain' }
    const text = await broker.ask('GET', '/v1/secrets/team/text', { headers: plain })
    expect([text.text, text.headers.get('content-type'), text.headers.get('cache-control')]).toEqual([
      'grüße',
      'text/plain; charset=utf-8',
      'no-store',
    ])
    expect((await broker.ask('GET', '/v1/secrets/team/set', { headers: plain })).status).toBe(406)
    expect((await broker.ask('GET', '/v1/secrets/team/set?field=username', { headers: plain })).text).toBe('u')
    expect((await broker.ask('GET', '/v1/secrets/team/text', { headers: { accept: 'image/png' } })).status).toBe(406)
  })

  test('304 for who holds the version, counted as a use', async () => {
    const first = await broker.ask('GET', '/v1/secrets/team/text')
    const etag = first.headers.get('etag') ?? ''
    const again = await broker.ask('GET', '/v1/secrets/team/text', { headers: { 'if-none-match': etag } })
    expect([again.status, again.text]).toEqual([304, ''])
    expect(lastLine()).toMatchObject({ action: 'read', secret: 'team/text', version: first.body.version, outcome: 'allowed' })
  })

  test('an unknown stage, parameter or version is told apart', async () => {
    expect((await broker.ask('GET', '/v1/secrets/team/text?stage=next')).status).toBe(400)
    expect((await broker.ask('GET', '/v1/secrets/team/text?nonsense=1')).status).toBe(400)
    expect((await broker.ask('GET', '/v1/secrets/team/text?version=no-such')).status).toBe(404)
    expect((await broker.ask('GET', '/v1/secrets/team/text?stage=pending')).status).toBe(404)
  })

  test('each item of a batch answers and is recorded for itself', async () => {
    const before = broker.audit().length
    const items = [
      { name: 'team/text' },
      { name: 'team/set', field: 'password' },
      { name: 'team/none' },
      { name: 'other/there' },
      { name: '../x' },
    ]
    const answer = await broker.ask('POST', '/v1/secrets:batch', { token: tokens.reader, body: { items } })
    expect(answer.status).toBe(200)
    expect(answer.body.items.map((item: { status: number }) => item.status)).toEqual([200, 200, 404, 403, 400])
    expect(answer.body.items[1].secret.value).toBe('p')
    expect(broker.audit().length - before).toBe(items.length)
  })

  test('a list shows what the caller may see, page by page', async () => {
    const all: string[] = []
    let cursor = ''
    do {
      const page = await broker.ask('GET', `/v1/secrets?prefix=team/&limit=1${cursor}`, { token: tokens.reader })
      all.push(...page.body.secrets.map((row: { name: string }) => row.name))
      cursor = page.body.next === null ? '' : `&cursor=${encodeURIComponent(page.body.next)}`
    } while (cursor !== '')
    expect(all).toEqual(['team/set', 'team/text'])
    const admin = await broker.ask('GET', '/v1/secrets')
    expect(admin.body.secrets.find((row: { name: string }) => row.name === 'app/typed')).toMatchObject({
      type: 'api-key',
      labels: { tier: 'gold' },
      owner: '@a',
      store: 'database',
    })
    expect((await broker.ask('GET', '/v1/secrets', { token: tokens.typed })).status).toBe(403)
    expect((await broker.ask('GET', '/v1/secrets?cursor=forged.abc')).status).toBe(400)
  })
})

describe('writing', () => {
  test('a new secret, a new version, the old one in grace', async () => {
    const made = await put('app/typed-too', { value: 'one', labels: { a: 'b' } })
    expect([made.status, made.headers.get('etag')]).toEqual([201, `"${made.body.version}"`])
    const next = await put('app/typed-too', { value: 'two' })
    expect(next.status).toBe(200)
    const read = await broker.ask('GET', '/v1/secrets/app/typed-too')
    expect(read.body).toMatchObject({ value: 'two', labels: { a: 'b' }, grace: { version: made.body.version } })
    const previous = await broker.ask('GET', '/v1/secrets/app/typed-too?stage=previous')
    expect(previous.body).toMatchObject({ value: 'one', stage: 'previous' })
    const versions = await broker.ask('GET', '/v1/versions/app/typed-too')
    expect(versions.body.versions.map((row: { version: string }) => row.version)).toEqual([next.body.version, made.body.version])
  })

  test('preconditions hold, and a failed one names the current version', async () => {
    const made = await put('team/cas', { value: 'one' }, { 'if-none-match': '*' })
    expect(made.status).toBe(201)
    const again = await put('team/cas', { value: 'two' }, { 'if-none-match': '*' })
    expect([again.status, again.body.particulars.current]).toEqual([409, made.body.version])
    const next = await put('team/cas', { value: 'two' }, { 'if-match': made.headers.get('etag') ?? '' })
    expect(next.status).toBe(200)
    const stale = await put('team/cas', { value: 'three' }, { 'if-match': made.headers.get('etag') ?? '' })
    expect([stale.status, stale.body.particulars.current]).toEqual([409, next.body.version])
    expect((await broker.ask('GET', '/v1/secrets/team/cas')).body.value).toBe('two')
  })

  test('of many who replace the same version at once, one succeeds', async () => {
    const made = await put('team/race', { value: 'start' })
    const etag = made.headers.get('etag') ?? ''
    const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => put('team/race', { value: `n${n}` }, { 'if-match': etag })))
    expect(answers.map(answer => answer.status).sort()).toEqual([200, ...Array(11).fill(409)])
  })

  test('text stays text and fields stay fields', async () => {
    const text = await put('ONE', { fields: { a: 'b' } })
    expect([text.status, text.body.code]).toEqual([400, 'invalid_argument'])
    expect((await put('ONE', { value: 'second' })).status).toBe(200)
    expect(place.read('app.env')).toBe('ONE=second\n')
    const refused = await put('ONE', { value: { base64: '/wAB' } })
    expect(refused.status).toBe(422)
  })

  test('what is no acceptable body is refused, and echoed nowhere', async () => {
    const bad = [
      ['{"value":"marker-1","value":"marker-2"}', 400],
      ['{"value":"marker"', 400],
      ['{"value":"marker","fields":{"a":"marker"}}', 400],
      ['{"__proto__":{"x":"marker"},"value":"marker"}', 400],
      ['{}', 400],
      ['{"value":1}', 400],
      [JSON.stringify({ value: 'm'.repeat(70_000) }), 413],
      [JSON.stringify({ value: 'm'.repeat(1_100_000) }), 413],
    ] as const
    for (const [body, status] of bad) {
      const answer = await broker.ask('PUT', '/v1/secrets/team/bad', { body })
      expect([body.slice(0, 30), answer.status]).toEqual([body.slice(0, 30), status])
      expect(answer.text).not.toContain('marker')
    }
    expect((await put('team/bad', { value: 'x' }, { 'content-type': 'text/plain' })).status).toBe(415)
    expect((await put('team/bad', { value: 'x' }, { 'content-encoding': 'gzip' })).status).toBe(415)
    expect((await broker.ask('GET', '/v1/secrets/team/bad')).status).toBe(404)
  })

  test('an Idempotency-Key gives the same answer again, and refuses another body', async () => {
    const key = { 'idempotency-key': 'k-1' }
    const made = await put('team/once', { value: 'one' }, key)
    const again = await put('team/once', { value: 'one' }, key)
    expect([again.status, again.body, again.headers.get('etag')]).toEqual([made.status, made.body, made.headers.get('etag')])
    expect((await put('team/once', { value: 'two' }, key)).status).toBe(409)
    const token = { headers: { 'idempotency-key': 'k-2' }, body: { role: 'reader', ttl: 60 } }
    expect((await broker.ask('POST', '/admin/v1/tokens', token)).status).toBe(201)
    const second = await broker.ask('POST', '/admin/v1/tokens', token)
    expect(second.status).toBe(409)
    expect(second.text).not.toContain('kt_')
  })

  test('a secret is deleted for who may, and conditionally', async () => {
    const made = await put('team/gone', { value: 'x' })
    expect((await broker.ask('DELETE', '/v1/secrets/team/gone', { token: tokens.reader })).status).toBe(403)
    const stale = await broker.ask('DELETE', '/v1/secrets/team/gone', { headers: { 'if-match': '"other"' } })
    expect([stale.status, stale.body.particulars.current]).toEqual([409, made.body.version])
    expect((await broker.ask('DELETE', '/v1/secrets/team/gone', { token: tokens.writer })).status).toBe(204)
    expect(lastLine()).toMatchObject({ principal: 'token:writer', action: 'delete', secret: 'team/gone', outcome: 'allowed' })
    expect((await broker.ask('GET', '/v1/secrets/team/gone')).status).toBe(404)
    expect((await broker.ask('DELETE', '/v1/secrets/team/gone')).status).toBe(404)
    expect((await put('team/gone', { value: 'again' })).status).toBe(201)
  })
})

describe('targets', () => {
  test('an unknown route is a 404 problem, another method a 405 with Allow', async () => {
    const unknown = await broker.ask('GET', '/v2/none')
    expect([unknown.status, unknown.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
    const method = await broker.ask('POST', '/v1/secrets/team/text', { body: {} })
    expect([method.status, method.headers.get('allow')?.split(', ').sort()]).toEqual([405, ['DELETE', 'GET', 'PUT']])
  })

  test('the open routes need nobody and say nothing of secrets', async () => {
    for (const path of ['/healthz', '/readyz', '/openapi.json']) expect((await broker.ask('GET', path, { token: null })).status).toBe(200)
    expect((await broker.ask('GET', '/readyz', { token: null })).body).toEqual({
      ready: true,
      checks: { config: 'ok', ledger: 'ok', audit: 'ok', kek: 'ok' },
      stores: { dotenv: 'ok', database: 'ok' },
    })
  })
})
