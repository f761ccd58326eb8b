import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, options } from '@keyturn/adapter-aws'
import { testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StoreAdapter, type StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AwsSecretsManagerFake } from '../fakes/aws-secrets-manager.ts'
import type { AwsEmulator } from '../servers/aws-emulator.ts'
import { findBoto3, openBoto3 } from '../servers/boto3.ts'
import { findMoto, motoName, startMoto } from '../servers/moto.ts'
import type { Departure } from './table.ts'
import { tally, tell } from './tell.ts'

/** Rights and roles on moto, which looks at policies once it is told to (at their actions; it knows no resource of a secret): the adapter with exactly what its README asks for, and with less. */
const moto = await findMoto()
const python = await findBoto3()
const isThere = moto !== undefined && python !== undefined
const context = testContext('live')
const at = (path: string) => path as StorePath
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const text = (value: string) => SecretValue.text(value)

const reading = ['GetSecretValue']
const telling = [...reading, 'DescribeSecret', 'ListSecretVersionIds']
const listing = ['ListSecrets']
const writing = ['PutSecretValue', 'DescribeSecret', 'UpdateSecretVersionStage', 'ListSecretVersionIds', 'GetSecretValue']

const departure: Departure = {
  check: 'names a denial permission_denied and a credential of nobody unauthenticated, in calls and when it examines',
  why: 'moto answers a denied call of Secrets Manager with XML of type text/html (status 403) where AWS sends JSON; that the call is refused is checked there',
}

interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

describe.runIf(!isThere)('without boto3 and moto', () => {
  test('the row says absent', async () => {
    await tell({
      adapter: 'aws, rights and roles',
      server: motoName,
      passed: 0,
      failed: 0,
      absent: 'it is not in the cache folder of servers',
    })
  })
})

describe.skipIf(!isThere)('adapter-aws with the rights it asks for', () => {
  const counted = tally()
  const opened: StoreAdapter[] = []
  const users = new Map<string, Keys>()
  let server: AwsEmulator
  let folder: string
  let ready = false
  beforeAll(async () => {
    // skipped without them
    server = await startMoto(moto ?? '')
    folder = await mkdtemp(join(tmpdir(), 'keyturn-live-'))
    const iam = await openBoto3(python ?? '', server.url, 'iam')
    const secrets = await openBoto3(python ?? '', server.url)
    await secrets.ask('create_secret', { Name: 'prod/app', SecretString: 'first' })
    for (const [user, actions] of Object.entries({ reading, telling, writing, listing, examining: [...telling, ...listing] })) {
      await iam.ask('create_user', { UserName: user })
      const document = {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: actions.map(each => `secretsmanager:${each}`), Resource: '*' }],
      }
      await iam.ask('put_user_policy', { UserName: user, PolicyName: 'least', PolicyDocument: JSON.stringify(document) })
      // what create_access_key answers
      const { AccessKey: key } = (await iam.ask('create_access_key', { UserName: user })) as { AccessKey: Record<string, string> }
      users.set(user, { accessKeyId: key.AccessKeyId ?? '', secretAccessKey: key.SecretAccessKey ?? '' })
    }
    await roleFor(iam)
    await fetch(`${server.url}/moto-api/reset-auth`, { method: 'POST', body: '0' })
    ready = true
  })
  afterAll(async () => {
    for (const each of opened) await each.close()
    if (!ready) counted.failed += 1
    await tell({ adapter: 'aws, rights and roles', server: motoName, ...counted, departures: [departure] })
    await server?.stop()
    await rm(folder, { recursive: true })
  })

  const storeWith = async (auth: object, env: Record<string, string> = {}) => {
    const adapter = await open(options.parse({ region: 'us-east-1', endpoint: server.url, auth }), context, {
      env: { AWS_ENDPOINT_URL_STS: server.url, ...env },
    })
    opened.push(adapter)
    return new Store(adapter, { name: 'aws', clock: wallClock, timeoutMs: 30_000 })
  }
  const as = (user: string) => storeWith({ method: 'static', ...users.get(user) })

  test('reads with GetSecretValue alone, and examines what it reads', async () => {
    const store = await as('reading')
    expect((await store.read(at('prod/app'))).value.equals(text('first'))).toBe(true)
    expect((await (await as('examining')).examine(at('prod/app'))).filter(({ ok }) => !ok)).toEqual([])
  })

  test('gets nothing that is beyond its rights, absent or not, and never says that it is not there', async () => {
    const store = await as('listing')
    for (const path of ['prod/app', 'prod/none']) {
      await isRefused(store.read(at(path)))
      expect((await store.examine(at(path))).every(({ ok }) => ok)).toBe(false)
    }
    await isRefused(store.write(at('prod/app'), text('x'), intent()))
    await isRefused(Array.fromAsync((await as('reading')).list('prod/')))
  })

  test('writes, stages and promotes with the rights to write, and makes no secret', async () => {
    const store = await as('writing')
    const read = await store.read(at('prod/app'))
    const second = await store.write(at('prod/app'), text('second'), { ...intent(), ifMatch: read.etag })
    const staged = await store.stage(at('prod/app'), text('third'), intent())
    await store.promote(at('prod/app'), { from: second.version, to: staged.version })
    const told = await Array.fromAsync((await as('telling')).versions(at('prod/app')))
    expect(told.map(({ state }) => state)).toEqual(['current', 'previous', 'older'])
    await isRefused(store.write(at('prod/none'), text('x'), intent()))
    await isRefused(store.delete(at('prod/app'), intent()))
  })

  test('assumes a role with an external id, and has its rights', async () => {
    const store = await storeWith({
      method: 'assume-role',
      roleArn,
      externalId: 'shop',
      source: { method: 'static', ...users.get('reading') },
    })
    expect(await Array.fromAsync(store.list('prod/'))).toEqual(['prod/app'])
    await isRefused(store.read(at('prod/app')))
    const other = await storeWith({
      method: 'assume-role',
      roleArn,
      externalId: 'other',
      source: { method: 'static', ...users.get('reading') },
    })
    await expect(Array.fromAsync(other.list('prod/'))).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('assumes a role by a profile', async () => {
    const { accessKeyId, secretAccessKey } = users.get('reading') ?? { accessKeyId: '', secretAccessKey: '' }
    const file = join(folder, 'profiles')
    await writeFile(
      file,
      `[profile base]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n\n[profile shop]\nrole_arn = ${roleArn}\nexternal_id = shop\nsource_profile = base\n`,
    )
    const store = await storeWith({ method: 'profile', name: 'shop', file })
    expect(await Array.fromAsync(store.list('prod/'))).toEqual(['prod/app'])
  })
})

describe.skipIf(!isThere)('our own fake, where moto departs', () => {
  test(departure.check, async () => {
    const fake = await AwsSecretsManagerFake.start()
    const { accessKeyId, secretAccessKey } = fake.accounts.add({ denied: ['GetSecretValue', 'ListSecrets', 'PutSecretValue'] })
    const storeOf = async (auth: object) => {
      const adapter = await open(options.parse({ region: fake.region, endpoint: fake.url, auth: { method: 'static', ...auth } }), context, {
        env: {},
      })
      return new Store(adapter, { name: 'aws', clock: wallClock, timeoutMs: 30_000 })
    }
    const store = await storeOf({ accessKeyId, secretAccessKey })
    const calls = [store.read(at('none')), store.write(at('none'), text('x'), intent()), Array.fromAsync(store.list(''))]
    await Promise.all(calls.map(call => expect(call).rejects.toMatchObject({ code: 'permission_denied' })))
    const nobody = await storeOf({ accessKeyId: 'AKIANOBODY0000000000', secretAccessKey: 'x' })
    await expect(nobody.read(at('none'))).rejects.toMatchObject({ code: 'unauthenticated' })
    fake.secrets.put('there', 'v')
    const reader = fake.accounts.add({ denied: ['ListSecrets', 'DescribeSecret'] })
    const reading = await storeOf({ accessKeyId: reader.accessKeyId, secretAccessKey: reader.secretAccessKey })
    expect((await reading.examine(at('there'))).filter(({ ok }) => !ok)).toEqual([])
    expect((await store.examine(at('there'))).find(({ ok }) => !ok)).toMatchObject({
      what: 'right to read there',
      code: 'permission_denied',
    })
    for (const each of [store, nobody, reading]) await each.close()
    expect(fake.broken).toEqual([])
    await fake.close()
  })
})

/** Refused in moto's way, which is none of AWS: an XML page. */
async function isRefused(call: Promise<unknown>): Promise<void> {
  await expect(call).rejects.toMatchObject({ code: 'corrupt' })
}

const roleArn = 'arn:aws:iam::123456789012:role/lister'

async function roleFor(iam: Awaited<ReturnType<typeof openBoto3>>): Promise<void> {
  const trust = {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sts:AssumeRole', Condition: { StringEquals: { 'sts:ExternalId': 'shop' } } },
    ],
  }
  await iam.ask('create_role', { RoleName: 'lister', AssumeRolePolicyDocument: JSON.stringify(trust) })
  const policy = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'secretsmanager:ListSecrets', Resource: '*' }],
  }
  await iam.ask('put_role_policy', { RoleName: 'lister', PolicyName: 'least', PolicyDocument: JSON.stringify(policy) })
  const may = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: roleArn }] }
  await iam.ask('put_user_policy', { UserName: 'reading', PolicyName: 'assume', PolicyDocument: JSON.stringify(may) })
}
