import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecure } from 'node:https'
import { type AddressInfo, connect, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { failure } from '@keyturn/conformance'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GcpAuthorityFake } from '../../../test/fakes/gcp-authority.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { credentialOf, type Environment } from './credential.ts'
import { type GcpAuth, options } from './options.ts'

const now = () => new Date()
const broker = 'broker@shop-prod.iam.gserviceaccount.com'
const target = 'reader@shop-prod.iam.gserviceaccount.com'

let authority: GcpAuthorityFake
let folder: string
beforeEach(async () => {
  authority = await GcpAuthorityFake.start()
  folder = mkdtempSync(join(tmpdir(), 'keyturn-gcp-'))
})
afterEach(async () => {
  expect(authority.broken).toEqual([])
  await authority.close()
  rmSync(folder, { recursive: true })
})

function file(content: object | string, name = 'credential.json'): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const loginBy = (auth: unknown, env: Environment = {}) => {
  const read = auth === undefined ? undefined : (options.parse({ auth }).auth as GcpAuth)
  return credentialOf(read, { env, now }).login(AbortSignal.timeout(5_000))
}
const accountBy = async (auth: unknown, env: Environment = {}) => authority.accountOf((await loginBy(auth, env)).token)

const federation = () => ({
  type: 'external_account',
  audience: '//iam.googleapis.com/projects/4711/locations/global/workloadIdentityPools/pool/providers/cluster',
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  token_url: `${authority.url}/token`,
})

describe('a token', () => {
  test('is signed by the key of a service account, without asking anybody', async () => {
    const keyFile = file(authority.keyFile(broker))
    const grant = await loginBy({ method: 'service-account-key', keyFile })
    expect(authority.accountOf(grant.token)).toBe(broker)
    expect(grant.endsAt - Date.now()).toBeGreaterThan(3_500_000)
    expect(authority.asked).toEqual([])
  })

  test('comes by a key file that was replaced', async () => {
    const keyFile = file(authority.keyFile(broker))
    await loginBy({ method: 'service-account-key', keyFile })
    file(authority.keyFile(target))
    expect(await accountBy({ method: 'service-account-key', keyFile })).toBe(target)
  })

  test('is exchanged for one of a federation, from a file', async () => {
    authority.subjects.set('subject-of-the-pod', broker)
    const tokenFile = file('subject-of-the-pod\n', 'token')
    const configFile = file({ ...federation(), credential_source: { file: tokenFile } })
    expect(await accountBy({ method: 'workload-identity-federation', configFile })).toBe(broker)
    expect(authority.asked).toEqual(['token-exchange'])
  })

  test('is exchanged for one of an address, in JSON, and then impersonates', async () => {
    authority.subjects.set('subject-by-http', broker)
    authority.mayImpersonate.add(`${broker}>${target}`)
    const configFile = file({
      ...federation(),
      credential_source: {
        url: `${authority.url}/subject`,
        headers: { 'x-subject': 'subject-by-http' },
        format: { type: 'json', subject_token_field_name: 'token' },
      },
      service_account_impersonation_url: `${authority.url}/v1/projects/-/serviceAccounts/${target}:generateAccessToken`,
      service_account_impersonation: { token_lifetime_seconds: 600 },
    })
    const grant = await loginBy({ method: 'workload-identity-federation', configFile })
    expect(authority.accountOf(grant.token)).toBe(target)
    expect(grant.endsAt - Date.now()).toBeLessThanOrEqual(600_000)
  })

  test('is that of a program, where the environment allows it, and is said to be none where not', async () => {
    const configFile = file({ ...federation(), credential_source: { executable: { command: '/bin/false' } } })
    expect(await failure(loginBy({ method: 'workload-identity-federation', configFile }))).toMatchObject({
      code: 'unauthenticated',
      hint: expect.stringContaining('GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES'),
    })
  })

  test('is that of the machine', async () => {
    authority.machine = broker
    expect(await accountBy({ method: 'metadata-server' }, { GCE_METADATA_HOST: authority.host })).toBe(broker)
    expect(authority.asked).toEqual(['metadata'])
  })

  test('is none of a server that only says that it is the metadata server', async () => {
    authority.knob = { do: 'answer', status: 200, body: '{"access_token":"forged","expires_in":60}' }
    const error = await failure(loginBy({ method: 'metadata-server' }, { GCE_METADATA_HOST: authority.host }))
    expect(error.code).toBe('unauthenticated')
  })

  test('is asked for by a key that impersonates through an account in between', async () => {
    authority.mayImpersonate.add(`${broker}>${target}`)
    const path = file({
      type: 'impersonated_service_account',
      delegates: ['between@shop-prod.iam.gserviceaccount.com'],
      service_account_impersonation_url: `${authority.url}/v1/projects/-/serviceAccounts/${target}:generateAccessToken`,
      source_credentials: authority.keyFile(broker),
    })
    expect(await accountBy(undefined, { GOOGLE_APPLICATION_CREDENTIALS: path })).toBe(target)
    expect(authority.asked).toEqual([
      'jwt-bearer',
      `impersonate ${target} by projects/-/serviceAccounts/between@shop-prod.iam.gserviceaccount.com`,
    ])
  })
})

describe('application default credentials', () => {
  const user = () => ({
    type: 'authorized_user',
    client_id: 'id',
    client_secret: 'the-client-secret',
    refresh_token: 'the-refresh-token',
    token_uri: `${authority.url}/token`,
    quota_project_id: 'payer',
  })

  test('are the file that the environment names, then what gcloud left, then the machine’s', async () => {
    authority.machine = 'machine@shop-prod.iam.gserviceaccount.com'
    authority.refreshTokens.set('the-refresh-token', 'person@example.com')
    const home = join(folder, 'home')
    mkdirSync(join(home, '.config', 'gcloud'), { recursive: true })
    const env = { HOME: home, GCE_METADATA_HOST: authority.host }
    expect(await accountBy(undefined, env)).toBe(authority.machine)
    writeFileSync(join(home, '.config', 'gcloud', 'application_default_credentials.json'), JSON.stringify(user()))
    expect(await accountBy(undefined, env)).toBe('person@example.com')
    const GOOGLE_APPLICATION_CREDENTIALS = file(authority.keyFile(broker))
    expect(await accountBy(undefined, { ...env, GOOGLE_APPLICATION_CREDENTIALS })).toBe(broker)
  })

  test('carry the project that pays', async () => {
    authority.refreshTokens.set('the-refresh-token', 'person@example.com')
    const GOOGLE_APPLICATION_CREDENTIALS = file(user())
    expect((await loginBy(undefined, { GOOGLE_APPLICATION_CREDENTIALS })).quotaProject).toBe('payer')
    const env = { GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_CLOUD_QUOTA_PROJECT: 'other' }
    expect((await loginBy(undefined, env)).quotaProject).toBe('other')
  })

  test('are missing where there are none, and that is said without looking beyond this machine', async () => {
    const error = await failure(loginBy(undefined, { METADATA_SERVER_DETECTION: 'none', HOME: folder }))
    expect([error.code, error.hint]).toEqual(['unauthenticated', expect.stringContaining('gcloud auth application-default login')])
  })

  test('that have ended are ours to mend, and the answer is not repeated', async () => {
    const GOOGLE_APPLICATION_CREDENTIALS = file(user())
    const error = await failure(loginBy(undefined, { GOOGLE_APPLICATION_CREDENTIALS }))
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining('invalid_grant')])
    const printed = `${inspect(error, { depth: 9, showHidden: true })}${JSON.stringify(error)}${error.stack}`
    for (const secret of ['the-refresh-token', 'the-client-secret']) expect(printed).not.toContain(secret)
  })
})

describe('the way to an authority', () => {
  const user = (url: string) =>
    file({ type: 'authorized_user', client_id: 'i', client_secret: 's', refresh_token: 'r', token_uri: `${url}/token` })
  const loginAt = (url: string, more: { readonly ca?: string; readonly proxy?: string }) =>
    credentialOf(undefined, { env: { GOOGLE_APPLICATION_CREDENTIALS: user(url) }, now, ...more }).login(AbortSignal.timeout(5_000))

  async function listening<T extends Server>(server: T): Promise<number> {
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }

  test('is TLS, with the authority that is named and no other', async () => {
    const secure = createSecure(testCertificates.server, (_request, response) => response.end('{"access_token":"t","expires_in":60}'))
    const port = await listening(secure)
    try {
      expect((await loginAt(`https://localhost:${port}`, { ca: testCertificates.ca })).token).toBe('t')
      const error = await failure(loginAt(`https://localhost:${port}`, {}))
      expect([error.code, error.message]).toEqual(['unavailable', expect.stringContaining('UNABLE_TO_VERIFY_LEAF_SIGNATURE')])
    } finally {
      secure.close()
    }
  })

  test('leads through the proxy, where an impostor is found out', async () => {
    const secure = createSecure(testCertificates.server, (_request, response) => response.end('{"access_token":"forged","expires_in":60}'))
    const [port, asked] = [await listening(secure), [] as string[]]
    const proxy = createServer()
    proxy.on('connect', (request, socket) => {
      asked.push(String(request.url))
      const onward = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 ok\r\n\r\n')
        onward.pipe(socket).pipe(onward)
      })
      for (const each of [onward, socket]) each.on('error', () => onward.destroy())
    })
    const means = { ca: testCertificates.ca, proxy: `http://127.0.0.1:${await listening(proxy)}` }
    try {
      expect((await loginAt(`https://localhost:${port}`, means)).token).toBe('forged')
      const keyFile = file(authority.keyFile(broker), 'key.json')
      const auth = options.parse({
        auth: { method: 'impersonation', serviceAccount: target, source: { method: 'service-account-key', keyFile } },
      }).auth
      const error = await failure(credentialOf(auth, { env: {}, now, ...means }).login(AbortSignal.timeout(5_000)))
      expect([error.code, error.message]).toEqual(['unavailable', expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID')])
      expect(asked).toEqual([`localhost:${port}`, 'iamcredentials.googleapis.com:443'])
    } finally {
      proxy.closeAllConnections()
      proxy.close()
      secure.closeAllConnections()
      secure.close()
    }
  })

  test('is never plaintext off this machine, whatever the case of a header', async () => {
    const source = { url: 'http://example.com/token', headers: { Authorization: 'not-to-be-sent' } }
    const configFile = file({ ...federation(), credential_source: source })
    const error = await failure(loginBy({ method: 'workload-identity-federation', configFile }))
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining('no https')])
  })
})

describe('a login that fails', () => {
  const user = () =>
    file({ type: 'authorized_user', client_id: 'i', client_secret: 's', refresh_token: 'r', token_uri: `${authority.url}/token` })
  const byUser = () => loginBy(undefined, { GOOGLE_APPLICATION_CREDENTIALS: user() })

  test.each([
    [429, '{"error":"rate_limit"}', 'throttled'],
    [500, '{"error":"internal_failure"}', 'unavailable'],
    [503, '<html>', 'unavailable'],
    [302, '', 'unavailable'],
    [401, '{"error":"invalid_client"}', 'unauthenticated'],
    [403, '{"error":{"status":"PERMISSION_DENIED"}}', 'unauthenticated'],
    [200, '<html>log in</html>', 'corrupt'],
    [200, '{"expires_in":60}', 'corrupt'],
    [200, '{"access_token":"t"}', 'corrupt'],
    [200, `"${'x'.repeat(1_100_000)}"`, 'unavailable'],
  ])('%i %s is %s', async (status, body, code) => {
    authority.knob = { do: 'answer', status, body, headers: { location: 'http://127.0.0.1:1/', 'retry-after': '7' } }
    const error = await failure(byUser())
    expect(error.code).toBe(code)
    if (status === 429) expect(error.retryAfterMs).toBe(7_000)
    expect(authority.asked).toHaveLength(1)
  })

  test('because the connection is cut or refused is unavailable', async () => {
    authority.knob = { do: 'drop' }
    expect((await failure(byUser())).code).toBe('unavailable')
    const refused = file({
      type: 'authorized_user',
      client_id: 'i',
      client_secret: 's',
      refresh_token: 'r',
      token_uri: 'http://127.0.0.1:1/token',
    })
    const error = await failure(loginBy(undefined, { GOOGLE_APPLICATION_CREDENTIALS: refused }))
    expect([error.code, error.message]).toEqual(['unavailable', expect.stringContaining('ECONNREFUSED')])
  })

  test('ends with its signal', async () => {
    authority.knob = { do: 'hang' }
    const reason = new Error('told to stop')
    const stop = new AbortController()
    const login = credentialOf(undefined, { env: { GOOGLE_APPLICATION_CREDENTIALS: user() }, now }).login(stop.signal)
    const ended = expect(login).rejects.toBe(reason)
    await expect.poll(() => authority.asked).toEqual(['hangs'])
    stop.abort(reason)
    await ended
  })

  test('because a right is missing says so', async () => {
    const path = file({
      type: 'impersonated_service_account',
      service_account_impersonation_url: `${authority.url}/v1/projects/-/serviceAccounts/${target}:generateAccessToken`,
      source_credentials: authority.keyFile(broker),
    })
    const error = await failure(loginBy(undefined, { GOOGLE_APPLICATION_CREDENTIALS: path }))
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining('403 PERMISSION_DENIED')])
  })

  test.each([
    ['no file', undefined, 'ENOENT'],
    ['no JSON', 'not-json-but-secret', 'no JSON'],
    ['no type', { secret: 'not-json-but-secret' }, 'no type that is known'],
    ['no member of every object', { type: 'constructor' }, 'no type that is known'],
    ['another universe', { type: 'service_account', universe_domain: 'example.goog' }, 'universe'],
    ['no e-mail', { type: 'service_account', private_key: 'not-json-but-secret' }, 'client_email'],
    ['no key', { type: 'service_account', client_email: broker, private_key: 'not-json-but-secret' }, 'no RSA key'],
    [
      'a plaintext authority',
      {
        type: 'authorized_user',
        client_id: 'i',
        client_secret: 's',
        refresh_token: 'not-json-but-secret',
        token_uri: 'http://example.com/',
      },
      'no https',
    ],
  ])('because of %s', async (_title, content, text) => {
    const path = content === undefined ? join(folder, 'absent.json') : file(content)
    const error = await failure(loginBy(undefined, { GOOGLE_APPLICATION_CREDENTIALS: path }))
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining(text)])
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('not-json-but-secret')
  })

  test('because the file is of another kind than the method names it', async () => {
    const keyFile = file({ type: 'authorized_user', refresh_token: 'r' })
    expect(await failure(loginBy({ method: 'service-account-key', keyFile }))).toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining('another type'),
    })
  })
})
