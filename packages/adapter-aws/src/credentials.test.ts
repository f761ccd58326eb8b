import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { failure, testContext } from '@keyturn/conformance'
import { Store, type StoreAdapter, type StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AwsIdentityFake } from '../../../test/fakes/aws-identity.ts'
import { AwsSecretsManagerFake } from '../../../test/fakes/aws-secrets-manager.ts'
import { SetClock } from '../../../test/fakes/vault-clock.ts'
import { open, options } from './index.ts'
import { Keys } from './keys.ts'

const path = 'app' as StorePath
const roleArn = 'arn:aws:iam::123456789012:role/keyturn'

let clock: SetClock
let fake: AwsSecretsManagerFake
let identity: AwsIdentityFake
let folder: string
let opened: StoreAdapter[]
beforeEach(async () => {
  clock = new SetClock()
  fake = await AwsSecretsManagerFake.start({ now: () => clock.now().getTime() })
  identity = await AwsIdentityFake.start(fake.accounts)
  identity.roles.push({ arn: roleArn, externalId: 'shop', token: 'a-web-token' })
  fake.secrets.put(path, 'value')
  folder = await mkdtemp(join(tmpdir(), 'keyturn-aws-'))
  opened = []
})
afterEach(async () => {
  for (const each of opened) await each.close()
  expect([fake.broken, identity.broken]).toEqual([[], []])
  await fake.close()
  await identity.close()
  await rm(folder, { recursive: true })
})

/** Nothing here may leave the loopback: the files of profiles and the instance's address are our own. */
const own = () => ({
  AWS_REGION: fake.region,
  AWS_ENDPOINT_URL_SECRETS_MANAGER: fake.url,
  AWS_ENDPOINT_URL_STS: identity.url,
  AWS_EC2_METADATA_SERVICE_ENDPOINT: identity.url,
  HOME: folder,
})

async function storeWith(auth: object | undefined, env: Record<string, string> = {}): Promise<Store> {
  const context = testContext('aws', { clock })
  const adapter = await open(options.parse(auth === undefined ? {} : { auth }), context, { env: { ...own(), ...env } })
  opened.push(adapter)
  return new Store(adapter, { name: 'aws', clock, timeoutMs: 30_000 })
}

async function written(name: string, text: string): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, text)
  return file
}

const keysOf = () => {
  const { accessKeyId, secretAccessKey } = fake.accounts.add()
  return { accessKeyId, secretAccessKey }
}

describe('every way to be somebody', () => {
  test('keys of the environment, with a session token', async () => {
    const { accessKeyId, secretAccessKey, sessionToken = '' } = fake.accounts.lend(60_000)
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken }
    for (const auth of [undefined, { method: 'environment' }]) await (await storeWith(auth, env)).read(path)
    expect(fake.seen.map(({ accessKeyId: id }) => id)).toEqual([accessKeyId, accessKeyId])
  })

  test('a role for a web identity, its token read anew each time', async () => {
    const tokenFile = await written('token', 'a-web-token\n')
    const env = { AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ROLE_ARN: roleArn, AWS_ROLE_SESSION_NAME: 'pod' }
    await (await storeWith(undefined, env)).read(path)
    const store = await storeWith({ method: 'web-identity', roleArn, tokenFile })
    await store.read(path)
    expect(identity.forms.map(form => form.RoleSessionName)).toEqual(['pod', 'keyturn'])
    identity.roles.unshift({ arn: roleArn, token: 'the-next-token' })
    await writeFile(tokenFile, 'the-next-token')
    clock.advance(3_600_000)
    await store.read(path)
    expect(identity.asked).toEqual(Array(3).fill('AssumeRoleWithWebIdentity'))
  })

  test('a container, by its token or the file of it', async () => {
    identity.containerToken = 'a-container-token'
    const env = { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${identity.url}/v2/credentials` }
    await (await storeWith(undefined, { ...env, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'a-container-token' })).read(path)
    const file = await written('container', 'a-container-token\n')
    await (await storeWith({ method: 'container' }, { ...env, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file })).read(path)
    expect(identity.asked).toEqual(['container', 'container'])
    expect(await failure((await storeWith({ method: 'container' }, env)).read(path))).toMatchObject({ code: 'unauthenticated' })
  })

  test('an instance, by IMDSv2', async () => {
    await (await storeWith(undefined)).read(path)
    await (await storeWith({ method: 'instance' })).read(path)
    expect(identity.asked).toEqual(['instance', 'instance'])
    identity.instanceRole = undefined
    expect(await failure((await storeWith({ method: 'instance' })).read(path))).toMatchObject({ code: 'unauthenticated' })
  })

  test('a role assumed with an external id, from any other way', async () => {
    const tokenFile = await written('token', 'a-web-token')
    for (const source of [
      { method: 'static', ...keysOf() },
      { method: 'instance' },
      { method: 'web-identity', roleArn, tokenFile },
      undefined,
    ]) {
      const store = await storeWith({ method: 'assume-role', roleArn, externalId: 'shop', sessionName: 'turn', source })
      await store.read(path)
      expect(identity.forms.at(-1)).toMatchObject({ Action: 'AssumeRole', ExternalId: 'shop', RoleSessionName: 'turn' })
    }
    const wrong = await failure(
      (await storeWith({ method: 'assume-role', roleArn, externalId: 'other', source: { method: 'instance' } })).read(path),
    )
    expect([wrong.code, wrong.message]).toEqual(['unauthenticated', expect.stringContaining(roleArn)])
  })

  test('a profile: keys, a role of another profile, a role of the instance', async () => {
    const base = keysOf()
    const file = await written(
      'profiles',
      `[default]\naws_access_key_id=${base.accessKeyId}\naws_secret_access_key = ${base.secretAccessKey} ; of us\n[profile role]\nrole_arn=${roleArn}\nsource_profile=default\nexternal_id=shop\n[profile here]\nrole_arn=${roleArn}\ncredential_source=Ec2InstanceMetadata\nexternal_id=shop\n`,
    )
    for (const name of ['default', 'role', 'here', undefined]) await (await storeWith({ method: 'profile', name, file })).read(path)
    expect(identity.asked).toEqual(['AssumeRole', 'instance', 'AssumeRole'])
    expect([fake.seen[0]?.accessKeyId, fake.seen[3]?.accessKeyId]).toEqual([base.accessKeyId, base.accessKeyId])
  })
})

describe('where auth is silent', () => {
  test('the first that is set up counts, in the order of the README', async () => {
    const keys = keysOf()
    const profiled = keysOf()
    identity.containerToken = undefined
    const profile = `[default]\naws_access_key_id=${profiled.accessKeyId}\naws_secret_access_key=${profiled.secretAccessKey}\n`
    const env: Record<string, string> = {
      AWS_ACCESS_KEY_ID: keys.accessKeyId,
      AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
      AWS_WEB_IDENTITY_TOKEN_FILE: await written('token', 'a-web-token'),
      AWS_ROLE_ARN: roleArn,
      AWS_SHARED_CREDENTIALS_FILE: await written('profiles', profile),
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${identity.url}/v2/credentials`,
    }
    const steps: readonly (readonly [string, () => unknown])[] = [
      ['AWS_ACCESS_KEY_ID', () => fake.seen.at(-1)?.accessKeyId === keys.accessKeyId],
      ['AWS_WEB_IDENTITY_TOKEN_FILE', () => identity.asked.at(-1) === 'AssumeRoleWithWebIdentity'],
      ['AWS_SHARED_CREDENTIALS_FILE', () => fake.seen.at(-1)?.accessKeyId === profiled.accessKeyId],
      ['AWS_CONTAINER_CREDENTIALS_FULL_URI', () => identity.asked.at(-1) === 'container'],
      ['', () => identity.asked.at(-1) === 'instance'],
    ]
    for (const [variable, isUsed] of steps) {
      await (await storeWith(undefined, env)).read(path)
      expect([variable, isUsed()]).toEqual([variable, true])
      delete env[variable]
    }
    const error = await failure((await storeWith(undefined, { AWS_EC2_METADATA_DISABLED: 'true' })).read(path))
    expect([error.code, error.hint]).toEqual(['unauthenticated', expect.stringContaining('auth')])
  })

  test('one that is set up and fails is not passed over for the next', async () => {
    const env = { AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'none'), AWS_ROLE_ARN: roleArn }
    expect(await failure((await storeWith(undefined, env)).read(path))).toMatchObject({ code: 'unauthenticated' })
    expect(identity.asked).toEqual([])
  })

  test('a profile that asks for a program or a browser is refused, not begun', async () => {
    for (const line of ['credential_process = /bin/false', 'sso_session = corp', 'sso_start_url = https://x.awsapps.com/start']) {
      const file = await written('profiles', `[default]\n${line}\n`)
      for (const auth of [undefined, { method: 'profile', file }]) {
        const error = await failure((await storeWith(auth, { AWS_CONFIG_FILE: file })).read(path))
        expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining(line.split(' ')[0] ?? '')])
      }
    }
  })
})

describe('a credential with an end', () => {
  test('is loaded once for many callers', async () => {
    const store = await storeWith({ method: 'instance' })
    await Promise.all(Array.from({ length: 20 }, () => store.read(path)))
    expect(identity.asked).toEqual(['instance'])
  })

  test('is replaced before its end while it still serves, once for many callers', async () => {
    identity.lifeMs = 3_600_000
    const store = await storeWith({ method: 'instance' })
    await store.read(path)
    clock.advance(3_600_000 - 300_000)
    let go = () => {}
    const held = new Promise<void>(resolve => {
      go = resolve
    })
    identity.before = () => held
    await Promise.all(Array.from({ length: 20 }, () => store.read(path)))
    expect(fake.seen.every(({ accessKeyId }) => accessKeyId === fake.seen[0]?.accessKeyId)).toBe(true)
    go()
    await expect.poll(async () => (await store.read(path)) && fake.seen.at(-1)?.accessKeyId).not.toBe(fake.seen[0]?.accessKeyId)
    expect(identity.asked).toEqual(['instance', 'instance'])
  })

  test('serves to its end when it cannot be replaced, and then the reason is said', async () => {
    const store = await storeWith({ method: 'instance' })
    await store.read(path)
    identity.instead = { status: 500, body: '' }
    clock.advance(3_600_000 - 60_000)
    await store.read(path)
    clock.advance(59_999)
    await store.read(path)
    clock.advance(1)
    expect(await failure(store.read(path))).toMatchObject({ code: 'unavailable' })
    identity.instead = undefined
    clock.advance(1_000)
    await store.read(path)
  })

  test('is replaced within the call that AWS refuses, once for many callers', async () => {
    const store = await storeWith({ method: 'instance' })
    await store.read(path)
    fake.accounts.revoke(fake.seen[0]?.accessKeyId ?? '')
    await Promise.all(Array.from({ length: 8 }, () => store.read(path)))
    expect(identity.asked).toEqual(['instance', 'instance'])
  })

  test('that no other can replace is ours, not the caller’s: unauthenticated', async () => {
    const lent = fake.accounts.lend(1_000)
    const store = await storeWith({
      method: 'static',
      accessKeyId: lent.accessKeyId,
      secretAccessKey: lent.secretAccessKey,
      sessionToken: lent.sessionToken,
    })
    await store.read(path)
    clock.advance(1_000)
    const error = await failure(store.read(path))
    expect([error.code, error.message]).toEqual([
      'unauthenticated',
      'aws: the credential of auth static was refused (ExpiredTokenException)',
    ])
  })

  test('is not asked for again and again when it is refused', async () => {
    identity.instanceRole = undefined
    const store = await storeWith({ method: 'instance' })
    for (let count = 0; count < 5; count += 1) await failure(store.read(path))
    clock.advance(1_000)
    identity.instanceRole = 'keyturn'
    await store.read(path)
    expect(identity.asked).toEqual(['instance'])
  })

  test('ends a caller’s wait with the caller’s signal, not the load of the others', async () => {
    let go = () => {}
    const held = new Promise<void>(resolve => {
      go = resolve
    })
    identity.before = () => held
    const store = await storeWith({ method: 'instance' })
    const stop = new AbortController()
    const [stopped, other] = [failure(store.read(path, { signal: stop.signal })), store.read(path)]
    stop.abort()
    expect(await stopped).toMatchObject({ code: 'cancelled' })
    go()
    await other
  })
})

describe('what goes wrong on the way to a credential', () => {
  test.each([
    ['throttled', '<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>slow</Message></Error></ErrorResponse>', 400],
    [
      'unavailable',
      '<ErrorResponse><Error><Type>Sender</Type><Code>IDPCommunicationError</Code><Message>x</Message></Error></ErrorResponse>',
      400,
    ],
    [
      'unauthenticated',
      '<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>x</Message></Error></ErrorResponse>',
      400,
    ],
    ['unavailable', '<html>', 503],
  ])('STS: %s', async (code, body, status) => {
    identity.instead = { status, body }
    const tokenFile = await written('token', 'a-web-token')
    expect(await failure((await storeWith({ method: 'web-identity', roleArn, tokenFile })).read(path))).toMatchObject({ code })
  })

  test('an address that is no container’s is never asked', async () => {
    for (const url of ['http://example.com/v2/credentials', 'ftp://127.0.0.1/', 'not a url']) {
      const error = await failure((await storeWith({ method: 'container' }, { AWS_CONTAINER_CREDENTIALS_FULL_URI: url })).read(path))
      expect(error.code).toBe('unauthenticated')
    }
  })

  test('an answer that is no credential, or a redirect', async () => {
    for (const [instead, code] of [
      [{ status: 200, body: '<html>' }, 'unauthenticated'],
      [{ status: 200, body: '{"AccessKeyId":"x"}' }, 'unauthenticated'],
      [{ status: 429, body: '' }, 'unavailable'],
    ] as const) {
      identity.instead = instead
      expect(await failure((await storeWith({ method: 'instance' })).read(path))).toMatchObject({ code })
    }
  })

  test('an answer that does not end is not read to its end', async () => {
    let sent = 0
    const server = createServer((_, response) => {
      const pieces = function* () {
        for (; sent < 64; sent += 1) yield Buffer.alloc(1_048_576, 'x')
      }
      Readable.from(pieces()).pipe(response)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    try {
      const store = await storeWith({ method: 'container' }, { AWS_CONTAINER_CREDENTIALS_FULL_URI: url })
      expect(await failure(store.read(path))).toMatchObject({ code: 'unavailable' })
      expect(sent).toBeLessThan(64)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  test.each([
    [{ AWS_REGION: '' }, 'region'],
    [{ AWS_REGION: 'evil.example/#' }, 'AWS_REGION'],
    [{ AWS_REGION: '', AWS_DEFAULT_REGION: 'nowhere' }, 'AWS_DEFAULT_REGION'],
    [{ AWS_ENDPOINT_URL_STS: 'not a URL' }, 'AWS_ENDPOINT_URL_STS'],
    [{ AWS_ENDPOINT_URL_SECRETS_MANAGER: '', AWS_ENDPOINT_URL: 'file:///etc' }, 'AWS_ENDPOINT_URL'],
  ])('with a region or an address of %o that is none nothing is opened', async (env, told) => {
    const error = await failure(storeWith({ method: 'environment' }, env))
    expect([error.code, error.message]).toEqual(['invalid_argument', expect.stringContaining(told)])
  })

  test('a variable that is set to nothing is not set', async () => {
    const { accessKeyId, secretAccessKey } = fake.accounts.add()
    const env = { AWS_REGION: '', AWS_DEFAULT_REGION: fake.region, AWS_ENDPOINT_URL_SECRETS_MANAGER: '', AWS_ENDPOINT_URL: fake.url }
    expect((await (await storeWith({ method: 'static', accessKeyId, secretAccessKey }, env)).read(path)).version).toBeDefined()
  })

  test('keys print as their id alone', () => {
    const keys = new Keys('AKIA1', 'the-secret-half', { sessionToken: 'the-session' })
    expect(`${inspect(keys)}${JSON.stringify(keys)}${keys}`).not.toMatch(/the-secret-half|the-session/)
  })
})
