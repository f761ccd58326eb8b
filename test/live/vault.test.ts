import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { open, options } from '@keyturn/adapter-vault'
import { failure, runStoreChecks, type StoreHarness, testContext, wallClock } from '@keyturn/conformance'
import { type Capability, Store, type StoreAdapter, type StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TokenReviewFake } from '../fakes/token-review.ts'
import { findOpenBao, type OpenBao, startOpenBao } from '../servers/openbao.ts'
import { tally, tell } from './tell.ts'

/** The adapter against a real server in dev mode. Without a binary the row of the live table says absent, and why. */
const binary = await findOpenBao()
const context = testContext('live')
let prepared = false

let bao: OpenBao
let review: TokenReviewFake
let folder: string
const opened: StoreAdapter[] = []

const adapter = async (more: object, env: Record<string, string> = {}): Promise<StoreAdapter> => {
  const made = await open(options.parse({ address: bao.url, ...more }), context, { env })
  opened.push(made)
  return made
}
const store = async (more: object, env: Record<string, string> = {}) =>
  new Store(await adapter(more, env), { name: 'vault', clock: wallClock, timeoutMs: 30_000 })
const asRoot = () => ({ VAULT_TOKEN: bao.rootToken })
const at = (path: string) => path as StorePath
const intent = () => ({ idempotencyKey: crypto.randomUUID() })

describe.runIf(binary === undefined)('without a Vault-compatible server', () => {
  test('the row says absent', async () => {
    await tell({
      adapter: 'vault',
      server: 'none',
      passed: 0,
      failed: 0,
      absent: 'no `bao` or `vault` on PATH, and KEYTURN_TEST_BAO names none',
    })
  })
})

describe.skipIf(binary === undefined)('adapter-vault on a real server', () => {
  beforeAll(async () => {
    // skipped without a binary
    bao = await startOpenBao(binary ?? '')
    review = await TokenReviewFake.start()
    folder = await mkdtemp(join(tmpdir(), 'keyturn-live-'))
    await prepare()
    prepared = true
  })
  const counted = tally()
  afterAll(async () => {
    for (const each of opened) await each.close()
    if (!prepared) counted.failed += 1
    await tell({ adapter: 'vault', server: `openbao ${bao.version}`, ...counted })
    await bao.stop()
    await review.close()
    await rm(folder, { recursive: true })
  })

  describe('KV v2', () => void runStoreChecks(harnessOf(2), { test }))
  describe('KV v1', () => void runStoreChecks(harnessOf(1), { test }))

  test('logs in by AppRole, and says unauthenticated to a wrong secret id without repeating it', async () => {
    const roleId = await dataOf('GET', 'auth/approle/role/app/role-id', 'role_id')
    const secretId = await dataOf('POST', 'auth/approle/role/app/secret-id', 'secret_id')
    const good = await store({ auth: { method: 'approle', roleId, secretId } })
    expect((await good.read(at('secret/data/agentaskit/api-keys'))).value.fieldNames).toContain('api_key')
    const wrong = await store({ auth: { method: 'approle', roleId, secretId: 'a-wrong-secret-id' } })
    const error = await failure(wrong.read(at('secret/data/agentaskit/api-keys')))
    expect(error.code).toBe('unauthenticated')
    expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain('a-wrong-secret-id')
  })

  test('logs in by Kubernetes with a projected token, and again after its token was revoked', async () => {
    const tokenFile = await projected('agentaskit', 'broker')
    const auth = { method: 'kubernetes', role: 'agentaskit-production', tokenFile }
    const broker = await store({ auth })
    const before = review.reviews
    await broker.read(at('secret/data/agentaskit/api-keys'))
    await broker.read(at('secret/data/agentaskit/api-keys'))
    expect(review.reviews).toBe(before + 1)
    await bao.api('POST', 'sys/leases/revoke-prefix/auth/kubernetes/login')
    await Promise.all(Array.from({ length: 8 }, () => broker.read(at('secret/data/agentaskit/db-credentials'))))
    expect(review.reviews).toBe(before + 2)
  })

  test('names a refused account, an unknown role and a revoked token unauthenticated', async () => {
    const other = await projected('elsewhere', 'broker')
    const revoked = await projected('agentaskit', 'broker')
    review.revoke(await lastToken(revoked))
    for (const auth of [
      { method: 'kubernetes', role: 'agentaskit-production', tokenFile: other },
      { method: 'kubernetes', role: 'agentaskit-production', tokenFile: revoked },
      { method: 'kubernetes', role: 'none', tokenFile: other },
      { method: 'kubernetes', role: 'none', tokenFile: other, mount: 'not-there' },
    ]) {
      const error = await failure((await store({ auth })).read(at('secret/data/agentaskit/api-keys')))
      expect(error.code).toBe('unauthenticated')
      expect(error.message).toContain(auth.role)
    }
  })

  test('renews before the end of a token', async () => {
    const tokenFile = await projected('agentaskit', 'broker')
    const broker = await store({ auth: { method: 'kubernetes', role: 'short', tokenFile } })
    const before = review.reviews
    const until = Date.now() + 7_000
    while (Date.now() < until) {
      await broker.read(at('secret/data/agentaskit/api-keys'))
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    // a ttl of 3 s was outlived twice without another login
    expect(review.reviews).toBe(before + 1)
  })

  test('tells denied, absent, soft-deleted and a wrong mount apart', async () => {
    const tokenFile = await projected('agentaskit', 'broker')
    const broker = await store({ auth: { method: 'kubernetes', role: 'agentaskit-production', tokenFile } })
    expect((await failure(broker.read(at('secret/data/payments/stripe')))).code).toBe('permission_denied')
    expect((await failure(broker.read(at('secret/data/agentaskit/none')))).code).toBe('not_found')
    const root = await store({}, asRoot())
    expect((await failure(root.read(at('nowhere/data/x')))).code).toBe('invalid_argument')
    await root.write(at('secret/data/gone'), (await root.read(at('secret/data/agentaskit/api-keys'))).value, intent())
    await root.delete(at('secret/data/gone'), intent())
    const gone = await failure(root.read(at('secret/data/gone')))
    expect([gone.code, gone.detail?.reason]).toEqual(['not_found', 'soft_deleted'])
    const asOne = await store({ kv: 1 }, asRoot())
    expect((await failure(asOne.read(at('secret/agentaskit/api-keys')))).code).toBe('invalid_argument')
  })

  test('wants the etag where the mount says cas_required', async () => {
    await bao.api('POST', 'sys/mounts/strict', { type: 'kv', options: { version: '2' } })
    await bao.api('POST', 'strict/config', { cas_required: true })
    const root = await store({}, asRoot())
    const { value } = await root.read(at('secret/data/agentaskit/api-keys'))
    expect((await failure(root.write(at('strict/data/x'), value, intent()))).code).toBe('invalid_argument')
    const made = await root.write(at('strict/data/x'), value, { ...intent(), ifMatch: null })
    expect((await root.write(at('strict/data/x'), value, { ...intent(), ifMatch: made.etag })).version).toBe('2')
  })

  test.each([
    ['secret/data/agentaskit/api-keys', 'api_key'],
    ['secret/data/agentaskit/db-credentials', 'db_password'],
    ['secret/data/agentaskit/jwt-signing', 'jwt_secret'],
  ])('changes one field of %s and leaves its neighbours byte for byte', async (path, field) => {
    const root = await store({}, asRoot())
    const before = await fieldsText(path)
    const read = await root.read(at(path))
    const changed = `rotated-${crypto.randomUUID()}`
    await root.write(at(path), read.value.with({ [field]: changed }), { ...intent(), ifMatch: read.etag })
    const after = await fieldsText(path)
    expect(after).toBe(before.replace(`"${field}":"first"`, `"${field}":"${changed}"`))
    expect(after).not.toBe(before)
  })

  test('keeps every digit of a number on KV v1, and refuses one on KV v2 that the server would round', async () => {
    await raw('kv/numbers', '{"big":12345678901234567890,"small":1.10,"key":"first"}')
    const one = await store({ kv: 1 }, asRoot())
    const { value } = await one.read(at('kv/numbers'))
    await one.write(at('kv/numbers'), value.with({ key: 'second' }), intent())
    expect(await text('kv/numbers')).toContain('"data":{"big":12345678901234567890,"key":"second","small":1.10}')
    const two = await store({}, asRoot())
    expect(two.refuses(value)).toContain('64-bit float')
    await raw('secret/data/numbers', '{"data":{"big":12345678901234567890,"key":"first"}}')
    const seen = await two.read(at('secret/data/numbers'))
    await two.write(at('secret/data/numbers'), seen.value.with({ key: 'second' }), { ...intent(), ifMatch: seen.etag })
    expect(await text('secret/data/numbers')).toContain('"data":{"big":12345678901234567000,"key":"second"}')
  })

  test('trusts the authority that is named, and no other', async () => {
    const secure = await startOpenBao(binary ?? '', folder)
    try {
      await secure.api('POST', 'secret/data/app', { data: { key: 'v' } })
      const over = async (more: object) => {
        const made = await open(options.parse({ address: secure.url, ...more }), context, { env: { VAULT_TOKEN: secure.rootToken } })
        opened.push(made)
        return new Store(made, { name: 'vault', clock: wallClock, timeoutMs: 30_000 })
      }
      const trusted = await over({ ca: await readFile(join(folder, 'vault-ca.pem'), 'utf8') })
      expect((await trusted.read(at('secret/data/app'))).value.fieldNames).toEqual(['key'])
      const untrusted = await failure((await over({})).read(at('secret/data/app')))
      expect([untrusted.code, untrusted.message]).toEqual(['unavailable', expect.stringMatching(/DEPTH_ZERO|SELF_SIGNED|UNABLE_TO/)])
    } finally {
      await secure.stop()
    }
  })

  test('lists from the root of a mount, page by page', async () => {
    const names = Array.from({ length: 1_001 }, (_, index) => `pages/n${index}`)
    for (const name of names) await bao.api('POST', `secret/data/${name}`, { data: { k: 'v' } })
    const listed: StorePath[] = []
    for await (const path of (await store({}, asRoot())).list('secret/data/')) listed.push(path)
    expect(new Set(listed).size).toBe(listed.length)
    expect(listed.filter(path => path.startsWith('secret/data/pages/'))).toHaveLength(1_001)
    const ones: StorePath[] = []
    for await (const path of (await store({ kv: 1 }, asRoot())).list('kv/')) ones.push(path)
    expect(ones).toContain('kv/numbers')
  })

  test('examines rights, fields and mounts without a right beyond reading', async () => {
    const tokenFile = await projected('agentaskit', 'broker')
    const broker = await store({ auth: { method: 'kubernetes', role: 'agentaskit-production', tokenFile } })
    const well = await broker.examine(at('secret/data/agentaskit/api-keys'))
    expect(well.filter(finding => !finding.ok)).toEqual([])
    expect(well.at(-1)?.detail).toContain('api_key')
    const denied = await broker.examine(at('secret/data/payments/stripe'))
    expect(denied.find(finding => !finding.ok)?.what).toBe('right to read secret/data/payments/stripe')
    const wrongKind = await (await store({ kv: 1 }, asRoot())).examine(at('secret/agentaskit/api-keys'))
    expect(wrongKind.find(finding => finding.what === 'mount secret')?.hint).toContain('kv: 2')
  })
})

async function prepare(): Promise<void> {
  const policy =
    'path "secret/data/agentaskit/*" { capabilities = ["read"] }\npath "secret/metadata/agentaskit/*" { capabilities = ["list"] }'
  const all =
    'path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }\npath "kv/*" { capabilities = ["create", "read", "update", "delete", "list"] }'
  await bao.api('PUT', 'sys/policies/acl/agentaskit', { policy })
  await bao.api('PUT', 'sys/policies/acl/all', { policy: all })
  await bao.api('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '1' } })
  await bao.api('POST', 'sys/auth/approle', { type: 'approle' })
  await bao.api('POST', 'auth/approle/role/app', { token_policies: 'all', token_ttl: '1h' })
  await bao.api('POST', 'sys/auth/kubernetes', { type: 'kubernetes' })
  await bao.api('POST', 'auth/kubernetes/config', {
    kubernetes_host: review.url,
    disable_local_ca_jwt: true,
    // it insists on one, and speaks plain HTTP to the loopback
    kubernetes_ca_cert: rootCertificates[0],
  })
  const role = { bound_service_account_names: 'broker', bound_service_account_namespaces: 'agentaskit', token_policies: 'agentaskit' }
  await bao.api('POST', 'auth/kubernetes/role/agentaskit-production', { ...role, token_ttl: '1h' })
  await bao.api('POST', 'auth/kubernetes/role/short', { ...role, token_ttl: '3s' })
  for (const [name, field] of [
    ['api-keys', 'api_key'],
    ['db-credentials', 'db_password'],
    ['jwt-signing', 'jwt_secret'],
  ]) {
    await raw(
      `secret/data/agentaskit/${name}`,
      `{"data":{"${field}":"first","a_neighbour":"kept: <&> \\u2028 \\ud83d\\udd11","limits":{"b":[1,true,null],"a":"<x>"},"zero":0}}`,
    )
  }
}

function harnessOf(kv: 1 | 2): StoreHarness {
  const root = kv === 2 ? 'secret/data/' : 'kv/'
  const two: readonly Capability[] = ['cas', 'versions', 'disable', 'enable', 'destroy', 'delete', 'restore']
  let paths = 0
  const put = (path: string, value: string) => bao.api('POST', path, kv === 2 ? { data: { value } } : { value })
  const token = (policy: string) => dataOfAuth(policy)
  return {
    name: `adapter-vault, KV v${kv}, live`,
    capabilities: kv === 2 ? two : ['delete'],
    forms: ['fields'],
    prefix: `${root}conformance/`,
    open: () => open(options.parse({ address: bao.url, kv }), context, { env: asRoot() }),
    freshPath() {
      paths += 1
      return at(`${root}conformance/${paths}`)
    },
    async behind(path, value) {
      await put(path, value)
    },
    async fill(all) {
      for (const path of all) await put(path, 'filled')
    },
    faults: [
      {
        title: 'the token was refused',
        code: 'unauthenticated',
        path: at(`${root}x`),
        open: () => open(options.parse({ address: bao.url, kv }), context, { env: { VAULT_TOKEN: 'a-token-that-ended' } }),
      },
      ...(['read', 'write', 'list'] as const).map(operation => ({
        title: `${operation} is denied`,
        code: 'permission_denied' as const,
        operation,
        path: at(`${root}x`),
        open: async () => open(options.parse({ address: bao.url, kv }), context, { env: { VAULT_TOKEN: await token('default') } }),
      })),
      {
        title: 'nobody listens',
        code: 'unavailable',
        path: at(`${root}x`),
        open: () => open(options.parse({ address: 'http://127.0.0.1:1', kv }), context, { env: asRoot() }),
      },
    ],
  }
}

async function dataOfAuth(policy: string): Promise<string> {
  const { auth } = (await bao.api('POST', 'auth/token/create', { policies: [policy], ttl: '10m' })) as { auth: { client_token: string } }
  return auth.client_token
}

async function dataOf(method: 'GET' | 'POST', path: string, name: string): Promise<string> {
  const { data } = (await bao.api(method, path, method === 'POST' ? {} : undefined)) as { data: Record<string, string> }
  return data[name] ?? ''
}

let files = 0

/** A file as a projected volume holds it. */
async function projected(namespace: string, name: string): Promise<string> {
  files += 1
  const file = join(folder, `token-${files}`)
  tokens.set(file, review.mint(namespace, name))
  await writeFile(file, `${tokens.get(file)}\n`)
  return file
}

const tokens = new Map<string, string>()

async function lastToken(file: string): Promise<string> {
  return tokens.get(file) ?? ''
}

/** Writes JSON as it stands, and reads the answer as it stands, past the adapter. */
async function raw(path: string, body: string): Promise<void> {
  const headers = { 'x-vault-token': bao.rootToken, 'content-type': 'application/json' }
  const answer = await fetch(`${bao.url}/v1/${path}`, { method: 'POST', headers, body })
  expect(answer.ok).toBe(true)
}

async function text(path: string): Promise<string> {
  const answer = await fetch(`${bao.url}/v1/${path}`, { headers: { 'x-vault-token': bao.rootToken } })
  return answer.text()
}

async function fieldsText(path: string): Promise<string> {
  return /"data":\{"data":(\{.*\}),"metadata"/.exec(await text(path))?.[1] ?? ''
}
