import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { open, options } from '@keyturn/adapter-aws'
import { runStoreChecks, type StoreHarness, testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AwsSecretsManagerFake } from '../fakes/aws-secrets-manager.ts'
import type { AwsEmulator } from '../servers/aws-emulator.ts'
import { findMinistack, ministackName, startMinistack } from '../servers/ministack.ts'
import { findMoto, motoName, startMoto } from '../servers/moto.ts'
import type { Departure } from './table.ts'
import { tally, tell } from './tell.ts'

/** The adapter against two emulators of AWS. What one of them does not do as AWS does is asked of our own fake in the same run, and the row says so. */
const servers: readonly {
  readonly name: string
  readonly binary: string | undefined
  start(binary: string): Promise<AwsEmulator>
  readonly departures: readonly (Departure & { readonly part?: boolean })[]
}[] = [
  {
    name: motoName,
    binary: await findMoto(),
    start: startMoto,
    departures: [
      {
        check: 'stages one version of one intent',
        why: 'PutSecretValue under a token that a version labelled AWSPENDING has overwrites that version (models.py, _check_with_existing_secrets_and_versions); AWS answers ResourceExistsException',
      },
      {
        check: 'says not_found for a deleted secret and takes a new value after it',
        why: 'PutSecretValue to a secret scheduled for deletion succeeds and the secret stays deleted; AWS answers InvalidRequestException',
      },
      {
        check: 'moves what is current there and back: the plain read in it',
        part: true,
        why: 'GetSecretValue without VersionStage does not follow AWSCURRENT when the label is moved; the adapter always sends it',
      },
    ],
  },
  {
    name: ministackName,
    binary: await findMinistack(),
    start: startMinistack,
    departures: [
      ...[
        'makes one version of one intent however often it is sent',
        'leaves a newer version current when an older intent is sent again',
        'takes a conditional write that is sent again for the one that was done',
        'refuses one intent with two values',
        'stages one version of one intent',
      ].map(check => ({
        check,
        why: 'PutSecretValue under a token that a version has stores it anew with the labels asked for, and compares no value (secretsmanager.py, _put_secret_value)',
      })),
      {
        check: 'tells its versions newest first, each with its state',
        why: 'a version that AWSPREVIOUS leaves is deleted at once (secretsmanager.py, _apply_current_promotion): of three writes two versions are there',
      },
      {
        check: 'tells the versions that are kept, newest first, and reads the oldest: all but the last two',
        part: true,
        why: 'the same',
      },
    ],
  },
]

const context = testContext('live')
const auth = { method: 'static', accessKeyId: 'AKIALIVETESTS0000000', secretAccessKey: 'live-tests' }
const opened = (endpoint: string, more: object = {}) =>
  open(options.parse({ region: 'us-east-1', endpoint, auth, ...more }), context, { env: {} })
const at = (path: string) => path as StorePath
const intent = () => ({ idempotencyKey: crypto.randomUUID() })

for (const { name, binary, start, departures } of servers) {
  describe.runIf(binary === undefined)(`without ${name}`, () => {
    test('the row says absent', async () => {
      await tell({ adapter: 'aws', server: name, passed: 0, failed: 0, absent: 'it is not in the cache folder of servers' })
    })
  })

  describe.skipIf(binary === undefined)(`adapter-aws on ${name}`, () => {
    const counted = tally()
    let server: AwsEmulator | undefined
    beforeAll(async () => {
      // skipped without a binary
      server = await start(binary ?? '')
    })
    afterAll(async () => {
      if (server === undefined) counted.failed += 1
      await tell({ adapter: 'aws', server: name, ...counted, departures })
      await server?.stop()
    })

    const url = () => server?.url ?? ''
    const departs = (title: string) => departures.some(({ check }) => check === title)
    runStoreChecks(harnessOf(url), { test: (title, run) => (departs(title) ? undefined : test(title, run)) })

    furtherChecks(url, { plainReads: name !== motoName, keepsAll: name !== ministackName })
  })

  describe.skipIf(departures.length === 0)(`our own fake, where ${name} departs`, () => {
    let fake: AwsSecretsManagerFake
    beforeAll(async () => {
      fake = await AwsSecretsManagerFake.start()
      fake.accounts.add(auth)
    })
    afterAll(async () => {
      expect(fake.broken).toEqual([])
      await fake.close()
    })
    const titles = new Set(departures.map(({ check }) => check))
    const ran = new Set<string>()
    runStoreChecks(
      { ...harnessOf(() => fake.url), name: 'own fake' },
      {
        test(title, run) {
          if (!titles.has(title)) return
          ran.add(title)
          test(title, run)
        },
      },
    )
    furtherChecks(() => fake.url, { plainReads: true, keepsAll: true })
    test('has been asked every check that is left out there', () => {
      expect(departures.filter(({ check, part = false }) => !part && !ran.has(check))).toEqual([])
    })
  })
}

/** What the conformance checks do not ask. `plainReads`: a read without a label follows AWSCURRENT. `keepsAll`: a version that lost its labels is kept. */
function furtherChecks(url: () => string, { plainReads, keepsAll }: { readonly plainReads: boolean; readonly keepsAll: boolean }): void {
  const storeOf = async () => new Store(await opened(url()), { name: 'aws', clock: wallClock, timeoutMs: 30_000 })

  test('moves what is current there and back', async () => {
    const store = await storeOf()
    const first = await store.write(at('moved'), SecretValue.text('first'), intent())
    const second = await store.stage(at('moved'), SecretValue.text('second'), intent())
    await store.promote(at('moved'), { from: first.version, to: second.version })
    expect((await store.read(at('moved'))).version).toBe(second.version)
    if (plainReads) expect((await bare(url()).getSecretValue({ SecretId: 'moved' })).VersionId).toBe(second.version)
    await store.promote(at('moved'), { from: second.version, to: first.version })
    const told = await Array.fromAsync(store.versions(at('moved')))
    expect(Object.fromEntries(told.map(({ version, state }) => [version, state]))).toEqual({
      [first.version]: 'current',
      [second.version]: 'previous',
    })
    await store.close()
  })

  test('reads by the whole ARN, and says not_found of an ARN that nobody has', async () => {
    const store = await storeOf()
    await store.write(at('by-arn'), SecretValue.text('v'), intent())
    const { ARN: arn } = await bare(url()).describeSecret({ SecretId: 'by-arn' })
    expect((await store.read(at(String(arn)))).value.equals(SecretValue.text('v'))).toBe(true)
    await store.write(at(String(arn)), SecretValue.text('w'), intent())
    expect((await store.read(at('by-arn'))).value.equals(SecretValue.text('w'))).toBe(true)
    const none = at('arn:aws:secretsmanager:us-east-1:123456789012:secret:none-AbCdEf')
    await expect(store.read(none)).rejects.toMatchObject({ code: 'not_found' })
    await expect(store.write(none, SecretValue.text('w'), intent())).rejects.toMatchObject({ code: 'not_found' })
    await store.close()
  })

  test('tells the versions that are kept, newest first, and reads the oldest', async () => {
    const store = await storeOf()
    const made: string[] = []
    for (let count = 0; count < 12; count += 1) made.push((await store.write(at('deep'), SecretValue.text(`v${count}`), intent())).version)
    const told = await Array.fromAsync(store.versions(at('deep')))
    expect(told.slice(0, 2).map(({ version }) => version)).toEqual(made.toReversed().slice(0, 2))
    const oldest = told.at(-1)
    if (keepsAll) expect(told.map(({ version }) => version)).toEqual(made.toReversed())
    const read = oldest === undefined ? undefined : await store.read(at('deep'), { version: oldest.version })
    expect(read?.value.equals(SecretValue.text(keepsAll ? 'v0' : 'v10'))).toBe(true)
    await store.close()
  })

  test('says not_found with a hint of a secret whose deletion is scheduled, and of its versions', async () => {
    const store = await storeOf()
    await store.write(at('taken'), SecretValue.text('v'), intent())
    await store.delete(at('taken'), intent())
    await store.delete(at('taken'), intent())
    const gone = [store.read(at('taken')), Array.fromAsync(store.versions(at('taken')))]
    const expected = { code: 'not_found', detail: { reason: 'soft_deleted' } }
    await Promise.all(gone.map(call => expect(call).rejects.toMatchObject(expected)))
    expect(await Array.fromAsync(store.list('taken'))).toEqual([])
    expect((await store.examine(at('taken'))).find(({ ok }) => !ok)?.hint).toContain('restore')
    await store.close()
  })
}

function harnessOf(url: () => string): StoreHarness {
  let paths = 0
  return {
    name: 'adapter-aws, live',
    capabilities: ['cas', 'idempotent', 'stages', 'versions', 'delete', 'restore'],
    forms: ['text'],
    prefix: 'conformance/',
    open: () => opened(url()),
    freshPath() {
      paths += 1
      return at(`conformance/${paths}`)
    },
    async behind(path, text) {
      await bare(url()).putSecretValue({ SecretId: path, SecretString: text })
    },
    async fill(all) {
      const client = bare(url())
      for (const path of all) await client.createSecret({ Name: path, SecretString: 'filled' })
    },
    faults: [{ title: 'nobody listens', code: 'unavailable', path: at('x'), open: () => opened('http://127.0.0.1:1') }],
  }
}

/** A client past the adapter, as anybody's program has it. */
function bare(endpoint: string): SecretsManager {
  const { accessKeyId, secretAccessKey } = auth
  return new SecretsManager({ region: 'us-east-1', endpoint, maxAttempts: 1, credentials: { accessKeyId, secretAccessKey } })
}
