import { createSecretKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom, wallClock } from '@keyturn/conformance'
import { BrokerError, SecretValue, Store, type StorePath, type VersionId } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GcpAuthorityFake } from '../../../test/fakes/gcp-authority.ts'
import { GcpSecretManagerFake } from '../../../test/fakes/gcp-secret-manager.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { open, options } from './index.ts'

const context = { clock: wallClock, random: seededRandom('gcp'), etagKey: createSecretKey(Buffer.alloc(32, 7)), data: '/nonexistent' }
const parent = 'projects/shop-prod'

let fake: GcpSecretManagerFake
const stores: Store[] = []
beforeEach(async () => {
  fake = await GcpSecretManagerFake.start()
})
afterEach(async () => {
  for (const each of stores.splice(0)) await each.close()
  expect(fake.broken).toEqual([])
  await fake.close()
})

async function storeOf(more: object = {}, env: Record<string, string> = {}): Promise<Store> {
  const adapter = await open(options.parse({ endpoint: fake.endpoint, project: 'shop-prod', ...more }), context, { env })
  const store = new Store(adapter, { name: 'gcp', clock: wallClock, timeoutMs: 5_000 })
  stores.push(store)
  return store
}

const at = (path: string) => path as StorePath
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const put = (id: string, value: string | Uint8Array) => fake.secrets(parent).put(id, value)
const methods = () => fake.seen.map(({ method }) => method)
const isText = (value: SecretValue, text: string) => value.equals(SecretValue.text(text))

async function failure(call: Promise<unknown>): Promise<BrokerError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof BrokerError) return error
  throw new Error('it did not fail as it should', { cause: error })
}

describe('a read', () => {
  test('costs one call once the age of the version is known', async () => {
    put('app', 'the value')
    const store = await storeOf()
    await store.read(at('app'))
    await store.read(at('app'))
    expect(methods()).toEqual(['AccessSecretVersion', 'GetSecretVersion', 'AccessSecretVersion'])
  })

  test('needs the right to values alone; the age is the time of the answer then', async () => {
    put('app', 'the value')
    fake.anonymous = { may: permission => permission === 'secretmanager.versions.access' }
    const before = Date.now()
    const { value, createdAt, version } = await (await storeOf()).read(at('app'))
    expect([isText(value, 'the value'), version, createdAt.getTime() >= before]).toEqual([true, '1', true])
    put('app', 'another value')
    const store = await storeOf()
    expect((await store.read(at('app'), { version: '1' as VersionId })).state).toBe('previous')
    expect((await store.read(at('app'), { version: '2' as VersionId })).state).toBe('current')
  })

  test('never goes back behind what was written or read, when the service is behind', async () => {
    const store = await storeOf()
    await store.write(at('app'), SecretValue.text('first'), intent())
    const second = await store.write(at('app'), SecretValue.text('second'), intent())
    fake.secrets(parent).latestIsBehind = 1
    const read = await store.read(at('app'))
    expect([isText(read.value, 'second'), read.version, read.state]).toEqual([true, second.version, 'current'])
    expect((await store.read(at('app'), { version: '1' as VersionId })).state).toBe('previous')
    expect((await failure(store.disable(at('app'), second.version))).code).toBe('precondition_failed')
  })

  test('of a secret that was deleted and made anew elsewhere tells the new value and its time', async () => {
    const store = await storeOf()
    for (const text of ['first', 'second', 'third']) await store.write(at('app'), SecretValue.text(text), intent())
    fake.secrets(parent).delete('app', '')
    await new Promise(resolve => setTimeout(resolve, 5))
    const remade = Date.now()
    put('app', 'anew')
    const read = await store.read(at('app'))
    expect([isText(read.value, 'anew'), read.version, read.createdAt.getTime() >= remade]).toEqual([true, '1', true])
  })

  test('of a newest version that is disabled or destroyed says so, and takes no older one', async () => {
    put('app', 'first')
    put('app', 'second')
    const secrets = fake.secrets(parent)
    secrets.change('app', '2', '', 'DISABLED')
    const store = await storeOf()
    expect(await failure(store.read(at('app')))).toMatchObject({ code: 'precondition_failed', hint: expect.stringContaining('enable') })
    expect((await failure(store.disable(at('app'), '2' as VersionId))).code).toBe('precondition_failed')
    secrets.change('app', '2', '', 'DESTROYED')
    expect(await failure(store.read(at('app')))).toMatchObject({
      code: 'not_found',
      detail: expect.objectContaining({ reason: 'destroyed' }),
    })
    const states = []
    for await (const { version, state } of store.versions(at('app'))) states.push([version, state])
    expect(states).toEqual([
      ['2', 'destroyed'],
      ['1', 'previous'],
    ])
    await store.write(at('app'), SecretValue.text('third'), intent())
    expect(isText((await store.read(at('app'))).value, 'third')).toBe(true)
  })

  test('of a secret without a version is absent', async () => {
    fake.secrets(parent).create('empty', { automatic: {} })
    expect((await failure((await storeOf()).read(at('empty')))).code).toBe('not_found')
  })

  test.each(['latest', '0', '01', '-1', '1.0', '1e3', 'current', '../2', '9999999999999999'])(
    'of version %s is absent, and asks nobody',
    async version => {
      put('app', 'x')
      expect((await failure((await storeOf()).read(at('app'), { version: version as VersionId }))).code).toBe('not_found')
      expect(fake.seen).toEqual([])
    },
  )

  test.each([
    [
      'another version than the one asked for',
      (answer: Record<string, unknown>) => ({ ...answer, name: 'projects/4711/secrets/app/versions/2' }),
    ],
    ['no number', (answer: Record<string, unknown>) => ({ ...answer, name: 'projects/4711/secrets/app/versions/latest' })],
    ['no payload', ({ name }: Record<string, unknown>) => ({ name })],
    ['altered bytes', (answer: Record<string, unknown>) => ({ ...answer, payload: { data: Buffer.from('y'), dataCrc32c: '1' } })],
  ])('that is answered with %s is corrupt', async (_title, answer) => {
    put('app', 'x')
    fake.turn(/Access/, { do: 'alter', answer })
    expect((await failure((await storeOf()).read(at('app'), { version: '1' as VersionId }))).code).toBe('corrupt')
  })

  test('takes an answer without a checksum', async () => {
    put('app', 'x')
    fake.turn(/Access/, { do: 'alter', answer: ({ name }) => ({ name, payload: { data: Buffer.from('x') } }) })
    expect(isText((await (await storeOf()).read(at('app'))).value, 'x')).toBe(true)
  })
})

describe('a write', () => {
  test('adds a version with its checksum, and makes the secret only where it is absent', async () => {
    const store = await storeOf()
    await store.write(at('app'), SecretValue.text('first'), intent())
    await store.write(at('app'), SecretValue.text('second'), intent())
    expect(methods()).toEqual(['AddSecretVersion', 'CreateSecret', 'AddSecretVersion', 'AddSecretVersion'])
    expect(fake.secrets(parent).replicationOf('app')).toMatchObject({ automatic: {} })
  })

  test('makes a secret where the section says', async () => {
    await (await storeOf({ replication: { locations: ['europe-west1', 'europe-west4'] } })).write(
      at('app'),
      SecretValue.text('x'),
      intent(),
    )
    expect(fake.secrets(parent).replicationOf('app')).toMatchObject({
      userManaged: { replicas: [{ location: 'europe-west1' }, { location: 'europe-west4' }] },
    })
  })

  test('goes on when another made the secret in the same moment', async () => {
    const store = await storeOf()
    fake.turn(/CreateSecret/, { do: 'status', code: 6, details: 'Secret already exists.' }, 1)
    fake.turn(/AddSecretVersion/, { do: 'status', code: 5, details: 'Secret not found.' }, 1)
    fake.secrets(parent).create('app', { automatic: {} })
    expect((await store.write(at('app'), SecretValue.text('x'), intent())).version).toBe('1')
  })

  test('of ten at once to an absent secret makes ten versions', async () => {
    const store = await storeOf()
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, index) => store.write(at('app'), SecretValue.text(`v${index}`), intent())),
    )
    expect(new Set(made.map(({ version }) => version)).size).toBe(10)
  })

  test('that was cut while the secret was made may be sent again: nothing was written', async () => {
    const store = await storeOf()
    fake.turn(/CreateSecret/, { do: 'cut' }, 1)
    expect((await failure(store.write(at('app'), SecretValue.text('x'), intent()))).code).toBe('unavailable')
    await expect.poll(() => store.write(at('app'), SecretValue.text('x'), intent()).catch(() => undefined)).toMatchObject({ version: '1' })
  })

  test('whose reply was lost made one version, which a look finds', async () => {
    const store = await storeOf()
    await store.write(at('app'), SecretValue.text('first'), intent())
    fake.turn(/AddSecretVersion/, { do: 'cut' }, 1)
    expect((await failure(store.write(at('app'), SecretValue.text('second'), intent()))).code).toBe('outcome_unknown')
    await expect.poll(async () => isText((await store.read(at('app'))).value, 'second')).toBe(true)
    expect((await store.read(at('app'))).version).toBe('2')
    expect(methods().filter(method => method === 'AddSecretVersion')).toHaveLength(3)
  })

  test('to a project that is not there is a wrong config', async () => {
    fake.turn(/AddSecretVersion|CreateSecret/, { do: 'status', code: 5, details: 'Project not found.' })
    expect((await failure((await storeOf()).write(at('app'), SecretValue.text('x'), intent()))).code).toBe('invalid_argument')
  })

  test.each([
    ['empty', SecretValue.text('')],
    ['too large', SecretValue.bytes(Buffer.alloc(65_537))],
    ['a set of fields', SecretValue.fields({ a: 'b' })],
  ])('that is %s asks nobody', async (_title, value) => {
    expect((await failure((await storeOf()).write(at('app'), value, intent()))).code).toBe('invalid_argument')
    expect(fake.seen).toEqual([])
  })

  test('with a condition is refused: the service compares nothing when a version is added', async () => {
    expect((await failure((await storeOf()).write(at('app'), SecretValue.text('x'), { ...intent(), ifMatch: null }))).code).toBe(
      'unsupported',
    )
    expect(fake.seen).toEqual([])
  })
})

describe('a version', () => {
  test('is changed by its etag, so that a change by somebody else in between is a conflict', async () => {
    put('app', 'first')
    put('app', 'second')
    const store = await storeOf()
    fake.turn(
      /DisableSecretVersion/,
      { do: 'status', code: 9, details: 'The etag provided does not match the current etag of the resource.' },
      1,
    )
    fake.turn(/GetSecretVersion/, { do: 'alter', answer: answer => ({ ...answer, etag: '"stale"' }) }, 1)
    expect((await failure(store.disable(at('app'), '1' as VersionId))).code).toBe('conflict')
    expect(fake.seen.find(({ method }) => method === 'DisableSecretVersion')?.request.etag).toBe('"stale"')
  })

  test('that two disable at once is disabled for both', async () => {
    put('app', 'first')
    put('app', 'second')
    const [one, other] = [await storeOf(), await storeOf()]
    await Promise.all([one.disable(at('app'), '1' as VersionId), other.disable(at('app'), '1' as VersionId)])
    expect((await failure(one.read(at('app'), { version: '1' as VersionId }))).code).toBe('precondition_failed')
  })

  test('whose destruction is delayed is destroyed for us, and not brought back', async () => {
    put('app', 'first')
    put('app', 'second')
    fake.secrets(parent).delayDestruction('app', 86_400_000)
    const store = await storeOf()
    await store.destroy(at('app'), '1' as VersionId)
    await store.destroy(at('app'), '1' as VersionId)
    expect((await failure(store.enable(at('app'), '1' as VersionId))).code).toBe('not_found')
    const states = []
    for await (const { state } of store.versions(at('app'))) states.push(state)
    expect(states).toEqual(['current', 'destroyed'])
    expect(methods().filter(method => method === 'DestroySecretVersion')).toHaveLength(1)
  })

  test('is told by its number, over pages', async () => {
    for (let number = 1; number <= 12; number += 1) put('app', `v${number}`)
    const parts = fake.secrets(parent).listVersions('app', 100, '') as { versions: object[] }
    const [newest, ...others] = parts.versions
    // in the order of an emulator, and one twice
    fake.turn(/ListSecretVersions/, { do: 'say', answer: { versions: others.slice(0, 6), nextPageToken: 'x' } }, 1)
    fake.turn(/ListSecretVersions/, { do: 'say', answer: { versions: [...others.slice(5), newest], nextPageToken: '' } }, 1)
    const told = []
    const store = await storeOf()
    for await (const { version } of store.versions(at('app'))) told.push(Number(version))
    expect(told).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
  })
})

describe('a list', () => {
  const listed = async (store: Store, prefix: string) => {
    const paths: string[] = []
    for await (const path of store.list(prefix)) paths.push(path)
    return paths
  }

  test('goes through every page, asks for the next when its turn comes, and reads no value', async () => {
    for (let index = 0; index < 25; index += 1) put(`app---s${index}`, 'x')
    put('other', 'x')
    const store = await storeOf({ pageSize: 10 })
    const items = store.list('app/')[Symbol.asyncIterator]()
    await items.next()
    expect(methods()).toEqual(['ListSecrets'])
    await items.return?.()
    expect(new Set(await listed(store, 'app/')).size).toBe(25)
    expect(new Set(methods())).toEqual(new Set(['ListSecrets']))
  })

  test('fails with its third page', async () => {
    for (let index = 0; index < 50; index += 1) put(`s${index}`, 'x')
    fake.turn(/ListSecrets/, { do: 'alter', answer: answer => answer }, 2)
    fake.turn(/ListSecrets/, { do: 'status', code: 14, details: 'The service is currently unavailable.' })
    expect((await failure(listed(await storeOf({ pageSize: 10 }), ''))).code).toBe('unavailable')
  })

  test('whose pages repeat says each once; one whose pages do not end is corrupt', async () => {
    for (let index = 0; index < 5; index += 1) put(`s${index}`, 'x')
    fake.turn(/ListSecrets/, { do: 'alter', answer: answer => ({ ...answer, nextPageToken: Buffer.from('s1').toString('base64url') }) }, 1)
    const store = await storeOf()
    expect(await listed(store, '')).toEqual(['s0', 's1', 's2', 's3', 's4'])
    fake.turn(/ListSecrets/, { do: 'alter', answer: answer => ({ ...answer, nextPageToken: Buffer.from('s1').toString('base64url') }) })
    expect((await failure(listed(store, ''))).code).toBe('corrupt')
  })

  test('of 10,000 keeps its memory', async () => {
    for (let index = 0; index < 10_000; index += 1) fake.secrets(parent).create(`n${index}`, { automatic: {} })
    const store = await storeOf()
    await listed(store, 'nothing/')
    const before = process.memoryUsage().heapUsed
    let most = 0
    let count = 0
    for await (const _ of store.list('')) {
      count += 1
      if (count % 1_000 === 0) most = Math.max(most, process.memoryUsage().heapUsed)
    }
    // the fake makes its answers in this process too
    expect([count, most - before < 60_000_000]).toEqual([10_000, true])
  })

  test('says full names where the prefix is one', async () => {
    put('app---db', 'x')
    expect(await listed(await storeOf(), 'projects/shop-prod/secrets/')).toEqual(['projects/shop-prod/secrets/app---db'])
    expect(await listed(await storeOf(), 'projects/shop-prod/secrets/app---')).toEqual(['projects/shop-prod/secrets/app---db'])
  })
})

describe('a place', () => {
  test('is a project of the environment where the section names none', async () => {
    fake.secrets('projects/from-env').put('app', 'x')
    expect(isText((await (await storeOf({ project: undefined }, { GOOGLE_CLOUD_PROJECT: 'from-env' })).read(at('app'))).value, 'x')).toBe(
      true,
    )
    expect((await failure((await storeOf({ project: undefined })).read(at('app')))).code).toBe('invalid_argument')
  })

  test('may be a location', async () => {
    const store = await storeOf({ location: 'europe-west3' })
    await store.write(at('app'), SecretValue.text('x'), intent())
    expect(isText((await store.read(at('app'))).value, 'x')).toBe(true)
    expect(fake.secrets('projects/shop-prod/locations/europe-west3').has('app')).toBe(true)
    const paths: string[] = []
    for await (const path of store.list('')) paths.push(path)
    expect(paths).toEqual(['app'])
  })
})

describe('examine', () => {
  test('tells absent, withheld and denied apart, and reads no value where it may see the version', async () => {
    put('app', 'x')
    put('off', 'x')
    fake.secrets(parent).change('off', '1', '', 'DISABLED')
    const store = await storeOf()
    const wrong = async (path: string | null) =>
      (await store.examine(path === null ? null : at(path))).filter(({ ok }) => !ok).map(({ code }) => code)
    expect([await wrong(null), await wrong('app'), await wrong('absent'), await wrong('off'), await wrong('projects/x')]).toEqual([
      [],
      [],
      ['not_found'],
      ['precondition_failed'],
      ['invalid_argument'],
    ])
    expect(methods()).not.toContain('AccessSecretVersion')
    fake.anonymous = { may: () => false }
    expect([await wrong(null), await wrong('app')]).toEqual([[], ['permission_denied']])
    fake.anonymous = { may: permission => permission !== 'secretmanager.versions.access' }
    expect(await wrong('app')).toEqual(['permission_denied'])
  })

  test('finds the rights of a reader enough', async () => {
    put('app', 'x')
    fake.anonymous = { may: permission => permission === 'secretmanager.versions.access' }
    expect((await (await storeOf()).examine(at('app'))).every(({ ok }) => ok)).toBe(true)
  })
})

test('logs in over TLS by a key file, with exactly the rights of a rotation', async () => {
  const authority = await GcpAuthorityFake.start()
  const secure = await GcpSecretManagerFake.start({ tls: true })
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-gcp-'))
  try {
    const broker = 'broker@shop-prod.iam.gserviceaccount.com'
    const rights = [
      'versions.access',
      'versions.get',
      'versions.add',
      'versions.list',
      'versions.disable',
      'versions.enable',
      'versions.destroy',
    ]
    const allowed = new Set([...rights.map(right => `secretmanager.${right}`)])
    secure.account = token => (authority.accountOf(token) === broker ? { may: permission => allowed.has(permission) } : undefined)
    secure.secrets(parent).put('app', 'first')
    const keyFile = join(folder, 'key.json')
    writeFileSync(keyFile, JSON.stringify(authority.keyFile(broker)))
    const section = {
      endpoint: `https://localhost:${secure.port}`,
      project: 'shop-prod',
      ca: testCertificates.ca,
      auth: { method: 'service-account-key', keyFile },
    }
    const store = new Store(await open(options.parse(section), context, { env: {} }), { name: 'gcp', clock: wallClock, timeoutMs: 5_000 })
    stores.push(store)
    expect((await store.examine(at('app'))).filter(({ ok }) => !ok)).toEqual([])
    const second = await store.write(at('app'), SecretValue.text('second'), intent())
    await store.disable(at('app'), '1' as VersionId)
    await store.enable(at('app'), '1' as VersionId)
    await store.destroy(at('app'), '1' as VersionId)
    expect((await store.read(at('app'))).version).toBe(second.version)
    expect((await failure(store.delete(at('app'), intent()))).code).toBe('permission_denied')
    expect((await failure(store.write(at('new'), SecretValue.text('x'), intent()))).code).toBe('permission_denied')
    expect(secure.broken).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
    for (const each of stores.splice(0)) await each.close()
    await secure.close()
    await authority.close()
  }
})
