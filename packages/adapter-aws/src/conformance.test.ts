import { readFileSync } from 'node:fs'
import { capabilityTable, type Fault, runStoreChecks, type StoreHarness, slowMs, tableDiffers, testContext } from '@keyturn/conformance'
import type { StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Credential } from '../../../test/fakes/aws-accounts.ts'
import { AwsSecretsManagerFake, type Knob } from '../../../test/fakes/aws-secrets-manager.ts'
import { open, options } from './index.ts'

const context = testContext('aws')

let fake: AwsSecretsManagerFake
let keys: Credential
beforeAll(async () => {
  fake = await AwsSecretsManagerFake.start()
  keys = fake.accounts.add()
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const opened = (endpoint: string, { accessKeyId, secretAccessKey }: Credential, more: object = {}) =>
  open(options.parse({ region: 'eu-central-1', endpoint, auth: { method: 'static', accessKeyId, secretAccessKey }, ...more }), context, {
    env: {},
  })

/** A fake of its own with one thing wrong. */
async function broken(wrong: (own: AwsSecretsManagerFake) => Credential): ReturnType<Fault['open']> {
  const own = await AwsSecretsManagerFake.start()
  own.secrets.put('faulty', 'here')
  const adapter = await opened(own.url, wrong(own))
  return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
}

const path = 'faulty' as StorePath
const knob = (fits: RegExp, turned: Knob) => () =>
  broken(own => {
    own.turn(fits, turned)
    return own.accounts.add()
  })
const denying =
  (...denied: string[]) =>
  () =>
    broken(own => own.accounts.add({ denied }))
const failing = (type: string, more: object = {}) => knob(/./, { do: 'fail', type, ...more })

const faults: readonly Fault[] = [
  {
    title: 'the credential is unknown',
    code: 'unauthenticated',
    path,
    open: () => broken(() => ({ accessKeyId: 'AKIANOBODY', secretAccessKey: 'x' })),
  },
  {
    title: 'the key is wrong',
    code: 'unauthenticated',
    path,
    open: () => broken(own => ({ ...own.accounts.add(), secretAccessKey: 'wrong' })),
  },
  { title: 'the credential has ended', code: 'unauthenticated', path, open: failing('ExpiredTokenException') },
  { title: 'the clock is wrong', code: 'unauthenticated', path, open: failing('RequestTimeTooSkewed', { status: 403 }) },
  { title: 'reading is denied', code: 'permission_denied', path, open: denying('GetSecretValue') },
  { title: 'writing is denied', code: 'permission_denied', operation: 'write', path, open: denying('PutSecretValue') },
  {
    title: 'listing is denied',
    code: 'permission_denied',
    operation: 'list',
    path: 'elsewhere/x' as StorePath,
    open: denying('ListSecrets'),
  },
  { title: 'the key of the secret is disabled', code: 'precondition_failed', path, open: failing('DecryptionFailure') },
  {
    title: 'the rate limit is reached',
    code: 'throttled',
    path,
    open: failing('ThrottlingException', { headers: { 'retry-after': '2' } }),
  },
  {
    title: 'the service is unavailable',
    code: 'unavailable',
    operation: 'write',
    path,
    open: failing('ServiceUnavailable', { status: 503 }),
  },
  { title: 'the service failed in a read', code: 'unavailable', path, open: failing('InternalServiceError', { status: 500 }) },
  {
    title: 'the service failed in a write',
    code: 'outcome_unknown',
    operation: 'write',
    path,
    open: knob(/^Put/, { do: 'fail', type: 'InternalServiceError', status: 500 }),
  },
  {
    title: 'the server redirects',
    code: 'unavailable',
    operation: 'write',
    path,
    open: knob(/./, { do: 'redirect', to: 'http://127.0.0.1:1/' }),
  },
  { title: 'a page of an error answers', code: 'unavailable', path, open: knob(/./, { do: 'page', status: 500 }) },
  { title: 'a login page answers', code: 'corrupt', path, open: knob(/./, { do: 'page' }) },
  { title: 'the answer is no JSON', code: 'corrupt', path, open: knob(/./, { do: 'say', body: '{"SecretString":' }) },
  { title: 'the answer has nothing in it', code: 'corrupt', path, open: knob(/./, { do: 'say', body: '{}' }) },
  { title: 'the connection was cut before a read', code: 'unavailable', path, open: knob(/./, { do: 'drop' }) },
  { title: 'the connection was cut within an answer', code: 'unavailable', path, open: knob(/./, { do: 'cut-within' }) },
  { title: 'the connection was cut after a write', code: 'outcome_unknown', operation: 'write', path, open: knob(/^Put/, { do: 'cut' }) },
  { title: 'nobody listens', code: 'unavailable', operation: 'write', path, open: () => opened('http://127.0.0.1:1', keys) },
]

let paths = 0
const harness: StoreHarness = {
  name: 'adapter-aws',
  capabilities: ['cas', 'idempotent', 'stages', 'versions', 'delete', 'restore'],
  forms: ['text'],
  prefix: 'fresh/',
  open: () => opened(fake.url, keys),
  freshPath() {
    paths += 1
    return `fresh/${paths}` as StorePath
  },
  faults,
  async behind(at, text) {
    fake.secrets.put(at, text)
  },
  async fill(all) {
    for (const at of all) fake.secrets.put(at, 'filled')
  },
  async slow() {
    const own = await AwsSecretsManagerFake.start()
    own.turn(/^(?:Put|Create)/, { do: 'slow', ms: slowMs * 4 })
    const adapter = await opened(own.url, own.accounts.add())
    return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
  },
}

describe('adapter-aws', () => {
  const run = runStoreChecks(harness, { test })
  test('shows in its README what the run showed', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    expect(tableDiffers(readme, capabilityTable(run))).toBeUndefined()
  })
})
