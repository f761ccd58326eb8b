import { afterAll, beforeAll, expect, test } from 'vitest'
import { Place, type Running, start, until } from './harness.ts'

const config = `
database: {}
secrets:
  demo/moving: { type: service-token, every: 5s, grace: 3s, cache: 0s }
  demo/still: { type: service-token, every: 1d, grace: 1h, cache: 1s }
  demo/vendor: { type: api-key }
  demo/signing: { type: jwt, every: 1d, grace: 1h }
rotation:
  groups: { tokens: { types: [service-token] } }
access:
  roles:
    reader: { allow: [{ secrets: ["demo/*"], actions: [read] }] }
    operator: { allow: [{ secrets: ["demo/still"], actions: [rotate, read-metadata] }] }
`
const place = new Place()
let broker: Running

beforeAll(async () => {
  place.write('keyturn.yaml', config)
  broker = await start(place)
  await until('the first versions', async () => {
    const moving = await broker.ask('GET', '/v1/secrets/demo/moving')
    const still = await broker.ask('GET', '/v1/secrets/demo/still')
    return moving.status === 200 && still.status === 200 ? true : undefined
  })
})
afterAll(async () => {
  await broker?.stop()
  place.remove()
})

const rowOf = async (name: string) => {
  const status = await broker.ask('GET', '/admin/v1/secrets/rotation/status')
  return status.body.secrets.find((row: { name: string }) => row.name === name)
}

test('what is due is rotated, both versions work in grace, and the old one ends', async () => {
  const first = await broker.ask('GET', '/v1/secrets/demo/moving')
  const second = await until('a rotation', async () => {
    const now = await broker.ask('GET', '/v1/secrets/demo/moving')
    return now.body.version === first.body.version ? undefined : now
  })
  expect(second.body.value).not.toBe(first.body.value)
  expect(second.body.grace.version).toBe(first.body.version)
  const previous = await broker.ask('GET', '/v1/secrets/demo/moving?stage=previous')
  expect(previous.body).toMatchObject({ stage: 'previous', version: first.body.version, value: first.body.value })
  await until('the end of the old version', async () => {
    const old = await broker.ask('GET', `/v1/secrets/demo/moving?version=${first.body.version}`)
    return old.status === 412 ? true : undefined
  })
})

test('an operator rotates by id or name, follows the operation, and is told in grace when to come back', async () => {
  const operator = await broker.tokenOf('operator')
  const before = await broker.ask('GET', '/v1/secrets/demo/still')
  const started = await broker.ask('POST', '/admin/v1/secrets/rotate/demo%2Fstill', { token: operator, body: { reason: 'a test' } })
  expect(started.status).toBe(202)
  const done = await until('the operation', async () => {
    const operation = await broker.ask('GET', started.body.status_url, { token: operator })
    return operation.body.state === 'running' ? undefined : operation.body
  })
  expect(done).toMatchObject({ op_id: started.body.op_id, kind: 'rotate', state: 'done', total: 1, done: 1, failed: 0 })
  const row = await rowOf('demo/still')
  expect(row).toMatchObject({ state: 'in_grace', previous: before.body.version })
  const again = await broker.ask('POST', `/admin/v1/secrets/rotate/${row.secret_id}`, { token: operator })
  expect(again.status).toBe(409)
  expect(again.body.particulars.earliest).toBe(row.grace_until)
  const rolled = await broker.ask('POST', '/admin/v1/secrets/rollback/demo%2Fstill', { body: { reason: 'a test' } })
  expect(rolled.status).toBe(202)
  await until('the rollback', async () => {
    const operation = await broker.ask('GET', rolled.body.status_url)
    return operation.body.state === 'done' ? true : undefined
  })
  const after = await broker.ask('GET', '/v1/secrets/demo/still')
  expect(after.body.value).toBe(before.body.value)
})

test('a strategy that is not built is refused before anything happens', async () => {
  const refused = await broker.ask('POST', '/admin/v1/secrets/rotate/demo%2Fsigning', { body: {} })
  expect([refused.status, refused.body.code]).toEqual([501, 'unsupported'])
})

test('what is not there is told from what is never rotated', async () => {
  await broker.ask('PUT', '/v1/secrets/demo/plain', { body: { value: 'x' } })
  const rotate = async (name: string) => (await broker.ask('POST', `/admin/v1/secrets/rotate/${encodeURIComponent(name)}`)).status
  expect([await rotate('demo/plain'), await rotate('demo/absent')]).toEqual([501, 404])
  expect((await broker.ask('POST', '/admin/v1/secrets/rollback/demo%2Fabsent')).status).toBe(404)
  expect((await broker.ask('POST', '/admin/v1/secrets/rollback/demo%2Fplain')).status).toBe(409)
  expect((await broker.ask('POST', '/admin/v1/secrets/rotate', { body: { names: ['demo/absent'] } })).status).toBe(404)
  expect((await broker.ask('GET', '/admin/v1/secrets/rotation-status/op_none')).status).toBe(404)
  expect(await rowOf('demo/absent')).toBeUndefined()
})

test('a selector shows its plan, and rotates what it names', async () => {
  const plan = await broker.ask('POST', '/admin/v1/secrets/rotate', { body: { group: 'tokens', dry_run: true } })
  expect(plan.status).toBe(200)
  expect(plan.body.plan.map((row: { name: string }) => row.name)).toEqual(['demo/moving', 'demo/still'])
  const readBy = await broker.ask('POST', '/admin/v1/secrets/rotate', { body: { read_by: 'token:x' } })
  expect(readBy.status).toBe(501)
})

test('every event of a rotation is in the chain exactly once', async () => {
  await until('the events', () => {
    const events = broker.audit().filter(line => line.principal === 'keyturn' && line.secret === 'demo/moving')
    return events.length > 3 ? true : undefined
  })
  const ids = broker
    .audit()
    .map(line => line.requestId)
    .filter(id => id?.startsWith('evt_'))
  expect(new Set(ids).size).toBe(ids.length)
})
