import { readFileSync } from 'node:fs'
import { capabilityTable, type Fault, runStoreChecks, type StoreHarness, slowMs, tableDiffers, testContext } from '@keyturn/conformance'
import type { Capability, StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Knob, VaultFake } from '../../../test/fakes/vault.ts'
import type { Rule } from '../../../test/fakes/vault-auth.ts'
import { open, options } from './index.ts'

const context = testContext('vault')
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const everything: readonly Rule[] = [
  { path: 'secret/*', capabilities: ['create', 'read', 'update', 'delete', 'list'] },
  { path: 'kv/*', capabilities: ['create', 'read', 'update', 'delete', 'list'] },
]

let fake: VaultFake
beforeAll(async () => {
  fake = await VaultFake.start()
  fake.mount('secret', 2)
  fake.mount('kv', 1)
  fake.auth.appRoles.set('app', { roleId: 'app', secretId: 'secret-id-of-app', ttlMs: 60_000, renewable: true, rules: everything })
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const opened = (address: string, more: object, env: object = {}) => open(options.parse({ address, ...more }), context, { env: { ...env } })
const appRole = { method: 'approle', roleId: 'app', secretId: 'secret-id-of-app' }

/** A fake of its own with one thing wrong. */
async function broken(kv: 1 | 2, wrong: (own: VaultFake) => { env?: object; auth?: object }): ReturnType<Fault['open']> {
  const own = await VaultFake.start()
  const fields = { value: 'here' }
  own.mount('secret', 2).put('faulty', fields)
  own.mount('kv', 1).put('faulty', fields)
  const { env = { VAULT_TOKEN: own.root }, ...more } = wrong(own)
  const adapter = await opened(own.url, { kv, ...more }, env)
  return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
}

function faultsOf(kv: 1 | 2): readonly Fault[] {
  const path = (kv === 2 ? 'secret/data/faulty' : 'kv/faulty') as StorePath
  const any = /^(?:GET|POST|DELETE) \/v1\//
  const write = /^POST \/v1\/(?:secret|kv)\//
  const knob = (fits: RegExp, turned: Knob) => () =>
    broken(kv, own => {
      own.turn(fits, turned)
      return {}
    })
  const denying = (deny: string, capability: Rule['capabilities'][number]) => () =>
    broken(kv, own => ({ env: { VAULT_TOKEN: own.auth.grant({ rules: without(deny, capability) }) } }))
  const mine = kv === 2 ? 'secret/data/*' : 'kv/*'
  const folder = kv === 2 ? 'secret/metadata/*' : 'kv/*'
  return [
    {
      title: 'the token was refused',
      code: 'unauthenticated',
      path,
      open: () => broken(kv, () => ({ env: { VAULT_TOKEN: 'a-token-that-ended' } })),
    },
    {
      title: 'the login was refused',
      code: 'unauthenticated',
      path,
      open: () => broken(kv, () => ({ auth: { ...appRole, secretId: 'not-the-secret-id' } })),
    },
    { title: 'reading is denied', code: 'permission_denied', path, open: denying(mine, 'read') },
    { title: 'writing is denied', code: 'permission_denied', operation: 'write', path, open: denying(mine, 'update') },
    {
      title: 'listing is denied',
      code: 'permission_denied',
      operation: 'list',
      path: 'elsewhere/data/x' as StorePath,
      open: denying(folder, 'list'),
    },
    { title: 'the rate limit is reached', code: 'throttled', path, open: knob(any, { do: 'throttle', retryAfter: '2' }) },
    { title: 'the server is sealed', code: 'unavailable', path, open: knob(any, { do: 'seal' }) },
    {
      title: 'the server redirects',
      code: 'unavailable',
      operation: 'write',
      path,
      open: knob(any, { do: 'redirect', to: 'http://127.0.0.1:1/' }),
    },
    { title: 'a login page answers', code: 'corrupt', path, open: knob(any, { do: 'page' }) },
    { title: 'the answer is no JSON', code: 'corrupt', path, open: knob(any, { do: 'say', body: '{"data":' }) },
    { title: 'the connection was cut while reading', code: 'unavailable', path, open: knob(any, { do: 'drop' }) },
    { title: 'the connection was cut after a write', code: 'outcome_unknown', operation: 'write', path, open: knob(write, { do: 'cut' }) },
    {
      title: 'nobody listens',
      code: 'unavailable',
      operation: 'write',
      path,
      open: () => opened('http://127.0.0.1:1', { kv }, { VAULT_TOKEN: 't' }),
    },
    {
      title: 'there is no such mount',
      code: 'invalid_argument',
      path: (kv === 2 ? 'none/data/x' : 'none/x') as StorePath,
      open: () => broken(kv, () => ({})),
    },
  ]
}

/** Everything but one capability in one place; of two rules with one path the first counts. */
function without(path: string, capability: Rule['capabilities'][number]): readonly Rule[] {
  const others = (['create', 'read', 'update', 'delete', 'list'] as const).filter(each => each !== capability)
  return [{ path, capabilities: others }, ...everything]
}

function harnessOf(kv: 1 | 2): StoreHarness {
  let paths = 0
  const root = kv === 2 ? 'secret/data/' : 'kv/'
  const key = (path: string) => path.slice(root.length)
  const mount = kv === 2 ? 'secret' : 'kv'
  const capabilities: readonly Capability[] =
    kv === 2 ? ['cas', 'versions', 'disable', 'enable', 'destroy', 'delete', 'restore'] : ['delete']
  return {
    name: `adapter-vault, KV v${kv}`,
    capabilities,
    forms: ['fields'],
    prefix: `${root}fresh/`,
    open: () => opened(fake.url, { kv, auth: appRole }),
    freshPath() {
      paths += 1
      return `${root}fresh/${paths}` as StorePath
    },
    faults: faultsOf(kv),
    async behind(path, text) {
      fake.engine(mount).put(key(path), { value: text })
    },
    async fill(all) {
      for (const path of all) fake.engine(mount).put(key(path), { value: 'filled' })
    },
    async slow() {
      const own = await VaultFake.start()
      own.mount('secret', 2)
      own.mount('kv', 1)
      own.turn(/^POST \/v1\/(?:secret|kv)\//, { do: 'slow', ms: slowMs * 4 })
      const adapter = await opened(own.url, { kv }, { VAULT_TOKEN: own.root })
      return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
    },
  }
}

describe('adapter-vault on KV v2', () => {
  const run = runStoreChecks(harnessOf(2), { test })
  test('shows in its README what the run showed', () => {
    expect(tableDiffers(readme, capabilityTable(run), 'KV v2')).toBeUndefined()
  })
})

describe('adapter-vault on KV v1', () => {
  const run = runStoreChecks(harnessOf(1), { test })
  test('shows in its README what the run showed', () => {
    expect(tableDiffers(readme, capabilityTable(run), 'KV v1')).toBeUndefined()
  })
})
