import { OpenAPIHono } from '@hono/zod-openapi'
import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { problemType } from '../problem.ts'
import { openApiDocument, routes } from './index.ts'

type Json = Record<string, unknown>

const table: Record<string, number[]> = {
  'get /v1/secrets/{name}': [200, 304, 400, 401, 403, 404, 406, 412, 429, 499, 500, 501, 502, 503],
  'put /v1/secrets/{name}': [200, 201, 400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 499, 500, 501, 502, 503, 504],
  'delete /v1/secrets/{name}': [204, 400, 401, 403, 404, 409, 412, 429, 499, 500, 501, 502, 503, 504],
  'get /v1/versions/{name}': [200, 400, 401, 403, 404, 429, 499, 500, 501, 502, 503],
  'get /v1/secrets': [200, 400, 401, 403, 429, 499, 500, 502, 503],
  'post /v1/secrets:batch': [200, 400, 401, 403, 413, 415, 429, 499, 500, 502, 503],
  'get /admin/v1/secrets/rotation/status': [200, 400, 401, 403, 429, 499, 500, 502, 503],
  'post /admin/v1/secrets/rotate/{secret_id}': [202, 400, 401, 403, 404, 409, 413, 415, 429, 499, 500, 501, 502, 503, 504],
  'post /admin/v1/secrets/rotate': [200, 202, 400, 401, 403, 404, 409, 413, 415, 429, 499, 500, 501, 502, 503, 504],
  'get /admin/v1/secrets/rotation-status/{op_id}': [200, 400, 401, 403, 404, 429, 499, 500, 502, 503],
  'post /admin/v1/secrets/rollback/{secret_id}': [202, 400, 401, 403, 404, 409, 412, 413, 415, 429, 499, 500, 501, 502, 503, 504],
  'post /admin/v1/ops/{op_id}/abort': [202, 400, 401, 403, 404, 409, 412, 413, 415, 429, 499, 500, 502, 503, 504],
  'post /admin/v1/ops/{op_id}/retry': [202, 400, 401, 403, 404, 409, 412, 413, 415, 429, 499, 500, 502, 503, 504],
  'get /admin/v1/tokens': [200, 400, 401, 403, 429, 499, 500, 502, 503],
  'post /admin/v1/tokens': [201, 400, 401, 403, 409, 413, 415, 429, 499, 500, 502, 503, 504],
  'delete /admin/v1/tokens/{id}': [204, 400, 401, 403, 404, 429, 499, 500, 502, 503, 504],
  'post /admin/v1/secrets/rotate-all': [202, 400, 401, 403, 409, 413, 415, 429, 499, 500, 502, 503, 504],
  'post /admin/v1/secrets/reencrypt-all': [202, 400, 401, 403, 409, 413, 415, 429, 499, 500, 502, 503, 504],
  'get /admin/v1/secrets/kek-status': [200, 400, 401, 403, 429, 499, 500, 502, 503],
  'post /admin/v1/keks': [201, 400, 401, 403, 409, 413, 415, 429, 499, 500, 501, 502, 503, 504],
  'post /admin/v1/keks/{kek_id}/retire': [200, 400, 401, 403, 404, 409, 413, 415, 429, 499, 500, 502, 503, 504],
  'post /admin/v1/keks/{kek_id}/compromise': [200, 400, 401, 403, 404, 409, 413, 415, 429, 499, 500, 502, 503, 504],
  'post /admin/v1/keks/{kek_id}/destroy': [200, 400, 401, 403, 404, 409, 413, 415, 429, 499, 500, 501, 502, 503, 504],
  'get /admin/v1/backups': [200, 400, 401, 403, 429, 499, 500, 502, 503],
  'post /admin/v1/backups': [201, 400, 401, 403, 409, 413, 415, 429, 499, 500, 502, 503, 504],
  'get /metrics': [200, 400, 401, 403, 404, 429, 499, 500, 502, 503],
  'get /healthz': [200, 500],
  'get /readyz': [200, 500, 503],
  'get /openapi.json': [200, 500],
}

interface Shown {
  method: string
  path: string
  request?: { query?: z.ZodType; body?: { content: { 'application/json': { schema: z.ZodType } } } }
  responses: Record<string, { content?: Record<string, unknown> }>
}
const all = Object.entries(routes) as unknown as [string, Shown][] // each is more than what is looked at here

describe('the routes', () => {
  test('are those of the wire, with every answer that can come', () => {
    const found = Object.fromEntries(
      all.map(([, { method, path, responses }]) => [`${method} ${path}`, Object.keys(responses).map(Number)]),
    )
    expect(found).toEqual(table)
  })

  test('answer every error as a problem document', () => {
    for (const [id, { responses }] of all) {
      for (const [status, { content }] of Object.entries(responses)) {
        if (Number(status) >= 400 && !(id === 'getReadiness' && status === '503'))
          expect(Object.keys(content ?? {}), `${id} ${status}`).toEqual([problemType])
      }
    }
  })

  const samples: Record<string, object> = {
    putSecret: { value: 'x' },
    batchSecrets: { items: [{ name: 'a' }] },
    rotateSecret: { reason: 'leak' },
    rotateSecrets: { all: true },
    rollbackSecret: {},
    abortOperation: {},
    retryOperation: {},
    createToken: { role: 'r', ttl: 60 },
    rotateAll: {},
    reencryptAll: { reason: 'a key was in a public log' },
    makeKek: { id: 'v3' },
    retireKek: {},
    compromiseKek: { reason: 'a key was in a public log' },
    destroyKek: { confirm: 'v1', confirmation: 'x', loses: 12 },
    createBackup: { keep_for: null },
  }

  test('refuse a member that a body does not know', () => {
    const withBody = all.filter(([, { request }]) => request?.body !== undefined)
    expect(withBody.map(([id]) => id).sort()).toEqual(Object.keys(samples).sort())
    for (const [id, { request }] of withBody) {
      const schema = request?.body?.content['application/json'].schema
      expect(schema?.safeParse(samples[id]).success, id).toBe(true)
      expect(
        schema?.safeParse({ ...samples[id], stray: 1 }).error?.issues.map(issue => issue.code),
        id,
      ).toEqual(['unrecognized_keys'])
    }
  })

  test('refuse a parameter that a query does not know', () => {
    const withQuery = all.filter(([, { request }]) => request?.query !== undefined)
    expect(withQuery.map(([id]) => id).sort()).toEqual(['getRotationStatus', 'getSecret', 'listSecrets'])
    for (const [id, { request }] of withQuery) {
      expect(request?.query?.safeParse({}).success, id).toBe(true)
      expect(request?.query?.safeParse({ stray: '1' }).error?.issues[0]?.code, id).toBe('unrecognized_keys')
    }
  })
})

describe('mounted on Hono', () => {
  const app = new OpenAPIHono()
  // a name is the rest of the path, slashes and all
  const mounted = <R extends { path: string }>(route: R): R => ({ ...route, path: route.path.replace(/\{(name|secret_id)\}$/, '{$1}{.+}') })
  app.openapi(mounted(routes.getSecret), context => context.json({ route: 'getSecret', query: context.req.valid('query') } as never))
  app.openapi(routes.batchSecrets, context => context.json({ route: 'batchSecrets' } as never))
  app.openapi(routes.listSecrets, context => context.json({ route: 'listSecrets', query: context.req.valid('query') } as never))
  app.openapi(mounted(routes.rotateSecret), context => context.json({ route: 'rotateSecret' } as never))
  app.openapi(routes.rotateSecrets, context => context.json({ route: 'rotateSecrets' } as never))
  app.openapi(routes.getRotationStatus, context => context.json({ route: 'getRotationStatus' } as never))
  const post = { method: 'POST', headers: { 'content-type': 'application/json' } }

  test.each([
    ['/v1/secrets/a/b%2Fc?field=x', {}, { route: 'getSecret', query: { field: 'x' } }],
    ['/v1/secrets', {}, { route: 'listSecrets', query: { limit: 100 } }],
    ['/v1/secrets?limit=7&prefix=a/', {}, { route: 'listSecrets', query: { limit: 7, prefix: 'a/' } }],
    ['/v1/secrets:batch', { ...post, body: '{"items":[{"name":"x"}]}' }, { route: 'batchSecrets' }],
    ['/admin/v1/secrets/rotate/payments%2Fstripe', { method: 'POST' }, { route: 'rotateSecret' }],
    ['/admin/v1/secrets/rotate', { ...post, body: '{"all":true}' }, { route: 'rotateSecrets' }],
    ['/admin/v1/secrets/rotation/status', {}, { route: 'getRotationStatus' }],
  ])('%s reaches its route', async (path, init, expected) => {
    expect(await (await app.request(path, init)).json()).toEqual(expected)
  })

  test.each([
    ['/v1/secrets?limit=0', {}, 400],
    ['/v1/secrets?limit=1001', {}, 400],
    ['/v1/secrets?limit=1e2', {}, 400],
    ['/v1/secrets?limit=5&limit=6', {}, 400],
    ['/v1/secrets?limt=5', {}, 400],
    ['/v1/secrets/a?stage=next', {}, 400],
    ['/v1/secrets/a?stage=current&version=7', {}, 400],
    ['/v1/secrets:batch', { ...post, body: '{"items":[]}' }, 400],
    ['/v1/secrets:batch', { method: 'POST', body: '{"items":[{"name":"x"}]}' }, 415],
    ['/v1/secrets:batch', { ...post, headers: { 'content-type': 'text/xml' }, body: '<x/>' }, 415],
    ['/admin/v1/secrets/rotate', { ...post, body: '{"all":true,"group":"g"}' }, 400],
    ['/admin/v1/secrets/rotate', { ...post, body: '{"all":false}' }, 400],
    ['/admin/v1/secrets/rotate', { ...post, body: '{}' }, 400],
  ])('%s with %j is refused', async (path, init, status) => {
    expect((await app.request(path, init)).status).toBe(status)
  })
})

describe('the OpenAPI document', () => {
  const document = openApiDocument(routes, { version: '0.1.0', server: 'http://127.0.0.1:8320' })
  const paths = document.paths as Record<string, Record<string, Json>>
  const schemas = (document.components as { schemas: Json }).schemas

  test('has every route, with the parameter of its path', () => {
    const found = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map(method => `${method} ${path}`))
    expect(found.sort()).toEqual(Object.keys(table).sort())
    for (const [path, methods] of Object.entries(paths)) {
      for (const operation of Object.values(methods)) {
        const declared = ((operation.parameters ?? []) as Json[]).filter(parameter => parameter.in === 'path')
        expect(declared.map(({ name, required }) => [name, required])).toEqual(
          [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, true]),
        )
      }
    }
  })

  test('points at nothing that is not there, and holds nothing that is not used', () => {
    const text = JSON.stringify(document)
    const used = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, id]) => id))
    expect([...text.matchAll(/"\$ref":/g)].length).toBe([...text.matchAll(/"\$ref":"#\/components\/schemas\/\w+"/g)].length)
    expect([...used].sort()).toEqual(Object.keys(schemas).sort())
    expect(text).not.toMatch(/\$defs|__shared|"\$id"|"\$schema"/)
  })

  test('names each operation once, says what it does, and which need no token', () => {
    const operations = Object.values(paths).flatMap(methods => Object.values(methods))
    expect(operations.map(operation => operation.operationId).sort()).toEqual(Object.keys(routes).sort())
    for (const operation of operations) expect(operation.summary).toMatch(/^[A-Z]/)
    expect(
      operations
        .filter(operation => Array.isArray(operation.security) && operation.security.length === 0)
        .map(operation => operation.operationId),
    ).toEqual(['getHealth', 'getReadiness', 'getOpenApi'])
  })

  test('says in JSON Schema what the schemas enforce: one form of a value, one selector, nothing unknown', () => {
    expect(schemas.SecretWrite).toMatchObject({ additionalProperties: false, oneOf: [{ required: ['value'] }, { required: ['fields'] }] })
    expect(schemas.RotateMany).toMatchObject({ additionalProperties: false })
    expect((schemas.RotateMany as { oneOf: unknown[] }).oneOf).toHaveLength(6)
    expect(JSON.parse(JSON.stringify(document))).toEqual(document)
  })
})
