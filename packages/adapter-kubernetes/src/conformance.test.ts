import { readFileSync } from 'node:fs'
import { capabilityTable, type Fault, runStoreChecks, type StoreHarness, slowMs, tableDiffers, testContext } from '@keyturn/conformance'
import type { StoreAdapter, StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Knob, KubernetesFake } from '../../../test/fakes/kubernetes.ts'
import { Refusal } from '../../../test/fakes/kubernetes-status.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { open, options } from './index.ts'

const context = testContext('kubernetes')
const verbs = ['get', 'list', 'create', 'update', 'delete']

let fake: KubernetesFake
beforeAll(async () => {
  fake = await KubernetesFake.start()
  fake.secrets.namespaces.add('fresh')
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const opened = (on: { readonly url: string }, token: string, more: object = {}) =>
  open(options.parse({ address: on.url, ca: testCertificates.ca, auth: { method: 'token', token }, ...more }), context, { env: {} })

/** A fake of its own with one thing wrong. */
async function broken(
  wrong: (own: KubernetesFake) => { readonly token?: string; readonly ca?: undefined } | undefined,
): Promise<StoreAdapter> {
  const own = await KubernetesFake.start()
  own.secrets.namespaces.add('fresh')
  own.secrets.put('fresh', 'faulty', { value: 'here' })
  const { token = own.admin, ...more } = wrong(own) ?? {}
  const adapter = await opened(own, token, more)
  return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
}

const path = 'fresh/faulty' as StorePath
const any = /./
const write = /^(?:POST|PUT) \/api\/v1\//
const knob = (fits: RegExp, turned: Knob) => () =>
  broken(own => {
    own.turn(fits, turned)
    return undefined
  })
const without = (verb: string) => () =>
  broken(own => ({ token: own.access.token({ rules: [{ verbs: verbs.filter(each => each !== verb), namespace: 'fresh' }] }) }))
const refused = (status: number, reason: string, retryAfter?: string): Knob => ({
  do: 'refuse',
  with: new Refusal(status, reason, 'it is so', {}),
  ...(retryAfter === undefined ? {} : { retryAfter }),
})

const faults: readonly Fault[] = [
  { title: 'the token was refused', code: 'unauthenticated', path, open: () => broken(() => ({ token: 'a-token-that-ended' })) },
  { title: 'the server speaks to nobody in particular', code: 'unauthenticated', path, open: knob(any, anonymous()) },
  { title: 'reading is denied', code: 'permission_denied', path, open: without('get') },
  { title: 'writing is denied', code: 'permission_denied', operation: 'write', path, open: without('update') },
  { title: 'making is denied', code: 'permission_denied', operation: 'write', path: 'fresh/new' as StorePath, open: without('create') },
  { title: 'listing is denied', code: 'permission_denied', operation: 'list', path: 'fresh/none' as StorePath, open: without('list') },
  { title: 'there are too many requests', code: 'throttled', path, open: knob(any, refused(429, 'TooManyRequests', '2')) },
  { title: 'the server is not ready', code: 'unavailable', path, open: knob(any, refused(503, 'ServiceUnavailable')) },
  { title: 'a balancer finds no server', code: 'unavailable', path, open: knob(any, { do: 'page', status: 503 }) },
  { title: 'the storage failed while reading', code: 'unavailable', path, open: knob(any, refused(500, 'InternalError')) },
  {
    title: 'the storage failed after a write',
    code: 'outcome_unknown',
    operation: 'write',
    path,
    open: knob(write, refused(504, 'Timeout')),
  },
  {
    title: 'a list outlived its snapshot',
    code: 'unavailable',
    operation: 'list',
    path: 'fresh/none' as StorePath,
    open: knob(/limit=/, refused(410, 'Expired')),
  },
  {
    title: 'the server redirects',
    code: 'unavailable',
    operation: 'write',
    path,
    open: knob(any, { do: 'redirect', to: 'https://127.0.0.1:1/' }),
  },
  { title: 'a login page answers', code: 'corrupt', path, open: knob(any, { do: 'page' }) },
  { title: 'a page says 404', code: 'corrupt', path, open: knob(any, { do: 'page', status: 404 }) },
  { title: 'the answer is no JSON', code: 'corrupt', path, open: knob(any, { do: 'say', body: '{"kind":' }) },
  {
    title: 'the answer is another object',
    code: 'corrupt',
    path,
    open: knob(any, { do: 'say', body: '{"kind":"ConfigMap","metadata":{}}' }),
  },
  { title: 'the connection was cut while reading', code: 'unavailable', path, open: knob(any, { do: 'drop' }) },
  { title: 'the connection was cut after a write', code: 'outcome_unknown', operation: 'write', path, open: knob(write, { do: 'cut' }) },
  { title: 'nobody listens', code: 'unavailable', operation: 'write', path, open: () => opened({ url: 'https://127.0.0.1:1' }, 't') },
  {
    title: 'its certificate is of a stranger',
    code: 'unavailable',
    operation: 'write',
    path,
    open: () => broken(() => ({ ca: undefined })),
  },
  {
    title: 'there is no such namespace',
    code: 'precondition_failed',
    operation: 'write',
    path: 'nowhere/x' as StorePath,
    open: () => broken(() => undefined),
  },
]

function anonymous(): Knob {
  return {
    do: 'refuse',
    with: new Refusal(403, 'Forbidden', 'secrets "faulty" is forbidden: User "system:anonymous" cannot get resource "secrets"', {}),
  }
}

let paths = 0
const harness: StoreHarness = {
  name: 'adapter-kubernetes',
  capabilities: ['cas', 'idempotent', 'delete'],
  forms: ['fields'],
  prefix: 'fresh/',
  open: () => opened(fake, fake.admin),
  freshPath() {
    paths += 1
    return `fresh/n${paths}` as StorePath
  },
  faults,
  async behind(at, text) {
    fake.secrets.put('fresh', at.slice('fresh/'.length), { value: text })
  },
  async fill(all) {
    for (const each of all) fake.secrets.put('fresh', each.slice('fresh/'.length), { value: 'filled' })
  },
  async slow() {
    const own = await KubernetesFake.start()
    own.secrets.namespaces.add('fresh')
    own.turn(write, { do: 'slow', ms: slowMs * 4 })
    const adapter = await opened(own, own.admin)
    return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
  },
}

describe('adapter-kubernetes', () => {
  const run = runStoreChecks(harness, { test })
  test('shows in its README what the run showed', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    expect(tableDiffers(readme, capabilityTable(run))).toBeUndefined()
  })
})
