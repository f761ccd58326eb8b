import { afterAll, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import type { KvTwo } from '../fakes/vault-kv.ts'
import { freePort } from '../servers/free-port.ts'
import { Child } from './child.ts'
import { Place, until } from './harness.ts'

let one: VaultFake
let place: Place
let broker: Child
let port: number

const names = ['written', 'rotated', 'removed']
const stores = ['one', 'database', 'env']

beforeAll(async () => {
  one = await VaultFake.start()
  const kv = one.mount('secret', 2)
  place = new Place()
  for (const name of names) kv.put(name, { password: `old-${name}` })
  place.write('app.env', names.map(name => `${name.toUpperCase()}='{"password":"old-${name}"}'\n`).join(''))
  place.write(
    'keyturn.yaml',
    `one: { kind: vault, address: "${one.url}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [${names.map(name => `{ path: secret/data/${name} }`).join(', ')}] }
database: { secrets: [${names.map(name => `{ path: ${name} }`).join(', ')}] }
env: { kind: dotenv, file: app.env, secrets: [${names.map(name => `{ path: ${name.toUpperCase()}, name: ${name}, format: json }`).join(', ')}] }
secrets:
${names.map(name => `  ${name}: { from: [${stores.join(', ')}], cache: 0s, type: service-token, strategy: external, every: 1d, grace: 1h }`).join('\n')}
`.replace('strategy: external, every: 1d, grace: 1h }\n  removed', 'every: 1d, grace: 1h, renew: [password] }\n  removed'),
  )
  port = await freePort()
  broker = await Child.start(place, port, { THE_TOKEN: one.root })
})
afterAll(async () => {
  await broker?.kill()
  await one?.close()
  place?.remove()
})

const again = async () => {
  await broker.kill()
  broker = await Child.start(place, port, { THE_TOKEN: one.root })
}
const read = (name: string) => broker.ask('GET', `/v1/secrets/${name}`)
/** What a reader gets from the second store, once that has it. */
const fromSecond = (name: string) =>
  until('the second store', async () => {
    await read(name)
    one.turn(/^GET \/v1\/secret\/data/, { do: 'drop' }, 1)
    const { body } = await read(name)
    return body.source === 'database' ? body : undefined
  })
const inFile = (name: string) => JSON.parse(new RegExp(`^${name.toUpperCase()}='(.*)'$`, 'm').exec(place.read('app.env'))?.[1] ?? 'null')

test('killed between the first store and the others, it brings them what was written when it starts again', {
  timeout: 60_000,
}, async () => {
  await read('written')
  // the first store takes the write, and its answer is late: the broker dies before it knows
  one.turn(/^(POST|PUT) \/v1\/secret\/data\/written/, { do: 'slow', ms: 2_000 }, 1)
  const asked = broker.ask('PUT', '/v1/secrets/written', { body: { fields: { password: 'new' } } }).catch(() => undefined)
  await until('the write', () => ((one.engine('secret') as KvTwo).secrets.get('written')?.current === 2 ? true : undefined))
  expect(inFile('written')).toEqual({ password: 'old-written' })
  await again()
  await asked
  await until('the copies', () => (inFile('written').password === 'new' ? true : undefined))
  expect(await fromSecond('written')).toMatchObject({ fields: { password: 'new' }, version: '2' })
})

test('a rotation that dies on its way to the other stores ends there', { timeout: 60_000 }, async () => {
  await read('rotated')
  expect((await broker.ask('POST', '/admin/v1/secrets/rotate/rotated')).status).toBe(202)
  await until('the first store', () => ((one.engine('secret') as KvTwo).secrets.get('rotated')?.current === 2 ? true : undefined))
  await again()
  const { fields } = await until('the new version', async () => {
    const { body } = await read('rotated')
    return body.fields?.password === 'old-rotated' ? undefined : body
  })
  await until('the copies', () => (inFile('rotated').password === fields.password ? true : undefined))
  expect(await fromSecond('rotated')).toMatchObject({ fields, version: '2' })
})

test('a secret that was being taken away is not brought back by who was not told', { timeout: 60_000 }, async () => {
  expect((await broker.ask('PUT', '/v1/secrets/removed', { body: { fields: { password: 'new' } } })).status).toBe(200)
  await until('the copies', () => (inFile('removed').password === 'new' ? true : undefined))
  one.turn(/^DELETE \/v1\/secret\/data\/removed/, { do: 'slow', ms: 2_000 }, 1)
  const asked = broker.ask('DELETE', '/v1/secrets/removed').catch(() => undefined)
  await until('the deletion', () =>
    (one.engine('secret') as KvTwo).secrets.get('removed')?.versions.get(2)?.deletion_time === '' ? undefined : true,
  )
  await broker.kill()
  await asked
  one.turn(/^GET \/v1\/secret\/data\/removed/, { do: 'drop' }, 3)
  broker = await Child.start(place, port, { THE_TOKEN: one.root })
  // the other stores still have it, and know nothing
  expect((await read('removed')).status).not.toBe(200)
  one.turnBack()
  await until('the other stores', () => (place.read('app.env').includes('REMOVED=') ? undefined : true))
  await until('the end of it', async () => ((await read('removed')).status === 404 ? true : undefined))
})

test('a write that died at the first store while that goes away is settled when it is back, and brought to the others', {
  timeout: 60_000,
}, async () => {
  const write = /^(POST|PUT) \/v1\/secret\/data\/written/
  one.turn(write, { do: 'slow', ms: 10_000 })
  const before = one.seen.length
  void broker.ask('PUT', '/v1/secrets/written', { body: { fields: { password: 'last' } } }).catch(() => undefined)
  await until('the write', () => (one.seen.slice(before).some(seen => write.test(`${seen.method} ${seen.path}`)) ? true : undefined))
  await new Promise(resolve => setTimeout(resolve, 50))
  await broker.kill()
  one.turnBack()
  one.turn(/data/, { do: 'drop' })
  broker = await Child.start(place, port, { THE_TOKEN: one.root })
  await until('the look that fails', () => (broker.output.includes('could not be settled yet') ? true : undefined))
  one.turnBack()
  await until('the other store', () => (place.read('app.env').includes('WRITTEN=\'{"password":"last"}\'') ? true : undefined), 40_000)
  expect((await broker.ask('PUT', '/v1/secrets/written', { body: { fields: { password: 'next' } } })).status).toBe(200)
})
