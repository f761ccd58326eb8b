import {
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms'
import { openAwsKms } from '@keyturn/kek-aws-kms'
import { afterAll, describe, expect, test } from 'vitest'
import { wrapperChecks } from '../contract/kek-wrapper.ts'
import type { AwsEmulator } from '../servers/aws-emulator.ts'
import { findMoto, motoName, startMoto } from '../servers/moto.ts'
import { tally, tell } from './tell.ts'

const binary = await findMoto()
const server = binary === undefined ? undefined : await startMoto(binary)
const counts = tally()
const absent = 'moto is not in the cache folder of servers'
const clock = { now: () => new Date(), after: () => () => undefined }
const live = () => new AbortController().signal
const region = 'eu-central-1'
const env = { AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret-of-the-test' }

/** Checks that moto does not bear out; our own fake does in the unit tests. */
const departures: readonly { readonly check: string; readonly why: string }[] = [
  {
    check: 'no changed byte opens',
    why: 'what begins with no id of a key is answered by AccessDeniedException, not InvalidCiphertextException',
  },
  { check: 'another key does not open it', why: 'it is answered by AccessDeniedException, not IncorrectKeyException' },
]

afterAll(async () => {
  await tell({
    adapter: 'kek-aws-kms',
    ...(server === undefined ? { server: 'moto', absent } : { server: motoName }),
    departures,
    ...counts,
  })
  await server?.stop()
})

if (server === undefined) test.skip(`aws-kms (absent: ${absent})`, () => {})
else suite(server)

function suite(moto: AwsEmulator): void {
  const credentials = { accessKeyId: env.AWS_ACCESS_KEY_ID, secretAccessKey: env.AWS_SECRET_ACCESS_KEY }
  const admin = new KMSClient({ region, endpoint: moto.url, credentials })
  afterAll(() => admin.destroy())
  let count = 0

  const at = (key: string, endpoint = moto.url) => openAwsKms({ region, key, endpoint }, { env, clock })

  async function made(): Promise<string> {
    const { KeyMetadata } = await admin.send(new CreateKeyCommand({}))
    if (KeyMetadata?.Arn === undefined) throw new Error('no key was made')
    return KeyMetadata.Arn
  }

  async function subject() {
    count += 1
    const alias = `alias/keyturn${count}`
    const [key, other] = [await made(), await made()]
    await admin.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: key }))
    return {
      wrapper: at(alias),
      key,
      other: { wrapper: at(other), key: other },
      unreachable: at(alias, 'http://127.0.0.1:1'),
      credential: credentials.secretAccessKey,
      async rotate() {
        await admin.send(new UpdateAliasCommand({ AliasName: alias, TargetKeyId: await made() }))
        return key
      },
    }
  }

  const asked = wrapperChecks.filter(({ turns, title }) => !turns && !departures.some(({ check }) => check === title))

  describe('the contract of wrappers', () => {
    test.each(asked.map(check => [check.title, check] as const))('%s', async (_title, check) => {
      const each = await subject()
      await check.run(each)
      await each.wrapper.close()
    })
  })

  test('a disabled key, and one whose deletion is scheduled, are found; the second with its day', async () => {
    const [disabled = '', leaving = ''] = [await made(), await made()].map(arn => arn.split('/').at(-1))
    await admin.send(new DisableKeyCommand({ KeyId: disabled }))
    await admin.send(new ScheduleKeyDeletionCommand({ KeyId: leaving, PendingWindowInDays: 7 }))
    expect((await at(disabled).examine(live()))[0]).toMatchObject({
      ok: false,
      code: 'precondition_failed',
      detail: expect.stringContaining('disabled'),
    })
    expect((await at(leaving).examine(live()))[0]).toMatchObject({
      ok: false,
      code: 'precondition_failed',
      detail: expect.stringMatching(/deleted on \d{4}-\d{2}-\d{2}T/),
    })
  })
}
