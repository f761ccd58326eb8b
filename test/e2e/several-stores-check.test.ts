import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { examineStores, readConfig } from '@keyturn/broker'
import { secretName } from '@keyturn/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import { Place, start } from './harness.ts'

const many = Array.from({ length: 60 }, (_, index) => `many/${index}`)
let one: VaultFake
let two: VaultFake
let place: Place
let env: Record<string, string>

beforeAll(async () => {
  one = await VaultFake.start()
  two = await VaultFake.start()
  for (const fake of [one, two]) {
    const kv = fake.mount('secret', 2)
    for (const name of ['app/key', ...many]) kv.put(name, { password: 'marker', neighbour: 'marker' })
  }
  place = new Place()
  const vault = (fake: VaultFake, names: readonly string[]) =>
    `{ kind: vault, address: "${fake.url}", auth: { method: token, token: "\${THE_TOKEN}" }, timeout: 1s, secrets: [${names
      .map(name => `{ path: secret/data/${name}, key: password }`)
      .join(', ')}] }`
  place.write('app.env', `APP_KEY='{"pasword":"marker"}'\nTWICE=1\nTWICE=2\n`)
  place.write(
    'keyturn.yaml',
    `one: ${vault(one, ['app/key'])}
two: ${vault(two, ['app/key', ...many])}
env: { kind: dotenv, file: app.env, secrets: [{ path: TWICE }, { path: NOWHERE }] }
secrets: { app/key: { from: [one, two], maxStale: 1h } }
`,
  )
  env = { KEYTURN_DATA: join(place.folder, 'data'), THE_TOKEN: one.root }
})
afterAll(async () => {
  await one?.close()
  await two?.close()
  place?.remove()
})

const examine = async (only: { secret?: string; store?: string } = {}) => {
  const config = await readConfig({ config: join(place.folder, 'keyturn.yaml'), cwd: place.folder, env })
  return examineStores(config, { env, ...only })
}
const of = (found: Awaited<ReturnType<typeof examine>>, store: string, secret: string | null) =>
  found.find(each => each.store === store && each.secret === secret)?.findings ?? []

test('every store of from is looked at, and its fields, without reading a value', async () => {
  two.engine('secret').put('app/key', { pasword: 'marker' })
  one.seen.length = 0
  two.seen.length = 0
  const found = await examine()
  expect(of(found, 'one', 'app/key')).toContainEqual({ ok: true, what: 'field password' })
  expect(of(found, 'two', 'app/key').filter(finding => !finding.ok)).toEqual([
    { ok: false, what: 'field password', detail: 'it is not there', hint: 'did you mean pasword?', code: 'not_found' },
  ])
  expect([...one.seen, ...two.seen].filter(({ method, path }) => method === 'GET' && path.startsWith('/v1/secret/data/'))).toEqual([])
  expect(JSON.stringify(found)).not.toContain('marker')
  expect(new Set((await examine({ secret: 'app/key' })).map(each => each.store))).toEqual(new Set(['one', 'two']))
})

test('what is so of a store is said once, and what is missing by its name', async () => {
  const found = await examine({ store: 'env' })
  const all = found.flatMap(each => each.findings.map(finding => JSON.stringify(finding)))
  expect(all.filter(line => line.includes('set more than once'))).toHaveLength(1)
  expect(new Set(all).size).toBe(all.length)
  expect(of(found, 'env', 'NOWHERE')).toMatchObject([{ ok: false, code: 'not_found' }])
})

test('a store that hangs behind its login holds up nobody, and itself no longer than its deadline', async () => {
  two.turn(/secret\/(data|subkeys|metadata)|capabilities-self|internal/, { do: 'hang' })
  const begun = performance.now()
  const found = await examine()
  expect(performance.now() - begun).toBeLessThan(4_000)
  expect(of(found, 'one', 'app/key').every(finding => finding.ok)).toBe(true)
  expect(many.map(name => of(found, 'two', name)[0]?.code)).toEqual(many.map(() => 'unavailable'))
  two.turnBack()
})

test('a row that may be stale says where an answer comes from, and one that may not does not', async () => {
  two.engine('secret').put('app/key', { password: 'marker' })
  const broker = await start(place, env)
  try {
    const [several, lone] = await Promise.all([broker.ask('GET', '/v1/secrets/app/key'), broker.ask('GET', '/v1/secrets/many/0')])
    expect(several.body).toMatchObject({ source: 'one', age: 0, stale: false })
    expect(Object.keys(lone.body)).not.toEqual(expect.arrayContaining(['source']))
    expect([lone.headers.get('x-keyturn-source'), lone.headers.get('age')]).toEqual(['two', '0'])
  } finally {
    await broker.stop()
  }
})

test('the config of the page about several stores is one', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/several-stores.md'), 'utf8')
  const other = new Place()
  try {
    other.write('keyturn.yaml', /```yaml\n(.*?)```/s.exec(page)?.[1] ?? '')
    const config = await readConfig({ config: join(other.folder, 'keyturn.yaml'), cwd: other.folder, env: {} })
    const secret = config.secrets.get(secretName('payments/stripe'))
    expect(secret?.places.map(({ store }) => store)).toEqual(['vault', 'vault-us'])
    expect([secret?.cacheMs, secret?.maxStaleMs]).toEqual([30_000, 3_600_000])
  } finally {
    other.remove()
  }
})
