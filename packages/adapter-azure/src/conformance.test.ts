import { readFileSync } from 'node:fs'
import { capabilityTable, type Fault, runStoreChecks, type StoreHarness, slowMs, tableDiffers, testContext } from '@keyturn/conformance'
import type { StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AzureKnob } from '../../../test/fakes/azure-server.ts'
import { AzureVault } from '../../../test/fakes/azure-vault.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { open, options } from './index.ts'

const context = testContext('azure')

let fake: AzureVault
beforeAll(async () => {
  fake = await AzureVault.start()
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const auth = { method: 'client-secret', clientId: 'app', clientSecret: 'secret-of-the-app' }
const emulated = { verifyChallenge: false, ca: testCertificates.ca }
const opened = (own: AzureVault, more: object = {}, login: object = {}) =>
  open(
    options.parse({
      vault: own.url,
      authority: own.authority.url,
      auth: { tenantId: own.authority.tenant, ...auth, ...login },
      ...emulated,
      ...more,
    }),
    context,
    { env: {} },
  )

/** A fake of its own with one thing wrong. */
async function broken(wrong: (own: AzureVault) => { login?: object; more?: object } | undefined): ReturnType<Fault['open']> {
  const own = await AzureVault.start()
  own.secrets.put('faulty', 'here')
  const { login, more } = wrong(own) ?? {}
  const adapter = await opened(own, more, login)
  return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
}

const path = 'faulty' as StorePath
const knob = (fits: RegExp, turned: AzureKnob) => () => broken(own => void own.server.turn(fits, turned))
const authority = (turned: AzureKnob) => () => broken(own => void own.authority.server.turn(/^POST /, turned))
const without = (right: string) => () =>
  broken(own => {
    own.rights.set(
      'app',
      ['get', 'list', 'set', 'delete', 'recover'].filter(each => each !== right),
    )
    return { more: { secrets: [{ path: 'fresh/' }] } }
  })
const any = /^[A-Z]+ \/(?:deleted)?secrets/
const write = /^PUT \/secrets/
const tooMany = (headers: Record<string, string>): AzureKnob => ({
  do: 'say',
  status: 429,
  body: '{"error":{"code":"Throttled","message":"m"}}',
  headers,
})

const faults: readonly Fault[] = [
  {
    title: 'the client secret was refused',
    code: 'unauthenticated',
    path,
    open: () => broken(() => ({ login: { clientSecret: 'not-the-secret' } })),
  },
  { title: 'the client is unknown', code: 'unauthenticated', path, open: () => broken(() => ({ login: { clientId: 'nobody' } })) },
  {
    title: 'the vault takes no token',
    code: 'unauthenticated',
    path,
    open: () =>
      broken(own => {
        own.authority.lifeMs = -1
        return {}
      }),
  },
  {
    title: 'the authority fails',
    code: 'unavailable',
    path,
    open: authority({ do: 'say', status: 503, body: '{"error":"temporarily_unavailable"}' }),
  },
  { title: 'the authority is silent about why', code: 'unavailable', path, open: authority({ do: 'page', status: 502 }) },
  {
    title: 'the authority throttles',
    code: 'throttled',
    path,
    open: authority({ do: 'say', status: 429, body: '{"error":"x"}', headers: { 'retry-after': '3' } }),
  },
  { title: 'reading is denied', code: 'permission_denied', path, open: without('get') },
  { title: 'writing is denied', code: 'permission_denied', operation: 'write', path, open: without('set') },
  { title: 'listing is denied', code: 'permission_denied', operation: 'list', open: without('list') },
  { title: 'the vault throttles', code: 'throttled', path, open: knob(any, tooMany({ 'retry-after': '2' })) },
  { title: 'the vault is not available', code: 'unavailable', path, open: knob(any, { do: 'say', status: 503, body: '{}' }) },
  {
    title: 'the vault redirects',
    code: 'unavailable',
    operation: 'write',
    path,
    open: knob(any, { do: 'redirect', to: 'https://localhost:1/' }),
  },
  { title: 'a login page answers', code: 'corrupt', path, open: knob(any, { do: 'page' }) },
  { title: 'the answer is no JSON', code: 'corrupt', path, open: knob(any, { do: 'say', status: 200, body: '{"value":' }) },
  { title: 'the answer is none of a vault', code: 'corrupt', path, open: knob(any, { do: 'say', status: 200, body: '{"ok":true}' }) },
  { title: 'the answer does not end', code: 'corrupt', path, open: knob(any, { do: 'endless', bytes: 65_536 }) },
  { title: 'the connection was cut while reading', code: 'unavailable', path, open: knob(any, { do: 'drop' }) },
  { title: 'the answer broke off while reading', code: 'unavailable', path, open: knob(any, { do: 'tear' }) },
  { title: 'the connection was cut after a write', code: 'outcome_unknown', operation: 'write', path, open: knob(write, { do: 'cut' }) },
  {
    title: 'nobody listens',
    code: 'unavailable',
    operation: 'write',
    path,
    open: () => broken(() => ({ more: { vault: 'https://localhost:1' } })),
  },
  {
    title: 'the certificate is not trusted',
    code: 'unavailable',
    path,
    open: () => broken(() => ({ more: { ca: testCertificates.client.cert } })),
  },
]

let paths = 0
const harness: StoreHarness = {
  name: 'adapter-azure',
  capabilities: ['versions', 'disable', 'enable', 'delete', 'restore'],
  forms: ['text'],
  prefix: 'fresh/',
  open: () => opened(fake),
  freshPath() {
    paths += 1
    return `fresh/${paths}` as StorePath
  },
  faults,
  async behind(at, text) {
    fake.secrets.put(at.replace('/', '---'), text)
  },
  async fill(all) {
    for (const each of all) fake.secrets.put(each.replace('/', '---'), 'filled')
  },
  slow: () => broken(own => void own.server.turn(write, { do: 'slow', ms: slowMs * 4 })),
}

describe('adapter-azure', () => {
  const run = runStoreChecks(harness, { test })
  test('shows in its README what the run showed', () => {
    expect(tableDiffers(readFileSync(new URL('../README.md', import.meta.url), 'utf8'), capabilityTable(run))).toBeUndefined()
  })
})
