import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClientSecretCredential } from '@azure/identity'
import { SecretClient } from '@azure/keyvault-secrets'
import { open, options } from '@keyturn/adapter-azure'
import { failure, runStoreChecks, type StoreHarness, testContext, wallClock } from '@keyturn/conformance'
import { escapedName, SecretValue, Store, type StoreAdapter, type StorePath, type VersionId } from '@keyturn/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { azureCertificate } from '../fakes/azure-certificate.ts'
import { Relay } from '../fakes/azure-relay.ts'
import { AzureVault } from '../fakes/azure-vault.ts'
import { testCertificates } from '../fakes/tls/certificates.ts'
import { type AzureGiven, givenAzure, raw, rawToken } from '../servers/azure-given.ts'
import { azureDepartures } from './azure-departures.ts'
import { tally, tell } from './tell.ts'

/**
 * The adapter against the vault that `KEYTURN_TEST_AZURE_VAULT` names, with `_AUTHORITY`, `_TENANT`, `_CLIENT_ID`, `_CLIENT_SECRET`, `_CA` and, for the table,
 * `_SERVER`: an emulator on the loopback, or a real account (AUTHORITY and CA unset). Every name is fresh, and what was written is purged at the end.
 */
const given = givenAzure(process.env)
const server = 'absent' in given ? undefined : given
const isEmulator = server !== undefined && (await hasControls(server))

const context = testContext('live')
const run = `kt-${crypto.randomUUID().slice(0, 8)}`
const at = (name: string) => `${run}/${name}` as StorePath
const text = (value: string) => SecretValue.text(value)
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const nameOf = (path: string) => escapedName(path, { allowed: /^[0-9A-Za-z-]+$/, literal: /[0-9a-z]/ })
const opened: StoreAdapter[] = []

describe.runIf(server === undefined)('without a vault', () => {
  test('the row says absent', async () => {
    await tell({ adapter: 'azure', server: 'none', passed: 0, failed: 0, absent: 'absent' in given ? given.absent : '' })
  })
})

describe.skipIf(server === undefined)('adapter-azure on a vault that nobody here wrote', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keyturn-live-'))
    if (isEmulator) await control('permissions', {})
  })
  const counted = tally()
  afterAll(async () => {
    for (const each of opened) await each.close()
    await purgeAll()
    await rm(folder, { recursive: true })
    const departures = isEmulator ? azureDepartures.map(({ check, why }) => ({ check, why })) : []
    await tell({ adapter: 'azure', server: server?.name ?? '', ...counted, departures })
  })

  describe('conformance', () => void runStoreChecks(harness(), { test }))

  test('serves what was written outside, and what it writes is read outside', async () => {
    const store = await storeOf()
    await put(nameOf(at('outside')), { value: 'from outside', contentType: 'text/plain', tags: { owner: 'somebody' } })
    expect((await store.read(at('outside'))).value.equals(text('from outside'))).toBe(true)
    const made = await store.write(at('outside'), text('from here: \u{1f511}\0\r\n'), intent())
    const { body } = await ask(`secrets/${nameOf(at('outside'))}`)
    expect(body.value).toBe('from here: \u{1f511}\0\r\n')
    expect([body.contentType, Object.keys(body.tags ?? {}).sort()]).toEqual(['text/plain', ['keyturn-mark', 'owner']])
    expect(String(body.id).endsWith(made.version)).toBe(true)
  })

  test('makes one version of one intent, sent again one after the other, and refuses another value for it', async () => {
    const store = await storeOf()
    const once = intent()
    const first = await store.write(at('intent'), text('one'), once)
    expect((await store.write(at('intent'), text('one'), once)).version).toBe(first.version)
    expect((await failure(store.write(at('intent'), text('other'), once))).code).toBe('conflict')
    await store.write(at('intent'), text('newer'), intent())
    expect(await (await storeOf()).write(at('intent'), text('one'), once)).toMatchObject({ version: first.version, state: 'previous' })
    expect((await store.read(at('intent'))).value.equals(text('newer'))).toBe(true)
    expect(await versionsOf(at('intent'))).toBe(2)
  })

  test('makes one version where the answer was lost; the SDK as it comes makes two', async () => {
    const target = new URL(server?.vault ?? '')
    const relay = await Relay.start({ host: target.hostname, port: Number(target.port || 443) })
    // the name in the certificate is that of the vault
    const vault = `https://${target.hostname}:${relay.port}`
    const large = 'x'.repeat(24_000)
    try {
      const store = await storeOf({ vault, verifyChallenge: false })
      await store.write(at('lost'), text('before'), intent())
      const once = intent()
      relay.loseNext(20_000)
      expect((await failure(store.write(at('lost'), text(large), once))).code).toBe('outcome_unknown')
      expect((await store.read(at('lost'))).value.equals(text(large))).toBe(true)
      await store.write(at('lost'), text(large), once)
      expect([await versionsOf(at('lost')), relay.lost]).toEqual([2, 1])

      const sdk = sdkOf(vault)
      await sdk.setSecret(nameOf(at('lost-by-sdk')), 'before')
      relay.loseNext(20_000)
      await sdk.setSecret(nameOf(at('lost-by-sdk')), large)
      expect([await versionsOf(at('lost-by-sdk')), relay.lost]).toEqual([3, 2])
    } finally {
      await relay.close()
    }
  })

  test('tells absent, soft-deleted and disabled apart, and gives back', async () => {
    const store = await storeOf()
    expect((await failure(store.read(at('never')))).detail?.reason).toBeUndefined()
    const { version } = await store.write(at('gone'), text('one'), intent())
    await store.delete(at('gone'), intent())
    await store.delete(at('gone'), intent())
    const gone = await failure(store.read(at('gone')))
    expect([gone.code, gone.detail?.reason]).toEqual(['not_found', 'soft_deleted'])
    await store.restore(at('gone'))
    expect((await store.read(at('gone'))).version).toBe(version)
    await ask(`secrets/${nameOf(at('gone'))}/${version}`, 'PATCH', { attributes: { enabled: false } })
    expect((await failure(store.read(at('gone')))).code).toBe('precondition_failed')
    expect((await store.examine(at('gone'))).filter(finding => !finding.ok).map(finding => finding.code)).toEqual(['precondition_failed'])
  })

  test('lists page by page, each name once, while names come', async () => {
    const store = await storeOf()
    const names = Array.from({ length: 60 }, (_, index) => at(`pages/${index}`))
    for (const path of names) await put(nameOf(path), { value: 'filled' })
    const listed: StorePath[] = []
    for await (const path of store.list(at('pages/'))) {
      listed.push(path)
      if (listed.length === 10) await put(nameOf(at('a-first-one')), { value: 'filled' })
    }
    expect(listed.length).toBe(new Set(listed).size)
    expect(names.filter(path => !listed.includes(path))).toEqual([])
  })

  test('says unauthenticated to a wrong secret, an unknown client and another tenant, and prints no secret', async () => {
    for (const login of [{ clientSecret: 'a-wrong-secret' }, { clientId: crypto.randomUUID() }, { tenantId: crypto.randomUUID() }]) {
      const error = await failure((await storeOf({}, login)).read(at('x')))
      expect(error.code).toBe('unauthenticated')
      expect(`${error.message}${error.hint}${error.stack}${JSON.stringify(error)}`).not.toContain('a-wrong-secret')
    }
  })

  describe.runIf(isEmulator)('with the emulator’s controls', () => {
    afterEach(async () => {
      await control('permissions', {})
      await control('faults', { throttleNextRequests: 0, rejectNextRequests: 0 })
    })

    // Azure lets `set` update too
    test.each<[string, readonly string[], (store: Store, path: StorePath, earlier: VersionId) => Promise<unknown>]>([
      ['read', ['get'], (store, path) => store.read(path)],
      ['read an earlier version', ['get', 'list'], (store, path, version) => store.read(path, { version })],
      ['tell versions', ['list'], (store, path) => Array.fromAsync(store.versions(path))],
      ['list', ['list'], store => Array.fromAsync(store.list(at('')))],
      ['write', ['list', 'set'], (store, path) => store.write(path, text('three'), intent())],
      ['disable', ['list', 'update'], (store, path, version) => store.disable(path, version)],
      ['enable', ['list', 'update'], (store, path, version) => store.enable(path, version)],
      ['delete', ['delete'], (store, path) => store.delete(path, intent())],
      ['restore', ['recover'], (store, path) => store.restore(path)],
      ['write to a deleted secret', ['list', 'set', 'get', 'recover'], (store, path) => store.write(path, text('three'), intent())],
    ])('can %s with exactly %j, and not with one less', async (what, rights, work) => {
      const everything = await storeOf()
      const prepared = async () => {
        await control('permissions', {})
        const path = at(`least/${crypto.randomUUID()}`)
        const { version } = await everything.write(path, text('one'), intent())
        await everything.write(path, text('two'), intent())
        if (what === 'enable') await everything.disable(path, version)
        if (rights.includes('recover')) await everything.delete(path, intent())
        return { path, version }
      }
      for (const missing of rights) {
        const { path, version } = await prepared()
        await allow(rights.filter(right => right !== missing))
        expect([missing, (await failure(work(everything, path, version))).code]).toEqual([missing, 'permission_denied'])
      }
      const { path, version } = await prepared()
      await allow(rights)
      await work(everything, path, version)
    })

    test('names a denial and a throttle with its wait', async () => {
      const store = await storeOf()
      await store.write(at('named'), text('one'), intent())
      await allow(['list'])
      expect((await failure(store.read(at('named')))).code).toBe('permission_denied')
      expect((await store.examine(at('named'))).find(finding => !finding.ok)?.code).toBe('permission_denied')
      await control('permissions', {})
      await control('faults', { throttleNextRequests: 1 })
      expect(await failure(store.read(at('named')))).toMatchObject({ code: 'throttled', retryAfterMs: 1_000 })
    })

    test('logs in by certificate', async () => {
      const file = join(folder, 'client.pem')
      await writeFile(file, `${azureCertificate.cert}${azureCertificate.key}`)
      const path = `apps/${server?.clientId}/keyCredentials`
      const { body } = await admin(path, 'POST', { publicKey: azureCertificate.cert })
      try {
        const store = await storeOf({}, { method: 'client-certificate', certificateFile: file, clientSecret: undefined })
        await store.write(at('by-certificate'), text('one'), intent())
      } finally {
        await admin(`${path}/${String(body.keyId ?? body.id)}`, 'DELETE')
      }
    })

    test('says unavailable of an authority that fails, and logs in when it is back', async () => {
      const store = await storeOf()
      await admin('faults', 'POST', { tokenError: 'temporarily_unavailable' })
      expect((await failure(store.read(at('x')))).code).toBe('unavailable')
      await admin('faults', 'DELETE')
      expect((await failure(store.read(at('x')))).code).toBe('not_found')
    })

    test('logs in again within the call when the vault ends its token', async () => {
      const store = await storeOf()
      await store.write(at('ended'), text('one'), intent())
      await control('clock', { advance: 7_200 })
      await admin('clock', 'POST', { advanceSeconds: 7_200 })
      try {
        expect((await store.read(at('ended'))).value.equals(text('one'))).toBe(true)
      } finally {
        await control('clock', { offset: 0 })
        await admin('clock', 'DELETE')
      }
    })
  })
})

describe.runIf(isEmulator)('our own fake, where the emulator departs', () => {
  test.each(azureDepartures)('$check', async departure => {
    const fake = await AzureVault.start()
    const auth = { method: 'client-secret', tenantId: fake.authority.tenant, clientId: 'app', clientSecret: 'secret-of-the-app' }
    const section = { vault: fake.url, authority: fake.authority.url, verifyChallenge: false, ca: testCertificates.ca, auth }
    const adapter = await open(options.parse(section), context, { env: {} })
    try {
      await departure.run(fake, new Store(adapter, { name: 'own fake', clock: wallClock, timeoutMs: 30_000 }))
      expect(fake.broken).toEqual([])
    } finally {
      await adapter.close()
      await fake.close()
    }
  })
})

function sectionOf(more: object = {}, login: object = {}): object {
  const { vault, authority, tenant: tenantId, clientId, clientSecret, ca } = found()
  const auth = { method: 'client-secret', tenantId, clientId, clientSecret, ...login }
  const isReal = authority === undefined
  return {
    vault,
    auth: withoutUndefined(auth),
    ...withoutUndefined({ authority, ca }),
    ...(isReal ? {} : { verifyChallenge: false }),
    ...more,
  }
}

async function adapterOf(more: object = {}, login: object = {}): Promise<StoreAdapter> {
  const made = await open(options.parse(sectionOf(more, login)), context, { env: {} })
  opened.push(made)
  return made
}

async function storeOf(more: object = {}, login: object = {}): Promise<Store> {
  return new Store(await adapterOf(more, login), { name: 'azure', clock: wallClock, timeoutMs: 30_000 })
}

function harness(): StoreHarness {
  let paths = 0
  const denied = (operation: 'read' | 'write' | 'list', rights: readonly string[]) => ({
    title: `${operation} is denied`,
    code: 'permission_denied' as const,
    operation,
    ...(operation === 'list' ? {} : { path: at('x') }),
    open: async () => {
      const adapter = await adapterOf({ secrets: [{ path: `${run}/` }] })
      await allow(rights)
      return { ...adapter, close: () => adapter.close().finally(() => control('permissions', {})) }
    },
  })
  return {
    name: 'adapter-azure, live',
    capabilities: ['versions', 'disable', 'enable', 'delete', 'restore'],
    forms: ['text'],
    prefix: at('conformance/'),
    open: () => adapterOf(),
    freshPath() {
      paths += 1
      return at(`conformance/${paths}`)
    },
    async behind(path, value) {
      await put(nameOf(path), { value })
    },
    async fill(all) {
      await eightAtOnce(all, path => put(nameOf(path), { value: 'filled' }))
    },
    faults: [
      {
        title: 'the secret was refused',
        code: 'unauthenticated',
        path: at('x'),
        open: () => adapterOf({}, { clientSecret: 'a-wrong-secret' }),
      },
      {
        title: 'nobody listens',
        code: 'unavailable',
        path: at('x'),
        open: () => adapterOf({ vault: 'https://localhost:1', verifyChallenge: false }),
      },
      ...(isEmulator ? [denied('read', ['list']), denied('write', ['get', 'list']), denied('list', ['get'])] : []),
    ],
  }
}

function found(): AzureGiven {
  if (server === undefined) throw new Error('no vault is given')
  return server
}

let token: Promise<string> | undefined

async function ask(path: string, method = 'GET', json?: unknown) {
  const { vault, ca } = found()
  token ??= rawToken(found())
  return raw(`${vault}/${path}?api-version=7.4`, ca, { method, token: await token, ...(json === undefined ? {} : { json }) })
}

async function put(name: string, body: object): Promise<void> {
  expect((await ask(`secrets/${name}`, 'PUT', body)).status).toBe(200)
}

async function versionsOf(path: string): Promise<number> {
  const { body } = await ask(`secrets/${nameOf(path)}/versions`)
  // the vault answers with a list
  return (body.value as readonly unknown[]).length
}

async function hasControls({ vault, ca }: AzureGiven): Promise<boolean> {
  return (await raw(`${vault}/_emulator/clock`, ca)).status === 200
}

async function control(what: string, json: unknown): Promise<void> {
  const { vault, ca } = found()
  expect((await raw(`${vault}/_emulator/${what}`, ca, { method: 'POST', json })).status).toBe(200)
}

function allow(rights: readonly string[]): Promise<void> {
  return control('permissions', { [found().clientId]: ['none', ...rights].map(right => `secrets/${right}`) })
}

function admin(path: string, method: string, json?: unknown) {
  const { authority, ca } = found()
  return raw(`${authority}/admin/api/${path}`, ca, { method, ...(json === undefined ? {} : { json }) })
}

function sdkOf(vault: string): SecretClient {
  const { tenant, clientId, clientSecret, authority, ca } = found()
  const tls = ca === undefined ? {} : { tlsOptions: { ca } }
  const named = authority === undefined ? {} : { authorityHost: authority, disableInstanceDiscovery: true }
  return new SecretClient(vault, new ClientSecretCredential(tenant, clientId, clientSecret, { ...named, ...tls }), {
    ...tls,
    disableChallengeResourceVerification: true,
  })
}

async function purgeAll(): Promise<void> {
  if (server === undefined) return
  const store = await storeOf()
  const paths = await Array.fromAsync(store.list(`${run}`))
  await eightAtOnce(paths, async path => {
    await store.delete(path, intent())
    await ask(`deletedsecrets/${nameOf(path)}`, 'DELETE')
  })
  for (const each of opened) await each.close()
}

async function eightAtOnce<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item)
  }
  await Promise.all(Array.from({ length: 8 }, worker))
}

function withoutUndefined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}
