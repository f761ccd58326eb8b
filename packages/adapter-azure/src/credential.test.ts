import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { failure } from '@keyturn/conformance'
import type { StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { azureCertificate } from '../../../test/fakes/azure-certificate.ts'
import type { AzureVault } from '../../../test/fakes/azure-vault.ts'
import { credentialOf } from './credential.ts'
import { open, options } from './index.ts'
import { context, OwnVault } from './vault.fixture.ts'

const at = (path: string) => path as StorePath

let own: OwnVault
let fake: AzureVault
let folder: string
beforeEach(async () => {
  own = await OwnVault.start()
  fake = own.fake
  fake.secrets.put('x', 'one')
  folder = await mkdtemp(join(tmpdir(), 'keyturn-azure-'))
})
afterEach(async () => {
  await own.close()
  await rm(folder, { recursive: true })
})
const section = (auth: object | undefined) => options.parse({ ...own.section(), auth })
const storeOf = (auth: object | undefined, env: Record<string, string> = {}) => own.store({ auth }, { env })

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

const app = () => ({ tenantId: fake.authority.tenant, clientId: 'app' })

describe('logging in', () => {
  test('by a client secret from a file, which is read again when it was replaced', async () => {
    const clientSecretFile = await file('secret', 'secret-of-the-app\n')
    const store = await storeOf({ method: 'client-secret', ...app(), clientSecretFile })
    await store.read(at('x'))
    fake.authority.apps.set('app', { secret: 'the-next-one' })
    await file('secret', 'the-next-one\n')
    fake.authority.revoke()
    await store.read(at('x'))
    expect(fake.authority.issued).toBe(2)
  })

  test('by a certificate', async () => {
    fake.authority.apps.set('app', { certificate: azureCertificate.cert })
    const certificateFile = await file('app.pem', azureCertificate.cert + azureCertificate.key)
    await (await storeOf({ method: 'client-certificate', ...app(), certificateFile })).read(at('x'))
  })

  test('by workload identity, its file and app from the section or the environment', async () => {
    fake.authority.apps.set('app', { federated: () => 'token-of-the-cluster' })
    const tokenFile = await file('token', 'token-of-the-cluster')
    await (await storeOf({ method: 'workload-identity', ...app(), tokenFile })).read(at('x'))
    const env = { AZURE_TENANT_ID: fake.authority.tenant, AZURE_CLIENT_ID: 'app', AZURE_FEDERATED_TOKEN_FILE: tokenFile }
    await (await storeOf({ method: 'workload-identity' }, env)).read(at('x'))
    await (await storeOf(undefined, env)).read(at('x'))
  })

  test('by the variables that stand without auth: a secret before a certificate before a token', async () => {
    const env = { AZURE_TENANT_ID: fake.authority.tenant, AZURE_CLIENT_ID: 'app', AZURE_CLIENT_SECRET: 'secret-of-the-app' }
    await (await storeOf(undefined, { ...env, AZURE_CLIENT_CERTIFICATE_PATH: '/none', AZURE_FEDERATED_TOKEN_FILE: '/none' })).read(at('x'))
    fake.authority.apps.set('app', { certificate: azureCertificate.cert })
    const path = await file('app.pem', azureCertificate.cert + azureCertificate.key)
    await (await storeOf(undefined, { ...env, AZURE_CLIENT_SECRET: '', AZURE_CLIENT_CERTIFICATE_PATH: path })).read(at('x'))
  })

  test('is refused before any call where nothing says how, with what to write', async () => {
    for (const env of [{}, { AZURE_CLIENT_ID: 'app' }, { AZURE_CLIENT_ID: 'app', AZURE_TENANT_ID: 't' }, { AZURE_CLIENT_SECRET: 's' }]) {
      const error = await failure(open(section(undefined), context, { env }))
      expect(error).toMatchObject({ code: 'unauthenticated', hint: expect.stringContaining('AZURE_CLIENT_SECRET') })
    }
    const missing = await failure(open(section({ method: 'workload-identity', ...app() }), context, { env: {} }))
    expect(missing.hint).toBe('write auth.tokenFile, or set AZURE_FEDERATED_TOKEN_FILE')
  })

  test.each([
    ['a missing secret', { method: 'client-secret', clientSecretFile: '/nonexistent/secret' }, 'clientSecretFile'],
    ['a missing certificate', { method: 'client-certificate', certificateFile: '/nonexistent/app.pem' }, 'cannot be used'],
    ['a missing token', { method: 'workload-identity', tokenFile: '/nonexistent/token' }, 'cannot be used'],
  ])('with %s is told without asking anybody', async (_, auth, told) => {
    const error = await failure((await storeOf({ ...app(), ...auth })).read(at('x')))
    expect(error.code).toBe('unauthenticated')
    expect(`${error.message} ${error.hint}`).toContain(told)
    expect(fake.authority.server.seen).toEqual([])
  })

  test('to a vault of another tenant is refused, and the tenant is named as the reason', async () => {
    const error = await failure(
      (await storeOf({ method: 'client-secret', tenantId: 'other', clientId: 'app', clientSecret: 'secret-of-the-app' })).read(at('x')),
    )
    expect(error).toMatchObject({ code: 'unauthenticated', message: expect.stringContaining('another tenant') })
  })

  test('happens once for many calls, and once more when the vault ended the token', async () => {
    const store = await storeOf({ method: 'client-secret', ...app(), clientSecret: 'secret-of-the-app' })
    await Promise.all(Array.from({ length: 10 }, () => store.read(at('x'))))
    fake.authority.revoke()
    await Promise.all(Array.from({ length: 10 }, () => store.read(at('x'))))
    expect(fake.authority.issued).toBe(2)
    // one that is refused again and again is not asked for again and again
    fake.authority.revoke()
    expect((await failure(store.read(at('x')))).code).toBe('unauthenticated')
    expect(fake.authority.issued).toBe(2)
  })

  test.each([
    ['https://a-vault.vault.azure.net', {}, 'https://login.microsoftonline.com'],
    ['https://a-vault.vault.azure.cn', {}, 'https://login.chinacloudapi.cn'],
    ['https://a-vault.vault.usgovcloudapi.net', {}, 'https://login.microsoftonline.us'],
    ['https://a-vault.vault.azure.net', { AZURE_AUTHORITY_HOST: 'https://login.example.com/' }, 'https://login.example.com'],
    ['https://a-vault.vault.azure.net', { AZURE_AUTHORITY_HOST: '' }, 'https://login.microsoftonline.com'],
  ])('for %s with %j asks %s', (vault, env, authority) => {
    expect(credentialOf(options.parse({ vault, auth: { method: 'cli' } }), env).authority).toBe(authority)
  })

  test.each(['not a URL', 'http://login.example.com'])('an AZURE_AUTHORITY_HOST of %j is refused when the section is opened', host => {
    const section = options.parse({ vault: 'https://a-vault.vault.azure.net', auth: { method: 'cli' } })
    expect(() => credentialOf(section, { AZURE_AUTHORITY_HOST: host })).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining('AZURE_AUTHORITY_HOST') }),
    )
  })
})

describe('logging in as the SDK finds it in its process', () => {
  /** Reads `x` in a process of its own, with these variables. */
  async function readElsewhere(auth: object, env: Record<string, string>): Promise<string> {
    const script = `
            import { testContext } from '@keyturn/conformance'
      import { open, options } from '@keyturn/adapter-azure'
      const context = testContext('azure')
      const adapter = await open(options.parse(JSON.parse(process.env.SECTION)), context, { env: {} })
      try {
        const { value } = await adapter.read('x', { signal: AbortSignal.timeout(20_000) })
        process.stdout.write(Buffer.from(value.reveal().field.bytes).toString())
      } finally {
        await adapter.close()
      }`
    const args = ['--conditions=@keyturn/source', '--input-type=module', '--eval', script]
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      cwd: join(import.meta.dirname, '../../..'),
      env: { PATH: process.env.PATH ?? '', SECTION: JSON.stringify(section(auth)), ...env },
    })
    return stdout
  }

  test('by the managed identity of an app service', async () => {
    const asked: string[] = []
    const endpoint = createServer((request, response) => {
      asked.push(`${request.url} ${request.headers['x-identity-header']}`)
      const token = {
        access_token: fake.authority.grant('app'),
        expires_on: Math.floor(Date.now() / 1_000) + 3_600,
        resource: 'https://vault.azure.net',
        token_type: 'Bearer',
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(token))
    })
    await new Promise<void>(resolve => endpoint.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = endpoint.address() as AddressInfo
      const env = { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: 'header-of-the-machine' }
      expect(await readElsewhere({ method: 'managed-identity', clientId: 'app' }, env)).toBe('one')
      expect(asked).toEqual([expect.stringMatching(/resource=https.*client_id=app.* header-of-the-machine$/)])
    } finally {
      endpoint.close()
    }
  })

  test('by the login of the Azure CLI', async () => {
    const token = { accessToken: fake.authority.grant('app'), expires_on: Math.floor(Date.now() / 1_000) + 3_600, tokenType: 'Bearer' }
    const az = await file('az', `#!/bin/sh\necho '${JSON.stringify(token)}'\n`)
    await chmod(az, 0o755)
    expect(await readElsewhere({ method: 'cli' }, { PATH: `${folder}:${process.env.PATH}` })).toBe('one')
  })
})
