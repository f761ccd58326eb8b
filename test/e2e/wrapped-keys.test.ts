import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { examineBroker, examineStores, makeOfflineToken, readConfig } from '@keyturn/broker'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AwsKmsFake } from '../fakes/aws-kms.ts'
import { VaultTransitFake } from '../fakes/vault-transit.ts'
import { freePort } from '../servers/free-port.ts'
import { Child, verdictOf } from './child.ts'
import { Place, until } from './harness.ts'

/** A provider of keys elsewhere, as both tests use it. */
interface Elsewhere {
  readonly keys: string
  readonly env: Record<string, string>
  /** What must never be in a log. */
  readonly credential: string
  away(): void
  back(): void
  /** Its key is another version, or another key, from now on; answers whether running brokers renew their wraps by it. */
  rotate(): boolean
  close(): Promise<void>
}

async function transit(): Promise<Elsewhere> {
  const fake = await VaultTransitFake.start()
  fake.makeKey('keyturn')
  const token = fake.grant()
  return {
    keys: `{ provider: vault-transit, address: "${fake.url}", key: keyturn, maxAge: 3s }`,
    env: { VAULT_TOKEN: token },
    credential: token,
    away: () => fake.turn(/./, { do: 'fail', status: 503, errors: ['Vault is sealed'] }),
    back: () => fake.turnBack(),
    rotate: () => {
      fake.rotate('keyturn')
      return true
    },
    close: async () => {
      expect(fake.broken).toEqual([])
      await fake.close()
    },
  }
}

async function kms(): Promise<Elsewhere> {
  const fake = await AwsKmsFake.start()
  fake.makeKey('alias/keyturn')
  const { accessKeyId, secretAccessKey } = fake.accounts.add()
  return {
    keys: `{ provider: aws-kms, region: ${fake.region}, key: alias/keyturn, endpoint: "${fake.url}", maxAge: 3s }`,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    credential: secretAccessKey,
    away: () => fake.turn(/./, { do: 'fail', type: 'InternalFailure', status: 500 }),
    back: () => fake.turnBack(),
    rotate: () => {
      fake.makeKey('alias/keyturn')
      return false
    },
    close: async () => {
      expect(fake.broken).toEqual([])
      await fake.close()
    },
  }
}

let place: Place
let broker: Child | null
let provider: Elsewhere

beforeEach(() => {
  place = new Place()
  broker = null
})
afterEach(async () => {
  await broker?.kill()
  place.remove()
  await provider.close()
})

async function serve(): Promise<Child> {
  await broker?.stop()
  broker = null
  broker = await Child.start(place, await freePort(), provider.env)
  return broker
}

const status = async (child: Child) => (await child.ask('GET', '/admin/v1/secrets/kek-status')).body
const write = (child: Child, name: string, value: string) => child.ask('PUT', `/v1/secrets/${name}`, { body: { value } })
const read = (child: Child, name: string) => child.ask('GET', `/v1/secrets/${name}`)
const env = () => ({ KEYTURN_DATA: join(place.folder, 'data'), KEYTURN_LISTEN: '127.0.0.1:1', ...provider.env })
const config = () => readConfig({ config: join(place.folder, 'keyturn.yaml'), cwd: place.folder, env: env() })
const doctor = async () => [
  ...(await examineBroker(await config(), env())),
  ...(await examineStores(await config(), { env: env() })).flatMap(each => each.findings),
]

async function finished(child: Child): Promise<unknown> {
  const { body } = await child.ask('POST', '/admin/v1/secrets/rotate-all')
  return until('the campaign is over', async () => {
    const now = (await child.ask('GET', body.status_url)).body
    return now.state === 'running' || now.state === 'waiting' ? undefined : now
  })
}

describe.each([
  ['vault-transit', transit],
  ['aws-kms', kms],
])('a broker whose KEKs %s closes', (kind, open) => {
  test('starts, writes, makes another KEK, re-wraps, starts again, and works beside itself', { timeout: 120_000 }, async () => {
    provider = await open()
    place.write('keyturn.yaml', `environment: test\nbroker:\n  keys: ${provider.keys}\nsealed: { kind: database }\n`)
    expect((await doctor()).filter(({ ok }) => !ok)).toEqual([])
    let child = await serve()
    await write(child, 'a', 'under k1')
    expect(await status(child)).toMatchObject({ current: 'k1', promotion: 'done', loaded: ['k1'], refusal: null })

    const made = await child.ask('POST', '/admin/v1/keks', { body: { id: 'k2' } })
    expect(made).toMatchObject({ status: 201, body: { id: 'k2', state: 'active' } })
    await write(child, 'b', 'under k2')
    expect(await finished(child)).toMatchObject({ state: 'done', failed: 0 })
    expect(await status(child)).toMatchObject({ current: 'k2', stale_counts: { k1: 0 }, safe_to_retire: { k1: { safe: true } } })

    const renews = provider.rotate()
    child = await serve()
    for (const [name, value] of [
      ['a', 'under k1'],
      ['b', 'under k2'],
    ] as const)
      expect((await read(child, name)).body.value).toBe(value)
    // what is beside the broker, while it runs
    expect(await verdictOf(place, provider.env)).toBe('ok')
    expect((await examineBroker(await config(), env())).filter(({ ok }) => !ok)).toEqual([])
    if (renews) expect(JSON.parse(readFileSync(join(place.folder, 'data/keks.json'), 'utf8')).keks[0].key).toMatch(/:v2$/)

    // an end of k1 that nothing needs
    const { confirmation, loses } = (await child.ask('POST', '/admin/v1/keks/k1/destroy')).body.particulars
    const destroyed = await child.ask('POST', '/admin/v1/keks/k1/destroy', { body: { confirm: 'k1', confirmation, loses } })
    expect(destroyed).toMatchObject({ status: 200, body: { state: 'destroyed', next: expect.stringContaining(kind) } })
    child = await serve()
    expect((await read(child, 'a')).body.value).toBe('under k1')
    expect(child.output).not.toContain(provider.credential)
    await child.stop()
    broker = null
    expect((await doctor()).filter(({ ok }) => !ok)).toEqual([])
    const rescue = await makeOfflineToken(await config(), { role: 'admin', ttl: 60, name: 'offline' }, env())
    expect(rescue).toMatchObject({ name: 'offline', role: 'admin' })
  })

  test('is not outlived by its provider for longer than maxAge, and serves again when it is back', { timeout: 120_000 }, async () => {
    provider = await open()
    place.write('keyturn.yaml', `environment: test\nbroker:\n  keys: ${provider.keys}\nsealed: { kind: database }\n`)
    const child = await serve()
    await write(child, 'a', 'under k1')
    provider.away()
    expect((await read(child, 'a')).status).toBe(200)
    const gone = await until('it is let go of', async () => {
      const asked = await read(child, 'a')
      return asked.status === 503 ? asked : undefined
    })
    expect(gone.body.detail).toMatch(/KEK k1 is not loaded: .* gave no answer since/)
    expect((await write(child, 'b', 'x')).status).toBe(503)
    expect((await status(child)).refusal).toContain(kind)
    // nobody can start or open anything beside it meanwhile, and doctor says why
    await expect(Child.start(place, await freePort(), { ...provider.env, KEYTURN_DATA: join(place.folder, 'other') })).rejects.toThrow(kind)
    expect((await doctor()).filter(({ ok }) => !ok).map(({ what }) => what)).toEqual(expect.arrayContaining(['keys']))
    provider.back()
    await until('it is read again', async () => ((await read(child, 'a')).status === 200 ? true : undefined), 30_000)
    expect((await status(child)).refusal).toBeNull()
    expect(child.output).toContain('the provider of the keys is well again')
  })
})

test('doctor tells on which day a key of KMS is deleted, before the first start and when nothing can be opened any more', {
  timeout: 60_000,
}, async () => {
  const fake = await AwsKmsFake.start()
  const arn = fake.makeKey('alias/keyturn')
  const { accessKeyId, secretAccessKey } = fake.accounts.add()
  provider = {
    keys: `{ provider: aws-kms, region: ${fake.region}, key: alias/keyturn, endpoint: "${fake.url}" }`,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    credential: secretAccessKey,
    away() {},
    back() {},
    rotate: () => false,
    close: () => fake.close(),
  }
  place.write('keyturn.yaml', `environment: test\nbroker:\n  keys: ${provider.keys}\nsealed: { kind: database }\n`)
  const deletion = () => Object.assign(fake.key(arn), { state: 'PendingDeletion', deletionDate: Date.parse('2027-01-05T00:00:00Z') })
  const told = async () => (await doctor()).filter(({ ok }) => !ok).map(({ detail }) => detail)
  deletion()
  expect(await told()).toEqual([expect.stringContaining('is deleted on 2027-01-05')])
  Object.assign(fake.key(arn), { state: 'Enabled', deletionDate: undefined })
  const child = await serve()
  await write(child, 'a', 'under k1')
  await child.stop()
  broker = null
  deletion()
  expect(await told()).toEqual(
    expect.arrayContaining([expect.stringContaining('opening KEK k1 failed'), expect.stringContaining('is deleted on 2027-01-05')]),
  )
})
