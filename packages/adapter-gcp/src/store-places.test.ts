import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failure, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type VersionId } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { GcpAuthorityFake } from '../../../test/fakes/gcp-authority.ts'
import { GcpSecretManagerFake } from '../../../test/fakes/gcp-secret-manager.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { open, options } from './index.ts'
import { at, context, intent, isText, parent, Scene } from './scene.fixture.ts'

const scene = new Scene()

describe('a list', () => {
  const listed = async (store: Store, prefix: string) => {
    const paths: string[] = []
    for await (const path of store.list(prefix)) paths.push(path)
    return paths
  }

  test('goes through every page, asks for the next when its turn comes, and reads no value', async () => {
    for (let index = 0; index < 25; index += 1) scene.put(`app---s${index}`, 'x')
    scene.put('other', 'x')
    const store = await scene.store({ pageSize: 10 })
    const items = store.list('app/')[Symbol.asyncIterator]()
    await items.next()
    expect(scene.methods()).toEqual(['ListSecrets'])
    await items.return?.()
    expect(new Set(await listed(store, 'app/')).size).toBe(25)
    expect(new Set(scene.methods())).toEqual(new Set(['ListSecrets']))
  })

  test('fails with its third page', async () => {
    for (let index = 0; index < 50; index += 1) scene.put(`s${index}`, 'x')
    scene.fake.turn(/ListSecrets/, { do: 'alter', answer: answer => answer }, 2)
    scene.fake.turn(/ListSecrets/, { do: 'status', code: 14, details: 'The service is currently unavailable.' })
    expect((await failure(listed(await scene.store({ pageSize: 10 }), ''))).code).toBe('unavailable')
  })

  test('whose pages repeat says each once; one whose pages do not end is corrupt', async () => {
    for (let index = 0; index < 5; index += 1) scene.put(`s${index}`, 'x')
    scene.fake.turn(
      /ListSecrets/,
      { do: 'alter', answer: answer => ({ ...answer, nextPageToken: Buffer.from('s1').toString('base64url') }) },
      1,
    )
    const store = await scene.store()
    expect(await listed(store, '')).toEqual(['s0', 's1', 's2', 's3', 's4'])
    scene.fake.turn(/ListSecrets/, {
      do: 'alter',
      answer: answer => ({ ...answer, nextPageToken: Buffer.from('s1').toString('base64url') }),
    })
    expect((await failure(listed(store, ''))).code).toBe('corrupt')
  })

  test('of 10,000 keeps its memory', async () => {
    for (let index = 0; index < 10_000; index += 1) scene.fake.secrets(parent).create(`n${index}`, { automatic: {} })
    const store = await scene.store()
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
    scene.put('app---db', 'x')
    expect(await listed(await scene.store(), 'projects/shop-prod/secrets/')).toEqual(['projects/shop-prod/secrets/app---db'])
    expect(await listed(await scene.store(), 'projects/shop-prod/secrets/app---')).toEqual(['projects/shop-prod/secrets/app---db'])
  })
})

describe('a place', () => {
  test('is a project of the environment where the section names none', async () => {
    scene.fake.secrets('projects/from-env').put('app', 'x')
    expect(
      isText((await (await scene.store({ project: undefined }, { GOOGLE_CLOUD_PROJECT: 'from-env' })).read(at('app'))).value, 'x'),
    ).toBe(true)
    const both = { GOOGLE_CLOUD_PROJECT: '', GCLOUD_PROJECT: 'from-env' }
    expect(isText((await (await scene.store({ project: undefined }, both)).read(at('app'))).value, 'x')).toBe(true)
    expect((await failure((await scene.store({ project: undefined })).read(at('app')))).code).toBe('invalid_argument')
    const error = await failure(scene.store({ project: undefined }, { GOOGLE_CLOUD_PROJECT: 'a/../b' }))
    expect([error.code, error.message]).toEqual(['invalid_argument', expect.stringContaining('GOOGLE_CLOUD_PROJECT')])
  })

  test('may be a location', async () => {
    const store = await scene.store({ location: 'europe-west3' })
    await store.write(at('app'), SecretValue.text('x'), intent())
    expect(isText((await store.read(at('app'))).value, 'x')).toBe(true)
    expect(scene.fake.secrets('projects/shop-prod/locations/europe-west3').has('app')).toBe(true)
    const paths: string[] = []
    for await (const path of store.list('')) paths.push(path)
    expect(paths).toEqual(['app'])
  })
})

describe('examine', () => {
  test('tells absent, withheld and denied apart, and reads no value where it may see the version', async () => {
    scene.put('app', 'x')
    scene.put('off', 'x')
    scene.fake.secrets(parent).change('off', '1', '', 'DISABLED')
    const store = await scene.store()
    const wrong = async (path: string | null) =>
      (await store.examine(path === null ? null : at(path))).filter(({ ok }) => !ok).map(({ code }) => code)
    expect([await wrong(null), await wrong('app'), await wrong('absent'), await wrong('off'), await wrong('projects/x')]).toEqual([
      [],
      [],
      ['not_found'],
      ['precondition_failed'],
      ['invalid_argument'],
    ])
    expect(scene.methods()).not.toContain('AccessSecretVersion')
    scene.fake.anonymous = { may: () => false }
    expect([await wrong(null), await wrong('app')]).toEqual([[], ['permission_denied']])
    scene.fake.anonymous = { may: permission => permission !== 'secretmanager.versions.access' }
    expect(await wrong('app')).toEqual(['permission_denied'])
  })

  test('finds the rights of a reader enough', async () => {
    scene.put('app', 'x')
    scene.fake.anonymous = { may: permission => permission === 'secretmanager.versions.access' }
    expect((await (await scene.store()).examine(at('app'))).every(({ ok }) => ok)).toBe(true)
  })
})

test('logs in over TLS by a key file, with exactly the rights of a rotation', async () => {
  const authority = await GcpAuthorityFake.start()
  const secure = await GcpSecretManagerFake.start({ tls: true })
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-gcp-'))
  let store: Store | undefined
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
    store = new Store(await open(options.parse(section), context, { env: {} }), { name: 'gcp', clock: wallClock, timeoutMs: 5_000 })
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
    await store?.close()
    await secure.close()
    await authority.close()
  }
})

test('prints no value, whatever logging of Google and gRPC is on', async () => {
  scene.put('app', 'canary-7d1f')
  const program = `
    import { open, options } from '@keyturn/adapter-gcp'
    import { SecretValue } from '@keyturn/core'
    const store = await open(options.parse({ endpoint: '${scene.fake.endpoint}', project: 'shop-prod' }), { clock: { now: () => new Date() } }, { env: {} })
    const signal = AbortSignal.timeout(5_000)
    await store.read('app', { signal })
    await store.write('app', SecretValue.text('canary-8e20'), { idempotencyKey: 'k', signal })
    await store.close()
    console.log('done')`
  const env = { ...process.env, GOOGLE_SDK_NODE_LOGGING: 'all', GRPC_VERBOSITY: 'DEBUG', GRPC_TRACE: 'all' }
  const child = spawn(process.execPath, ['--conditions=@keyturn/source', '--input-type=module', '-e', program], {
    env,
    cwd: import.meta.dirname,
  })
  const said: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => said.push(part))
  await new Promise(resolve => child.on('close', resolve))
  const text = Buffer.concat(said).toString()
  expect(text).toContain('done')
  for (const value of ['canary-7d1f', 'canary-8e20']) {
    for (const form of [value, Buffer.from(value).toString('base64').slice(0, 12), Buffer.from(value).toString('hex')])
      expect(text).not.toContain(form)
  }
})
