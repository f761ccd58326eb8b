import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SecretValue } from '@keyturn/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SmallBroker } from '../test/small-broker.ts'
import { KeyturnClient } from './index.ts'

let broker: SmallBroker
let client: KeyturnClient

beforeAll(async () => {
  broker = await SmallBroker.start()
})
afterAll(() => broker.stop())
beforeEach(() => {
  broker.secrets.clear()
  broker.instead = undefined
  broker.silent = false
  for (const [name, value] of Object.entries({
    'payments/stripe': SecretValue.fields({ api_key: 'sk_1', note: 'x' }),
    'app/session': SecretValue.text('s3cret\n'),
    'app/binary': SecretValue.bytes(Buffer.from([0, 255, 10])),
    'a-b/ü:1': SecretValue.text('odd'),
    'fails/x': SecretValue.text('1'),
    'waits/x': SecretValue.text('1'),
  })) {
    broker.secrets.set(name, { type: 'api-key', labels: {}, versions: [value] })
  }
  client = new KeyturnClient({ address: broker.address, token: broker.token })
})

const pollMs = 1

describe('secrets', () => {
  it('reads values as text, as fields and as bytes', async () => {
    expect(await client.get('payments/stripe')).toMatchObject({
      name: 'payments/stripe',
      version: '1',
      fields: { api_key: 'sk_1', note: 'x' },
    })
    expect(await client.get('payments/stripe', { field: 'api_key' })).toMatchObject({ value: 'sk_1' })
    expect(await client.get('app/binary')).toMatchObject({ value: { base64: 'AP8K' } })
    const { bytes, version } = await client.getBytes('app/binary')
    expect([[...bytes], version]).toEqual([[0, 255, 10], '1'])
    expect(await client.get('a-b/ü:1')).toMatchObject({ value: 'odd' })
  })

  it('writes, replaces under a condition, and deletes', async () => {
    expect(await client.set('new/one', { value: 'v1', type: 'jwt' })).toMatchObject({ created: true, version: '1' })
    expect(await client.set('new/one', { fields: { a: 'v2' } }, { ifVersion: '1' })).toMatchObject({ created: false, version: '2' })
    await expect(client.set('new/one', { value: 'v3' }, { ifVersion: '1' })).rejects.toMatchObject({
      code: 'conflict',
      detail: { current: 2 },
    })
    await expect(client.set('new/one', { value: 'v3' }, { mustBeNew: true })).rejects.toMatchObject({ code: 'conflict' })
    expect((await client.versions('new/one')).versions.map(version => version.state)).toEqual(['current', 'previous'])
    await client.delete('new/one')
    await expect(client.get('new/one')).rejects.toMatchObject({ code: 'not_found' })
  })

  it('lists every page, and stops fetching when the caller stops', async () => {
    for (let at = 100; at < 125; at += 1)
      broker.secrets.set(`many/${at}`, { type: 'generic', labels: {}, versions: [SecretValue.text('x')] })
    const names: string[] = []
    for await (const row of client.list({ prefix: 'many/', limit: 10 })) names.push(row.name)
    expect(names).toEqual(Array.from({ length: 25 }, (_, at) => `many/${at + 100}`))
    broker.requests.length = 0
    for await (const row of client.list({ prefix: 'many/', limit: 10 })) if (row.name === 'many/103') break
    expect(broker.requests).toHaveLength(1)
  })

  it('answers a batch item by item', async () => {
    const items = await client.batch([{ name: 'app/session' }, { name: 'none' }, { name: 'denied/x' }])
    expect(items.map(item => item.status)).toEqual([200, 404, 403])
  })

  it.each(['', 'a//b', '../x', 'a/./b', 'a/%2e%2e/b', 'a\ud800'])('refuses the name %j without a request', async name => {
    broker.requests.length = 0
    await expect(client.get(name)).rejects.toMatchObject({ code: 'invalid_argument' })
    expect(broker.requests).toHaveLength(0)
  })
})

describe('rotations', () => {
  it('waits until the rotation is promoted, telling each look', async () => {
    const looks: string[] = []
    const operation = await client.rotate('payments/stripe', {
      reason: 'leaked',
      mode: 'compromise',
      pollMs,
      onProgress: seen => looks.push(seen.state),
    })
    expect(operation).toMatchObject({ state: 'done', items: [{ name: 'payments/stripe', rotation: 'ok', delivery: 'complete' }] })
    expect(looks).toEqual(['running', 'running', 'done'])
    const sent = broker.requests.find(request => request.line === 'POST /admin/v1/secrets/rotate/payments%2Fstripe')
    expect(JSON.parse(sent?.body ?? '')).toEqual({ reason: 'leaked', mode: 'compromise' })
    expect(sent?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('ends the wait where a person is needed, and when the caller does', async () => {
    expect(await client.rotate('waits/x', { pollMs })).toMatchObject({ state: 'waiting' })
    expect(await client.rotate('fails/x', { pollMs })).toMatchObject({ state: 'failed', items: [{ error: { code: 'unavailable' } }] })
    const stop = AbortSignal.timeout(30)
    await expect(client.rotate('payments/stripe', { pollMs: 10_000, signal: stop })).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('plans without a change, starts by selector, rolls back, aborts and retries', async () => {
    expect(await client.plan({ types: ['api-key'] })).toHaveLength(6)
    expect(broker.requests.at(-1)?.body).toContain('"dry_run":true')
    const { op_id } = await client.startRotations({ all: true }, { reason: 'drill' })
    await client.abort(op_id)
    expect(await client.operation(op_id)).toMatchObject({ state: 'aborted' })
    expect(await client.retry(op_id)).toMatchObject({ op_id })
    expect(await client.wait((await client.rollback('app/session')).op_id, { pollMs })).toMatchObject({ kind: 'rollback', state: 'done' })
    expect((await client.status()).secrets).toHaveLength(6)
    await expect(client.operation('../secrets')).rejects.toMatchObject({ code: 'invalid_argument' })
  })
})

it('makes, lists and revokes tokens, and tells readiness also when it is red', async () => {
  const { id, token } = await client.createToken({ role: 'worker', ttl: 3600, name: 'ci' })
  expect(token).toBe('kt_fresh_token')
  expect(await client.tokens()).toMatchObject([{ id, name: 'ci', role: 'worker' }])
  await client.revokeToken(id)
  await expect(client.revokeToken(id)).rejects.toMatchObject({ code: 'not_found' })
  expect(await client.readiness()).toMatchObject({ ready: false, checks: { audit: 'unavailable' } })
})

describe('failures', () => {
  it('gives the problem as the broker threw it', async () => {
    await expect(client.get('none')).rejects.toMatchObject({
      code: 'not_found',
      message: 'none does not exist',
      hint: 'keyturn list shows what does',
    })
    const other = new KeyturnClient({ address: broker.address, token: 'wrong' })
    await expect(other.get('none')).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('reads the token file for each call', async () => {
    const tokenFile = join(mkdtempSync(join(tmpdir(), 'keyturn-client-')), 'token')
    const reader = new KeyturnClient({ address: `${broker.address}/`, tokenFile })
    await expect(reader.get('app/session')).rejects.toMatchObject({ code: 'unauthenticated', message: expect.stringContaining('ENOENT') })
    writeFileSync(tokenFile, `${broker.token}\n`)
    expect(await reader.get('app/session')).toMatchObject({ value: 's3cret\n' })
    rmSync(tokenFile)
  })

  it('follows no redirect', async () => {
    broker.instead = { status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' }
    broker.requests.length = 0
    await expect(client.get('app/session')).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('302') })
    expect(broker.requests).toHaveLength(1)
  })

  it('tells a write of unclear end from one that never left', async () => {
    broker.instead = { status: 504, body: '<html>gateway</html>' }
    await expect(client.set('app/session', { value: 'x' })).rejects.toMatchObject({ code: 'outcome_unknown' })
    await expect(client.get('app/session')).rejects.toMatchObject({ code: 'unavailable' })
    broker.instead = undefined
    broker.silent = true
    const hasty = new KeyturnClient({ address: broker.address, token: broker.token, timeoutMs: 30 })
    await expect(hasty.set('app/session', { value: 'x' })).rejects.toMatchObject({ code: 'outcome_unknown' })
    await expect(hasty.get('app/session')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no answer in time'),
    })
    const nobody = await SmallBroker.start()
    const { address } = nobody
    await nobody.stop()
    const lost = new KeyturnClient({ address, token: 'x' })
    await expect(lost.set('app/session', { value: 'x' })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it('shows nothing of an answer that is no broker’s', async () => {
    broker.instead = { status: 200, body: '{"value":"s3cret"}' }
    const error = await client.get('app/session').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'internal' })
    expect(JSON.stringify(error) + String(error)).not.toContain('s3cret')
  })

  it.each(['ftp://x', 'http://user:pass@x', 'nonsense', 'http://x/?q'])('refuses the address %s', address => {
    expect(() => new KeyturnClient({ address })).toThrow('no http or https URL')
  })
})
