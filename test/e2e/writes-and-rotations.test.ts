import { afterAll, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import { freePort } from '../servers/free-port.ts'
import { Child, verdictOf } from './child.ts'
import { Place, type Running, start, until } from './harness.ts'

const place = new Place()
let broker: Running

beforeAll(async () => {
  place.write(
    'keyturn.yaml',
    `
database: {}
secrets:
  app/approved: { type: service-token, every: 1d, grace: 1h, cache: 0s, approval: true }
`,
  )
  broker = await start(place)
})
afterAll(async () => {
  await broker?.stop()
  place.remove()
})

const put = (value: string) => broker.ask('PUT', '/v1/secrets/app/approved', { body: { value } })

test('while a rotation is before its promotion, a write is refused with its operation; aborted, it goes through', async () => {
  await until('the first version', async () => ((await broker.ask('GET', '/v1/secrets/app/approved')).status === 200 ? true : undefined))
  expect((await put('one')).status).toBe(200)
  const started = await until('the end of the first rotation', async () => {
    const asked = await broker.ask('POST', '/admin/v1/secrets/rotate/app%2Fapproved', { body: { reason: 'a test' } })
    return asked.status === 202 ? asked : undefined
  })
  const waiting = await until('the wait for approval', async () => {
    const operation = await broker.ask('GET', started.body.status_url)
    return operation.body.state === 'waiting' ? operation.body : undefined
  })
  expect(waiting.items[0].waiting_for).toContain('approval')
  const refused = await put('two')
  expect([refused.status, refused.body.particulars.op]).toEqual([409, started.body.op_id])
  expect((await broker.ask('DELETE', '/v1/secrets/app/approved')).status).toBe(409)
  const again = await broker.ask('POST', '/admin/v1/secrets/rotate/app%2Fapproved', { body: {} })
  expect([again.status, again.body.particulars.op]).toEqual([409, started.body.op_id])
  expect((await broker.ask('POST', `/admin/v1/ops/${started.body.op_id}/retry`)).status).toBe(202)
  expect((await broker.ask('POST', `/admin/v1/ops/${started.body.op_id}/abort`, { body: { reason: 'enough' } })).status).toBe(202)
  await until('the abort', async () => ((await broker.ask('GET', started.body.status_url)).body.state === 'aborted' ? true : undefined))
  expect((await broker.ask('GET', '/v1/secrets/app/approved')).body.value).toBe('one')
  expect((await put('two')).status).toBe(200)
  expect((await broker.ask('POST', `/admin/v1/ops/${started.body.op_id}/abort`)).status).toBe(409)
})

test('a grace is never shortened by a rotation', async () => {
  const shorter = await broker.ask('POST', '/admin/v1/secrets/rotate/app%2Fapproved', { body: { grace_override: 60 } })
  expect(shorter.status).toBe(400)
})

test('a write that was cut off by death is settled by looking at the store', { timeout: 60_000 }, async () => {
  const vault = await VaultFake.start()
  const kv = vault.mount('secret', 2)
  kv.put('app/key', { password: 'before' })
  const other = new Place()
  other.write(
    'keyturn.yaml',
    `vault: { address: "${vault.url}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [{ path: secret/data/app/key }] }
secrets: { app/key: { type: api-key, grace: 1h, cache: 0s } }
`,
  )
  const port = await freePort()
  let child = await Child.start(other, port, { THE_TOKEN: vault.root })
  try {
    vault.turn(/^(PUT|POST) \/v1\/secret\/data/, { do: 'slow', ms: 10_000 })
    void child.ask('PUT', '/v1/secrets/app/key', { body: { fields: { password: 'after' } } }).catch(() => undefined)
    await until('the write at the store', () =>
      vault.seen.some(seen => /^(PUT|POST)$/.test(seen.method) && seen.path.includes('/data/')) ? true : undefined,
    )
    await new Promise(resolve => setTimeout(resolve, 50))
    await child.kill()
    vault.turnBack()
    child = await Child.start(other, port, { THE_TOKEN: vault.root })
    const settled = await until('the settlement', async () => {
      const previous = await child.ask('GET', '/v1/secrets/app/key?stage=previous')
      return previous.status === 200 ? previous : undefined
    })
    expect(settled.body).toMatchObject({ version: '1', fields: { password: 'before' } })
    const now = await child.ask('GET', '/v1/secrets/app/key')
    expect(now.body).toMatchObject({ version: '2', fields: { password: 'after' }, grace: { version: '1' } })
    expect((await child.ask('PUT', '/v1/secrets/app/key', { body: { fields: { password: 'next' } } })).status).toBe(200)
    expect(await verdictOf(other, { THE_TOKEN: vault.root })).toBe('ok')
  } finally {
    await child.kill()
    await vault.close()
    other.remove()
  }
})
