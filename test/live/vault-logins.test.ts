import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, options } from '@keyturn/adapter-vault'
import { failure, testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StoreAdapter, type StorePath, textOf } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest'
import { JwtIssuer } from '../fakes/vault-jwt.ts'
import { findOpenBao, type OpenBao, startOpenBao } from '../servers/openbao.ts'
import { tally, tell } from './tell.ts'

/** Logins by JWT, and namespaces, on a real server. A server without namespaces, as Vault's community edition, has a row that says so. */
const binary = await findOpenBao()
const context = testContext('logins')
const path = 'secret/data/app' as StorePath
const team = 'admin/payments'
const issuer = new JwtIssuer()
const opened: StoreAdapter[] = []
let prepared = false
let namespaces = false

let bao: OpenBao
let folder: string

const store = async (more: object, env: Record<string, string> = {}): Promise<Store> => {
  const made = await open(options.parse({ address: bao.url, ...more }), context, { env })
  opened.push(made)
  return new Store(made, { name: 'vault', clock: wallClock, timeoutMs: 30_000 })
}
const minted = (claims: object = {}) => issuer.mint({ sub: 'repo:shop', aud: 'broker', ...claims })
const auth = { method: 'jwt', role: 'shop' }

describe.runIf(binary === undefined)('without a Vault-compatible server', () => {
  test('the row says absent', async () => {
    const absent = 'no `bao` or `vault` on PATH, and KEYTURN_TEST_BAO names none'
    await tell({ adapter: 'vault, JWT and namespaces', server: 'none', passed: 0, failed: 0, absent })
  })
})

describe.skipIf(binary === undefined)('adapter-vault on a real server', () => {
  beforeAll(async () => {
    // skipped without a binary
    bao = await startOpenBao(binary ?? '')
    folder = await mkdtemp(join(tmpdir(), 'keyturn-live-'))
    await prepare(undefined)
    await bao.api('POST', 'secret/data/app', { data: { key: 'of the root' } })
    namespaces = await makeNamespaces()
    prepared = true
  })
  const counted = tally()
  afterAll(async () => {
    for (const each of opened) await each.close()
    if (!prepared) counted.failed += 1
    const server = `openbao ${bao.version}`
    await tell({ adapter: 'vault, JWT and namespaces', server, ...counted })
    const absent = 'it has none, as Vault’s community edition; on our own fake they are tried by npm test'
    if (prepared && !namespaces) await tell({ adapter: 'vault, namespaces', server, passed: 0, failed: 0, absent })
    await bao.stop()
    await rm(folder, { recursive: true })
  })

  test('logs in by JWT with a file that is replaced, and revokes its token at the end', async () => {
    const tokenFile = join(folder, 'jwt')
    await writeFile(tokenFile, `${minted()}\n`)
    const broker = await store({ auth: { ...auth, tokenFile } })
    expect(await keyOf(broker)).toBe('of the root')
    await bao.api('POST', 'sys/leases/revoke-prefix/auth/jwt/login')
    await writeFile(tokenFile, minted())
    expect(await keyOf(broker)).toBe('of the root')
    expect(await accessors()).toBe(2)
    await broker.close()
    expect(await accessors()).toBe(1)
  })

  test('renews a token of a JWT login before its end', async () => {
    const broker = await store({ auth: { ...auth, role: 'short', token: minted() } })
    const until = Date.now() + 5_000
    while (Date.now() < until) {
      await broker.read(path)
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    // a ttl of 3 s was outlived without another login: one token beside root's
    expect(await accessors()).toBe(2)
    await broker.close()
  })

  test.each([
    ['that has ended', () => minted({ iat: 1, nbf: 1, exp: 2 }), /token is expired/],
    ['for another audience', () => minted({ aud: 'other' }), /audience/],
    ['of another subject', () => minted({ sub: 'repo:other' }), /bound claim/],
    ['of another issuer', () => new JwtIssuer().mint({ sub: 'repo:shop', aud: 'broker' }), /signature/],
    ['that is none', () => 'canary-no-jwt', /three parts/],
  ])('names a JWT %s unauthenticated, with the reason and without the token', async (_title, made, why) => {
    const token = made()
    const error = await failure((await store({ auth: { ...auth, token } })).read(path))
    expect(error.code).toBe('unauthenticated')
    expect(error.message).toMatch(why)
    expect(`${error.stack}${JSON.stringify(error)}`).not.toContain(token)
  })

  test('serves the secrets of a namespace to a login there, in all it does', async task => {
    needsNamespaces(task)
    const broker = await store({ namespace: team, auth: { ...auth, token: minted() } })
    expect(await keyOf(broker)).toBe('of payments')
    await broker.write(path, SecretValue.fields(new Map([['key', 'changed']])), { idempotencyKey: crypto.randomUUID() })
    expect(await Array.fromAsync(broker.list('secret/data/'))).toEqual([path])
    expect((await broker.examine(path)).filter(finding => !finding.ok)).toEqual([])
    expect(await keyOf(await store({}, { VAULT_TOKEN: bao.rootToken, VAULT_NAMESPACE: `${team}/` }))).toBe('changed')
    expect(await keyOf(await store({}, { VAULT_TOKEN: bao.rootToken }))).toBe('of the root')
    expect(await accessors(team)).toBe(1)
    await broker.close()
    expect(await accessors(team)).toBe(0)
  })

  test('serves a namespace to a login above it', async task => {
    needsNamespaces(task)
    const broker = await store({ namespace: team, auth: { ...auth, role: 'above', namespace: 'root', token: minted() } })
    expect((await broker.read(path)).value.fieldNames).toEqual(['key'])
    expect((await failure(broker.write(path, SecretValue.fields(new Map([['key', 'x']])), intent()))).code).toBe('permission_denied')
  })

  test('names a namespace that is not there, and a login that is in another one', async task => {
    needsNamespaces(task)
    const error = await failure((await store({ namespace: 'nowhere' }, { VAULT_TOKEN: bao.rootToken })).read(path))
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining('namespace not found')])
    const wrong = { ...auth, namespace: 'root', token: minted() }
    const absent = await failure((await store({ namespace: 'nowhere', auth: wrong })).read(path))
    expect([absent.code, absent.message]).toEqual(['invalid_argument', expect.stringContaining('namespace not found')])
    const unmounted = await failure((await store({ namespace: 'admin', auth: { ...auth, token: minted() } })).read(path))
    expect(unmounted.code).toBe('unauthenticated')
  })
})

const intent = () => ({ idempotencyKey: crypto.randomUUID() })

function needsNamespaces(task: TestContext): void {
  if (namespaces) return
  task.skip('this server has no namespaces')
}

async function makeNamespaces(): Promise<boolean> {
  const made = await bao.api('POST', 'sys/namespaces/admin').then(
    () => true,
    () => false,
  )
  if (!made) return false
  await bao.api('POST', 'sys/namespaces/payments', undefined, 'admin')
  await bao.api('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } }, team)
  await prepare(team)
  await bao.api('POST', 'secret/data/app', { data: { key: 'of payments' } }, team)
  return true
}

/** The method, its roles and their policies in a namespace. */
async function prepare(namespace: string | undefined): Promise<void> {
  const at = (place: string, body: object) => bao.api('POST', place, body, namespace)
  const policy = 'path "secret/*" { capabilities = ["create", "read", "update", "list"] }'
  await at('sys/policies/acl/shop', { policy })
  await at('sys/policies/acl/above', { policy: `path "${team}/secret/data/*" { capabilities = ["read"] }` })
  await at('sys/auth/jwt', { type: 'jwt' })
  await at('auth/jwt/config', { jwt_validation_pubkeys: [issuer.publicKey], bound_issuer: issuer.name })
  const role = { role_type: 'jwt', user_claim: 'sub', bound_audiences: ['broker'], bound_claims: { sub: 'repo:shop' } }
  await at('auth/jwt/role/shop', { ...role, token_policies: ['shop'], token_ttl: '1h' })
  await at('auth/jwt/role/short', { ...role, token_policies: ['shop'], token_ttl: '3s' })
  await at('auth/jwt/role/above', { ...role, token_policies: ['above'], token_ttl: '1h' })
}

async function keyOf(from: Store): Promise<string> {
  const content = (await from.read(path)).value.reveal()
  const key = 'fields' in content ? content.fields.get('key') : undefined
  return key === undefined ? '' : (textOf(key) ?? '')
}

/** How many tokens there are. */
async function accessors(namespace?: string): Promise<number> {
  const answer = await bao.api('GET', 'auth/token/accessors?list=true', undefined, namespace).catch((error: Error) => {
    // an empty list is absent
    if (error.message.includes('404 {"errors":[]}')) return undefined
    throw error
  })
  // what the API gives
  return (answer as { data: { keys: string[] } } | undefined)?.data.keys.length ?? 0
}
