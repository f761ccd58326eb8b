import { request } from 'node:http'
import { join } from 'node:path'
import { routes } from '@keyturn/api/routes'
import { makeLog, readConfig, startBroker, unaudited } from '@keyturn/broker'
import type { BrokerError } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Place, type Running, start } from './harness.ts'

const place = new Place()
let broker: Running

beforeAll(async () => {
  place.write('keyturn.yaml', 'database: {}\n')
  broker = await start(place)
  await broker.ask('PUT', '/v1/secrets/b', { body: { value: 'marker' } })
})
afterAll(async () => {
  await broker?.stop()
  place.remove()
})

/** A request whose target goes out as it is written, which `fetch` would tidy. */
function raw(target: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(broker.serving.address)
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path: target, headers: { authorization: `Bearer ${broker.token}`, ...headers } }, answer => {
      let text = ''
      answer.on('data', chunk => (text += String(chunk)))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

test('a name is what stands in the target, decoded once; nothing is tidied on its way', async () => {
  expect((await raw('/v1/secrets/b')).status).toBe(200)
  for (const target of [
    '/v1/secrets/a/../b',
    '/v1/secrets/a/%2e%2e/b',
    '/v1/secrets/./b',
    '/v1/secrets//b',
    '/v1/secrets/b/',
    '/v1/secrets/%62%252e',
    '/v1/secrets/a%2F..%2Fb',
    '/v1/secrets/a\\b',
    '/v1/secrets/b%00',
    '/v1/secrets/%ff',
    `/v1/secrets/${'a'.repeat(600)}`,
    `${'http://'}127.0.0.1/v1/secrets/b`,
  ]) {
    const { status, text } = await raw(target)
    expect([target.slice(0, 40), status]).toEqual([target.slice(0, 40), 400])
    expect(text).not.toContain('marker')
  }
  expect((await raw('/v1/secrets/%62')).status).toBe(200)
})

test('a request that no route can take is answered with a problem, and recorded', async () => {
  const records = () => place.read('data/audit.jsonl').split('\n').length
  for (const [target, headers] of [
    ['/v1/secrets/a\\b', {}],
    ['/v1/secrets/b', { host: 'a b' }],
    ['/v1/secrets/b', { host: 'a@b/c' }],
  ] as const) {
    const before = records()
    const { status, text } = await raw(target, headers)
    expect([status, JSON.parse(text).code]).toEqual([400, 'invalid_argument'])
    expect(records()).toBe(before + 1)
  }
})

test('every route but the named three wants a token, and records who has none', async () => {
  expect([...unaudited].sort()).toEqual(['getHealth', 'getMetrics', 'getOpenApi', 'getReadiness'])
  for (const [name, route] of Object.entries(routes)) {
    const before = broker.audit().length
    const path = route.path.replace(/\{\w+\}/g, 'x')
    const body = route.method === 'get' || route.method === 'delete' ? {} : { body: {} }
    const { status } = await broker.ask(route.method.toUpperCase(), path, { token: null, ...body })
    const recorded = broker.audit().length - before
    if (unaudited.some(each => each === name)) expect([name, status, recorded]).toEqual([name, 200, 0])
    else expect([name, status, recorded]).toEqual([name, 401, 1])
  }
})

test('the document of the interface has every route', async () => {
  const { body } = await broker.ask('GET', '/openapi.json', { token: null })
  const documented = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method} ${path}`),
  )
  expect(documented.sort()).toEqual(
    Object.values(routes)
      .map(({ method, path }) => `${method} ${path}`)
      .sort(),
  )
})

test('a small request that unfolds, a body that never ends and headers without end are cut short', async () => {
  const many = `{"items":[${Array.from({ length: 1_200 }, () => '{"name":"b"}').join(',')}]}`
  expect((await broker.ask('POST', '/v1/secrets:batch', { body: many })).status).toBe(400)
  expect((await broker.ask('PUT', '/v1/secrets/deep', { body: '['.repeat(50_000) })).status).toBe(400)
  expect((await raw('/v1/secrets/b', { 'x-long': 'x'.repeat(20_000) })).status).toBe(431)
})

describe('starting is refused', () => {
  const attempt = (yaml: string, env: Record<string, string> = {}) => {
    const other = new Place()
    other.write('keyturn.yaml', yaml)
    const all = { KEYTURN_LISTEN: '127.0.0.1:0', KEYTURN_DATA: join(other.folder, 'data'), ...env }
    const log = makeLog(all, { write: () => undefined })
    return startBroker({ config: join(other.folder, 'keyturn.yaml'), cwd: other.folder, env: all, log })
      .then(
        async running => {
          await running.stop()
          return undefined
        },
        (error: unknown) => error as BrokerError,
      )
      .finally(() => other.remove())
  }

  test('on an address that others can reach in clear, unless it is allowed', async () => {
    const refused = await attempt('database: {}\n', { KEYTURN_LISTEN: '0.0.0.0:0' })
    expect(refused?.code).toBe('invalid_argument')
    expect(refused?.hint).toContain('plaintext-admin')
    expect(await attempt('broker: { allow: [plaintext-admin] }\ndatabase: {}\n', { KEYTURN_LISTEN: '0.0.0.0:0' })).toBeUndefined()
  })

  test('without keys in the environment, naming both variables', async () => {
    const refused = await attempt('broker: { keys: { provider: env, prefix: TALOS } }\ndatabase: {}\n')
    expect(refused?.message).toContain('TALOS_KEK_<id>')
    expect(refused?.message).toContain('TALOS_CURRENT_KEK_ID')
  })

  test('while another broker has the data folder', async () => {
    const env = { KEYTURN_LISTEN: '127.0.0.1:0', KEYTURN_DATA: join(place.folder, 'data') }
    const log = makeLog(env, { write: () => undefined })
    const second = startBroker({ config: join(place.folder, 'keyturn.yaml'), cwd: place.folder, env, log })
    await expect(second).rejects.toMatchObject({ code: 'conflict' })
    expect((await broker.ask('GET', '/v1/secrets/b')).status).toBe(200)
  })

  test('by a config that is wrong, with every complaint', async () => {
    await expect(
      readConfig({ config: place.write('bad.yaml', 'rotaton: {}\nbroker: { listen: 1 }\n'), cwd: place.folder, env: {} }),
    ).rejects.toThrow(/rotation[\s\S]*listen|listen[\s\S]*rotation/)
  })
})
