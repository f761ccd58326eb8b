import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import * as api from './index.ts'

const time = '2026-11-20T03:00:00.000Z'
const id = 'sec_01JD8Z4T5V9QW3R7XK2M6N8P0A'
const problem = {
  type: 'urn:keyturn:not_found',
  title: 'Not found',
  status: 404,
  detail: 'x',
  code: 'not_found',
  hint: null,
  requestId: 'r',
}
const secret = {
  name: 'a/b',
  version: '7',
  stage: 'current',
  type: 'api-key',
  labels: {},
  value: 'x',
  createdAt: time,
  grace: null,
  rotatesAt: null,
  ttl: 30,
}
const row = {
  secret_id: id,
  name: 'a',
  type: 'jwt',
  state: 'in_grace',
  step: 'grace',
  version: '2',
  previous: '1',
  grace_until: time,
  next_rotation_at: null,
  op_id: 'op_1',
  attempts: 0,
  next_try_at: null,
  error: { code: 'unavailable', detail: 'down' },
}

describe('the answers of the wire', () => {
  test.each([
    ['secret', api.secret, secret],
    [
      'secret with fields and a grace',
      api.secret,
      { ...secret, value: undefined, fields: { a: { base64: '/wA=' } }, grace: { version: '6', until: time } },
    ],
    ['secretWritten', api.secretWritten, { name: 'a', version: '7', createdAt: time }],
    [
      'versions',
      api.versions,
      { name: 'a', versions: [{ version: '7', state: 'current', createdAt: time, graceUntil: null, store: 'vault' }] },
    ],
    [
      'secretList',
      api.secretList,
      { secrets: [{ id, name: 'a', type: 'generic', labels: { tier: 'gold' }, owner: null, store: 'vault' }], next: null },
    ],
    [
      'batchAnswer',
      api.batchAnswer,
      {
        items: [
          { name: 'a/b', status: 200, secret },
          { name: '..', status: 400, error: problem },
        ],
      },
    ],
    [
      'rotationStatus',
      api.rotationStatus,
      {
        now: time,
        next_scan_at: null,
        counts: { due: 0, running: 0, waiting: 0, in_grace: 1, failed: 0, needs_attention: 0 },
        secrets: [row],
        next: null,
      },
    ],
    ['accepted', api.accepted, { op_id: 'op_1', status_url: '/admin/v1/secrets/rotation-status/op_1' }],
    [
      'rotationPlan',
      api.rotationPlan,
      {
        plan: [
          { secret_id: id, name: 'a', type: 'jwt', strategy: 'key-set', verdict: 'wait', why: 'in grace', not_before: time, grace: 60 },
        ],
      },
    ],
    [
      'operation',
      api.operation,
      {
        op_id: 'op_1',
        kind: 'rotate',
        state: 'done',
        total: 1,
        done: 1,
        skipped: 0,
        failed: 0,
        started: time,
        finished: null,
        items: [
          {
            name: 'a',
            state: 'grace',
            waiting_for: 'grace',
            version: '2',
            rotation: 'ok',
            delivery: { reached: 1, of: 2 },
            revocation: 'pending',
            error: null,
          },
        ],
      },
    ],
    [
      'operation that is a campaign',
      api.operation,
      {
        op_id: 'op_2',
        kind: 'rewrap',
        state: 'failed',
        waiting_for: null,
        target: 'v2',
        note: null,
        total: 3,
        done: 1,
        skipped: 1,
        failed: 1,
        started: time,
        finished: time,
        databases: [{ name: 'ledger', total: 3, done: 1, skipped: 1, failed: 1, state: 'failed' }],
        failures: [{ database: 'ledger', secret: 'a', version: '3', kek: 'v1', code: 'corrupt' }],
        items: [],
      },
    ],
    ['tokenList', api.tokenList, { tokens: [{ id: 't', name: 'ci', role: 'r', created_at: time, expires_at: null, revoked_at: null }] }],
    [
      'readiness',
      api.readiness,
      { ready: true, checks: { config: 'ok', ledger: 'ok', audit: 'ok', kek: 'ok' }, stores: { vault: 'unavailable' } },
    ],
  ])('%s fits', (_, schema, answer) => {
    expect(schema.parse(answer)).toEqual(answer)
  })

  test.each([
    ['neither form', { ...secret, value: undefined }],
    ['both forms', { ...secret, fields: { a: 'x' } }],
    ['a time without milliseconds', { ...secret, createdAt: '2026-11-20T03:00:00Z' }],
    ['a time of another zone', { ...secret, createdAt: '2026-11-20T03:00:00.000+01:00' }],
    ['a negative ttl', { ...secret, ttl: -1 }],
  ])('a secret with %s does not', (_, answer) => {
    expect(api.secret.safeParse(answer).success).toBe(false)
  })
})

describe('the requests of the wire', () => {
  test('get their defaults', () => {
    expect(api.rotateOne.parse({})).toEqual({ reason: '', mode: 'normal' })
    expect(api.rotateMany.parse({ all: true })).toEqual({ all: true, reason: '', mode: 'normal', dry_run: false })
    expect(api.secretListQuery.parse({})).toEqual({ limit: 100 })
  })

  test.each([
    ['two forms of a value', api.secretWrite, { value: 'a', fields: { b: 'c' } }],
    ['no value', api.secretWrite, { type: 'jwt' }],
    ['no fields', api.secretWrite, { fields: {} }],
    ['a number for a value', api.secretWrite, { value: 7 }],
    ['a stray member beside base64', api.secretWrite, { value: { base64: 'AA==', x: 1 } }],
    ['no items', api.batch, { items: [] }],
    ['101 items', api.batch, { items: Array.from({ length: 101 }, () => ({ name: 'a' })) }],
    ['two selectors', api.rotateMany, { all: true, group: 'g' }],
    ['no selector', api.rotateMany, { reason: 'x' }],
    ['empty labels', api.rotateMany, { labels: {} }],
    ['a grace of text', api.rotateOne, { grace_override: '24h' }],
    ['an unknown mode', api.rotateOne, { mode: 'force' }],
    ['an id of a KEK with a slash', api.kekCreate, { id: 'a/b' }],
    ['an id of a KEK of 65 characters', api.kekCreate, { id: 'k'.repeat(65) }],
    ['a loss that is no count', api.kekDestroy, { loses: '7' }],
    ['a bundle kept for less than nothing', api.backupCreate, { keep_for: -1 }],
    ['a ttl of nothing', api.tokenCreate, { role: 'r', ttl: 0 }],
    ['a name of a token with a space', api.tokenCreate, { role: 'r', ttl: 1, name: 'a b' }],
  ])('with %s are refused', (_, schema, body) => {
    expect(schema.safeParse(body).success).toBe(false)
  })
})

describe('complaints about a request', () => {
  const complaintsOf = (schema: typeof api.secretWrite | typeof api.rotateMany | typeof api.batch, body: unknown) => {
    const { error } = schema.safeParse(body)
    return error === undefined ? [] : api.requestComplaints(error)
  }

  test('say where and which rule', () => {
    expect(complaintsOf(api.batch, { items: [{ name: 'a', stage: 'next' }] })).toEqual([
      { path: 'items.0.stage', message: 'Invalid option: expected one of "current"|"previous"|"pending"' },
    ])
    expect(complaintsOf(api.rotateMany, {})).toEqual([{ path: '', message: 'exactly one of names, types, labels, group, read_by, all' }])
    expect(complaintsOf(api.secretWrite, { value: { base64: 7 } })).toEqual([
      { path: 'value.base64', message: 'Invalid input: expected string, received number' },
    ])
  })

  test('echo nothing of what was sent: no value, no name of a member', () => {
    const bodies = [
      { hunter2: 1 },
      { value: { hunter2: 'x' } },
      { value: ['hunter2'] },
      { fields: { hunter2: 7 } },
      { fields: { hunter2: { base64: 'hunter2 ' } } },
      { fields: { ['hunter2'.repeat(50)]: 'x' } },
      { value: 'x', type: 'hunter2 hunter2' },
      { value: 'x', labels: { hunter2: 7 } },
      { value: 'x', labels: { ['hunter2'.repeat(50)]: 'x' } },
    ]
    for (const body of bodies) {
      const found = complaintsOf(api.secretWrite, body)
      expect(found.length, JSON.stringify(body)).toBeGreaterThan(0)
      expect(JSON.stringify(found)).not.toContain('hunter2')
    }
    expect(JSON.stringify(complaintsOf(api.batch, { items: [{ name: 'a', stage: 'hunter2', hunter2: 1 }] }))).not.toContain('hunter2')
  })
})

test('whoever imports the schemas loads no hono', () => {
  const seen = new Set<string>()
  const outside = new Set<string>()
  const follow = (file: string) => {
    if (seen.has(file)) return
    seen.add(file)
    for (const [, target = ''] of readFileSync(file, 'utf8').matchAll(/^(?:import|export) (?!type )[^'";]*? from '([^']+)'$/gm)) {
      if (target.startsWith('.')) follow(join(dirname(file), target))
      else outside.add(target)
    }
  }
  const index = join(dirname(fileURLToPath(import.meta.url)), 'index.ts')
  expect(existsSync(index)).toBe(true)
  follow(index)
  expect(seen.size).toBeGreaterThan(10)
  expect([...outside].sort()).toEqual(['@keyturn/core', 'zod'])
})
