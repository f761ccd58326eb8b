import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import type { KvTwo } from '../fakes/vault-kv.ts'
import { Place, type Running, start, until } from './harness.ts'

const data = /^\w+ \/v1\/secret\/data/
let one: VaultFake
let two: VaultFake
let place: Place
let broker: Running
const kv = (fake: VaultFake) => fake.engine('secret') as KvTwo // mounted so below
const currentOf = (fake: VaultFake, key: string) => {
  const secret = kv(fake).secrets.get(key)
  const version = secret?.versions.get(secret.current)
  return version?.deletion_time === '' ? version.data : null
}

const names = ['plain', 'put', 'late', 'rotated', 'outside', 'gone', 'deleted', 'stale', 'closed', 'first', 'refused']
const rows: Record<string, string> = {
  rotated: 'type: service-token, every: 1d, grace: 1h, renew: [password], cache: 0s',
  stale: 'cache: 0s, maxStale: 1h',
  closed: 'cache: 0s, maxStale: 1h, failClosed: true',
}
const envOf = (name: string) => name.toUpperCase()

beforeAll(async () => {
  one = await VaultFake.start()
  two = await VaultFake.start()
  place = new Place()
  for (const fake of [one, two]) {
    fake.mount('secret', 2)
    for (const name of names) kv(fake).put(`app/${name}`, { password: `old-${name}` })
  }
  // the first store counts its versions by itself
  kv(one).put('app/plain', { password: 'old-plain' })
  place.write('app.env', names.map(name => `${envOf(name)}='{"password":"old-${name}"}'\n`).join(''))
  const vault = (fake: VaultFake) =>
    `{ kind: vault, address: "${fake.url}", auth: { method: token, token: "\${THE_TOKEN}" }, timeout: 5s, secrets: [${names
      .map(name => `{ path: secret/data/app/${name} }`)
      .join(', ')}] }`
  const env = names.map(name => `{ path: ${envOf(name)}, name: app/${name}, format: json }`).join(', ')
  const row = (name: string) => `  app/${name}: { from: [one, two, env], ${rows[name] ?? 'cache: 0s'} }`
  place.write(
    'keyturn.yaml',
    `one: ${vault(one)}\ntwo: ${vault(two)}\nenv: { kind: dotenv, file: app.env, secrets: [${env}] }\nsecrets:\n${names.map(row).join('\n')}\n`,
  )
  broker = await start(place, { THE_TOKEN: one.root })
})
afterEach(() => {
  one.turnBack()
  two.turnBack()
})
afterAll(async () => {
  await broker?.stop()
  expect([one?.broken, two?.broken]).toEqual([[], []])
  await one?.close()
  await two?.close()
  place?.remove()
})

const read = (name: string, query = '') => broker.ask('GET', `/v1/secrets/app/${name}${query}`)
const put = (name: string, password: string) => broker.ask('PUT', `/v1/secrets/app/${name}`, { body: { fields: { password } } })
/** A failure in between would leave the store alone for some seconds: one answer of it ends that. */
const settled = () =>
  until('all stores', async () => {
    await Promise.all([read('plain'), read('first')])
    const { body } = await broker.ask('GET', '/readyz', { token: null })
    return Object.values(body.stores).every(state => state === 'ok') ? true : undefined
  })

test.each([
  ['is not there', { do: 'drop' }],
  ['throttles', { do: 'throttle' }],
  ['is sealed', { do: 'seal' }],
] as const)('a store that %s leads to the next one, whose answer has the id of the first and says where it is from', async (_, knob) => {
  expect((await read('plain')).body).toMatchObject({ fields: { password: 'old-plain' }, version: '2', source: 'one', age: 0, stale: false })
  one.turn(data, knob, 2)
  const second = await read('plain')
  expect(second.body).toMatchObject({ fields: { password: 'old-plain' }, version: '2', source: 'two', stale: false })
  expect(second.headers.get('x-keyturn-source')).toBe('two')
  expect(second.headers.get('etag')).toBe('"2"')
  two.turn(data, knob, 1)
  expect((await read('plain')).body).toMatchObject({ fields: { password: 'old-plain' }, version: '2', source: 'env' })
})

test.each([
  ['denied', { do: 'fail', status: 403, errors: ['permission denied'] }, 502, 'permission_denied'],
  ['absent', { do: 'fail', status: 404, errors: [] }, 404, 'not_found'],
  ['a page of HTML', { do: 'page' }, 502, 'corrupt'],
] as const)('%s is final: no other store is asked', async (_, knob, status, code) => {
  await read('refused')
  const before = two.seen.length
  one.turn(/data\/app\/refused/, knob)
  const answer = await read('refused')
  expect([answer.status, answer.body.code]).toEqual([status, code])
  expect(two.seen.length).toBe(before)
})

test('a write reaches every store, and a name keeps its neighbours there', async () => {
  const written = await put('put', 'new')
  expect([written.status, written.body.version]).toEqual([200, '2'])
  await until('both others', () => {
    const there = currentOf(two, 'app/put')?.password === 'new' && place.read('app.env').includes('PUT=\'{"password":"new"}\'')
    return there ? true : undefined
  })
  expect(currentOf(one, 'app/put')).toEqual({ password: 'new' })
  one.turn(data, { do: 'drop' }, 1)
  expect((await read('put')).body).toMatchObject({ fields: { password: 'new' }, version: '2', source: 'two' })
})

test('a store that is behind is not asked to take readers back in time, and gets what it missed by itself', async () => {
  two.turn(/data\/app\/late/, { do: 'fail', status: 500 })
  expect((await put('late', 'new')).status).toBe(200)
  await until('the copy that could be reached', () => (place.read('app.env').includes('LATE=\'{"password":"new"}\'') ? true : undefined))
  two.turnBack()
  two.turn(/^(POST|PUT) \/v1\/secret\/data\/app\/late/, { do: 'fail', status: 500 })
  one.turn(/data\/app\/late/, { do: 'drop' }, 1)
  // two answers, but with the old value
  expect((await read('late')).body).toMatchObject({ fields: { password: 'new' }, version: '2', source: 'env' })
  place.write('app.env', place.read('app.env').replace('LATE=\'{"password":"new"}\'', 'LATE=\'{"password":"other"}\''))
  one.turn(/data\/app\/late/, { do: 'drop' }, 1)
  const none = await read('late')
  expect([none.status, none.body.code, none.body.particulars.stores]).toEqual([
    503,
    'unavailable',
    { one: 'unavailable', two: 'behind', env: 'behind' },
  ])
  expect(none.text).not.toContain('other')
  const row = (await broker.ask('GET', '/admin/v1/secrets/rotation/status')).body.secrets.find(
    (each: { name: string }) => each.name === 'app/late',
  )
  expect(row.error).toMatchObject({ code: 'unavailable', detail: expect.stringContaining('two') })
  two.turnBack()
  await until('the copy that was missed', () => (currentOf(two, 'app/late')?.password === 'new' ? true : undefined))
})

test('a rotation reaches every store before its old version may end', async () => {
  two.turn(/^(POST|PUT) \/v1\/secret\/data\/app\/rotated/, { do: 'fail', status: 500 })
  const asked = await broker.ask('POST', '/admin/v1/secrets/rotate/app%2Frotated')
  const op = () => broker.ask('GET', `/admin/v1/secrets/rotation-status/${asked.body.op_id}`)
  const item = await until('the first store and one of the others', async () => {
    const { items } = (await op()).body
    return items[0]?.state === 'published' || items[0]?.state === 'grace' ? items[0] : undefined
  })
  expect(item.delivery).toEqual({ reached: 1, of: 2 })
  two.turnBack()
  const made = (await read('rotated')).body
  expect(made.fields.password).not.toBe('old-rotated')
  await until('every store', async () => ((await op()).body.items[0].delivery === 'complete' ? true : undefined))
  expect(currentOf(two, 'app/rotated')).toEqual(made.fields)
  expect(place.read('app.env')).toContain(made.fields.password)
  one.turn(data, { do: 'drop' }, 1)
  expect((await read('rotated')).body).toMatchObject({ fields: made.fields, version: made.version, source: 'two', grace: made.grace })
})

test('what somebody else wrote to the first store is current, and the others serve it once they have it too', async () => {
  await read('outside')
  kv(one).put('app/outside', { password: 'theirs' })
  expect((await read('outside')).body).toMatchObject({ fields: { password: 'theirs' }, version: '2', source: 'one' })
  one.turn(/data\/app\/outside/, { do: 'drop' }, 1)
  expect((await read('outside')).status).toBe(503)
  kv(two).put('app/outside', { password: 'theirs' })
  one.turn(/data\/app\/outside/, { do: 'drop' }, 1)
  expect((await read('outside')).body).toMatchObject({ fields: { password: 'theirs' }, version: '2', source: 'two' })
  expect(place.read('app.env')).toContain('OUTSIDE=\'{"password":"old-outside"}\'')
})

test('what was taken away comes back from no store', async () => {
  await read('gone')
  kv(one).secrets.delete('app/gone')
  expect((await read('gone')).status).toBe(404)
  one.turn(/data\/app\/gone/, { do: 'drop' }, 1)
  expect((await read('gone')).status).toBe(503)
  expect((await broker.ask('DELETE', '/v1/secrets/app/deleted')).status).toBe(204)
  one.turn(/data\/app\/deleted/, { do: 'drop' }, 1)
  expect((await read('deleted')).status).toBe(503)
  await until('the other stores', () => (currentOf(two, 'app/deleted') === null ? true : undefined))
  await until('the file', () => (place.read('app.env').includes('DELETED=') ? undefined : true))
  expect((await read('deleted')).status).toBe(404)
  await put('deleted', 'again')
  await until('the copy', () => (currentOf(two, 'app/deleted')?.password === 'again' ? true : undefined))
  one.turn(/data\/app\/deleted/, { do: 'drop' }, 1)
  expect((await read('deleted')).body).toMatchObject({ fields: { password: 'again' }, source: 'two' })
})

test('when no store answers, memory stands in where the row allows it, and says so; the record too', async () => {
  for (const name of ['stale', 'closed', 'plain']) await read(name)
  place.write('app.env', place.read('app.env').replaceAll(/^(STALE|CLOSED|PLAIN)=.*$/gm, '$1=unusable'))
  for (const fake of [one, two]) fake.turn(/data\/app\/(stale|closed|plain)/, { do: 'drop' })
  // a file that does not parse is an answer, and final
  place.write('app.env', place.read('app.env').replaceAll(/^(STALE|CLOSED|PLAIN)=.*$/gm, '$1=\'{"password":"behind"}\''))
  const stale = await read('stale')
  expect(stale.body).toMatchObject({ fields: { password: 'old-stale' }, source: 'one', stale: true, ttl: 0 })
  expect([stale.headers.get('x-keyturn-stale'), stale.headers.get('x-keyturn-source')]).toEqual(['true', 'cache'])
  expect(broker.audit().at(-1)).toMatchObject({ action: 'read', secret: 'app/stale', outcome: 'allowed', code: 'stale' })
  const batch = await broker.ask('POST', '/v1/secrets:batch', { body: { items: [{ name: 'app/stale' }, { name: 'app/closed' }] } })
  expect(batch.body.items).toMatchObject([{ status: 200, secret: { stale: true } }, { status: 503 }])
  expect(
    broker
      .audit()
      .slice(-2)
      .map(line => [line.secret, line.code])
      .sort(),
  ).toEqual([
    ['app/closed', 'unavailable'],
    ['app/stale', 'stale'],
  ])
  expect([(await read('closed')).status, (await read('plain')).status]).toEqual([503, 503])
})

test('stores that come back are asked again', async () => {
  await settled()
  expect((await read('first')).body.source).toBe('one')
})
