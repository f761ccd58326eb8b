import { afterAll, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import { Place, type Running, start, until } from './harness.ts'

const timeoutMs = 3_000
const alone = Array.from({ length: 40 }, (_, index) => `alone/${index}`)
let hanging: VaultFake
let healthy: VaultFake
let place: Place
let broker: Running

beforeAll(async () => {
  hanging = await VaultFake.start()
  healthy = await VaultFake.start()
  place = new Place()
  for (const fake of [hanging, healthy]) {
    const kv = fake.mount('secret', 2)
    for (const name of ['both', 'here', ...alone]) kv.put(name, { password: `of-${name}` })
  }
  const vault = (fake: VaultFake, names: readonly string[]) =>
    `{ kind: vault, address: "${fake.url}", auth: { method: token, token: "\${THE_TOKEN}" }, timeout: ${timeoutMs / 1000}s, secrets: [${names
      .map(name => `{ path: secret/data/${name} }`)
      .join(', ')}] }`
  const rows = [...alone, 'here'].map(name => `  ${name}: { cache: 0s }`).join('\n')
  place.write(
    'keyturn.yaml',
    `first: ${vault(hanging, ['both', ...alone])}\nsecond: ${vault(healthy, ['both', 'here'])}
secrets:\n  both: { cache: 0s, from: [first, second] }\n${rows}\n`,
  )
  broker = await start(place, { THE_TOKEN: hanging.root })
  for (const name of ['both', 'here', 'alone/0']) await broker.ask('GET', `/v1/secrets/${name}`)
  hanging.turn(/v1\/secret\/data/, { do: 'hang' })
})
afterAll(async () => {
  await broker?.stop()
  await hanging?.close()
  await healthy?.close()
  place?.remove()
})

async function timed<T>(act: Promise<T>): Promise<{ readonly answer: T; readonly ms: number }> {
  const begun = performance.now()
  const answer = await act
  return { answer, ms: performance.now() - begun }
}

const readiness = async () => (await broker.ask('GET', '/readyz', { token: null })).body

test('a batch waits for a store that hangs no longer than its deadline; every item answers for itself, and nobody else waits', async () => {
  const items = [...alone, 'here', 'both'].map(name => ({ name }))
  const batch = timed(broker.ask('POST', '/v1/secrets:batch', { body: { items } }))
  await until('the first calls', () => (hanging.seen.length > 5 ? true : undefined))
  const other = await timed(broker.ask('GET', '/v1/secrets/here'))
  expect(other.answer.status).toBe(200)
  expect(other.ms).toBeLessThan(1_000)
  const { answer, ms } = await batch
  expect(answer.body.items.slice(0, -2).map((item: { status: number }) => item.status)).toEqual(alone.map(() => 503))
  expect(answer.body.items.slice(-2)).toMatchObject([
    { name: 'here', status: 200 },
    { name: 'both', status: 200, secret: { source: 'second', age: 0 } },
  ])
  expect(ms).toBeLessThan(timeoutMs + 2_000)
})

test('then it is left alone: readers fall through at once or are told at once, and one of them finds out when it is back', async () => {
  expect((await readiness()).stores).toEqual({ first: 'unavailable', second: 'ok' })
  expect((await readiness()).ready).toBe(true)
  expect(place.logged.join('')).toContain('a store does not answer')
  const both = await timed(broker.ask('GET', '/v1/secrets/both'))
  const lone = await timed(broker.ask('GET', '/v1/secrets/alone/1'))
  // one of the two may be the one that looks
  expect(Math.min(both.ms, lone.ms)).toBeLessThan(500)
  expect(both.answer.body).toMatchObject({ source: 'second', fields: { password: 'of-both' } })
  expect([lone.answer.status, lone.answer.body.code]).toEqual([503, 'unavailable'])
  const told = await until('an answer without asking', async () => {
    const { answer, ms } = await timed(broker.ask('GET', '/v1/secrets/alone/2'))
    return ms < 500 ? answer : undefined
  })
  expect(Number(told.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  hanging.turnBack()
  await until(
    'the first store',
    async () => ((await broker.ask('GET', '/v1/secrets/both')).body.source === 'first' ? true : undefined),
    40_000,
  )
  expect((await readiness()).stores).toEqual({ first: 'ok', second: 'ok' })
})

test('equal items of a batch are one call, and one that is not acceptable is refused by itself', async () => {
  const before = healthy.seen.filter(seen => seen.path.includes('data/here')).length
  const items = [
    { name: 'here' },
    { name: 'here', field: 'password' },
    { name: 'here', stage: 'next' },
    { name: 'here', stage: 'current', version: '1' },
    { nane: 'here' },
    'here',
    { name: '../here' },
    { name: 'here', version: '1' },
  ]
  const { status, body } = await broker.ask('POST', '/v1/secrets:batch', { body: { items } })
  expect(status).toBe(200)
  expect(body.items.map((item: { status: number }) => item.status)).toEqual([200, 200, 400, 400, 400, 400, 400, 200])
  expect(body.items[2]).toMatchObject({ name: 'here', error: { code: 'invalid_argument', errors: [{ path: 'stage' }] } })
  expect(body.items[4].name).toBe('')
  // two for the version: whether the secret is there, and the version itself
  expect(healthy.seen.filter(seen => seen.path.includes('data/here')).length - before).toBe(3)
  for (const empty of [[], Array(101).fill({ name: 'here' })]) {
    expect((await broker.ask('POST', '/v1/secrets:batch', { body: { items: empty } })).status).toBe(400)
  }
})

test('a denial says something of the caller or of us, and keeps nobody else away', async () => {
  hanging.turn(/data\/alone\/3/, { do: 'fail', status: 403, errors: ['permission denied'] })
  for (let count = 0; count < 8; count++) expect((await broker.ask('GET', '/v1/secrets/alone/3')).status).toBe(502)
  expect((await broker.ask('GET', '/v1/secrets/alone/4')).status).toBe(200)
})
