import { failure, testContext } from '@keyturn/conformance'
import { BrokerError, SecretValue, Store, type StorePath, textOf } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { VaultFake } from '../../../test/fakes/vault.ts'
import { SetClock } from '../../../test/fakes/vault-clock.ts'
import { open, options } from './index.ts'
import { brokenNamespace, namespacesOf } from './namespace.ts'

const path = 'secret/data/app' as StorePath
const second = 1_000
const appRole = { method: 'approle', roleId: 'the-role', secretId: 'the-secret-id' }

let clock: SetClock
let fake: VaultFake
const closing: (() => Promise<void>)[] = []
beforeEach(async () => {
  clock = new SetClock()
  fake = await VaultFake.start(() => clock.now().getTime())
  fake.namespaces.add('admin').add('admin/payments')
  fake.mount('secret', 2).put('app', { key: 'of the root' })
  fake.mount('admin/payments/secret', 2).put('app', { key: 'of payments' })
  fake.auth.appRoles.set('app', { roleId: 'the-role', secretId: 'the-secret-id', ttlMs: 60 * second, renewable: true })
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  expect(fake.broken).toEqual([])
  await fake.close()
})

async function storeWith(more: object, env: Record<string, string> = {}): Promise<Store> {
  const context = testContext('namespace', { clock })
  const adapter = await open(options.parse({ address: fake.url, ...more }), context, { env })
  closing.push(() => adapter.close())
  return new Store(adapter, { name: 'vault', clock, timeoutMs: 30 * second })
}

const keyOf = async (store: Store) => {
  const content = (await store.read(path)).value.reveal()
  const key = 'fields' in content ? content.fields.get('key') : undefined
  return key === undefined ? undefined : textOf(key)
}
const sent = () => new Set(fake.seen.map(seen => seen.headers['x-vault-namespace']))

describe('a section with a namespace', () => {
  test('says it with every request: login, reads, writes, lists, looks, renewal and revocation', async () => {
    fake.auth.namespace = 'admin/payments'
    const store = await storeWith({ namespace: 'admin/payments', auth: appRole })
    expect(await keyOf(store)).toBe('of payments')
    await store.write(path, SecretValue.fields(new Map([['key', 'changed']])), { idempotencyKey: crypto.randomUUID() })
    expect(await Array.fromAsync(store.list('secret/data/'))).toEqual([path])
    expect((await store.examine(path)).filter(finding => !finding.ok)).toEqual([])
    clock.advance(45 * second)
    await store.read(path)
    await expect.poll(() => fake.auth.renewals).toBe(1)
    await store.close()
    expect([fake.auth.logins, fake.auth.revocations]).toEqual([1, 1])
    expect(sent()).toEqual(new Set(['admin/payments']))
  })

  test('logs in elsewhere where auth says so, and renews and revokes there', async () => {
    fake.auth.namespace = 'admin'
    const store = await storeWith({ namespace: 'admin/payments', auth: { ...appRole, namespace: 'admin' } })
    expect(await keyOf(store)).toBe('of payments')
    await store.close()
    const places = fake.seen.map(({ path: to, headers }) => [to.replace(/^\/v1\//, ''), headers['x-vault-namespace']])
    expect(places).toEqual([
      ['auth/approle/login', 'admin'],
      ['secret/data/app', 'admin/payments'],
      ['auth/token/revoke-self', 'admin'],
    ])
  })

  test('can log in to the root', async () => {
    const store = await storeWith({ namespace: 'admin/payments', auth: { ...appRole, namespace: 'root' } })
    expect(await keyOf(store)).toBe('of payments')
    expect(fake.seen[0]?.headers['x-vault-namespace']).toBeUndefined()
  })

  test('that is not there is a wrong config, not an absent secret', async () => {
    const error = await failure((await storeWith({ namespace: 'nowhere', auth: { ...appRole, namespace: 'root' } })).read(path))
    expect(error.code).toBe('invalid_argument')
    expect(error.message).toContain('namespace not found')
    expect(error.hint).toContain('namespace')
    const login = await failure((await storeWith({ namespace: 'nowhere', auth: appRole })).read(path))
    expect(login.code).toBe('unauthenticated')
    expect(login.message).toContain(`${fake.url} in namespace nowhere failed: namespace not found`)
  })

  test('does not serve a token of another one', async () => {
    const token = fake.auth.grant({}, undefined, 'admin')
    fake.mount('elsewhere/secret', 2)
    fake.namespaces.add('elsewhere')
    const error = await failure((await storeWith({ namespace: 'elsewhere', auth: { method: 'token', token } })).read(path))
    expect(error.code).toBe('unauthenticated')
  })
})

describe('VAULT_NAMESPACE', () => {
  test('counts where the token is VAULT_TOKEN', async () => {
    const env = { VAULT_TOKEN: fake.root, VAULT_NAMESPACE: 'admin/payments/' }
    expect(await keyOf(await storeWith({}, env))).toBe('of payments')
    expect(await keyOf(await storeWith({ auth: { method: 'token' } }, env))).toBe('of payments')
    expect(sent()).toEqual(new Set(['admin/payments']))
  })

  test('does not count beside a namespace of the section', async () => {
    const env = { VAULT_TOKEN: fake.root, VAULT_NAMESPACE: 'admin' }
    expect(await keyOf(await storeWith({ namespace: 'admin/payments' }, env))).toBe('of payments')
    expect(await keyOf(await storeWith({ namespace: 'root' }, env))).toBe('of the root')
    expect(sent()).toEqual(new Set(['admin/payments', undefined]))
  })

  test('does not count in a section that says how it logs in', async () => {
    const env = { VAULT_TOKEN: 'not-this-one', VAULT_NAMESPACE: 'admin' }
    for (const auth of [appRole, { method: 'token', token: fake.root }])
      expect(await keyOf(await storeWith({ auth }, env))).toBe('of the root')
    expect(sent()).toEqual(new Set([undefined]))
  })

  test('that is no namespace is refused before any call, without its text', async () => {
    const error = await failure(storeWith({}, { VAULT_TOKEN: fake.root, VAULT_NAMESPACE: 'canary namespace' }))
    expect([error instanceof BrokerError, error.code]).toEqual([true, 'invalid_argument'])
    expect(`${error.message}${error.hint}`).toContain('VAULT_NAMESPACE')
    expect(`${error.message}${error.hint}`).not.toContain('canary')
    expect(fake.seen).toEqual([])
  })

  test.each(['', '/'])('that is %j is not set', text => {
    expect(namespacesOf({}, { VAULT_NAMESPACE: text })).toEqual({ secrets: undefined, login: undefined })
  })
})

describe('the path of a namespace', () => {
  test.each(['admin', 'admin/payments', 'team-1/eu_west.2', 'root'])('may be %s', text => {
    expect(brokenNamespace(text)).toBeUndefined()
  })

  test('may have 512 characters', () => {
    expect(brokenNamespace('a'.repeat(512))).toBeUndefined()
    expect(brokenNamespace('a'.repeat(513))).toContain('512')
  })
})
