import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Fault, type WrapperSubject, wrapperChecks, wrapperMutants } from '../../../test/contract/kek-wrapper.ts'
import type { Credential } from '../../../test/fakes/aws-accounts.ts'
import { AwsKmsFake } from '../../../test/fakes/aws-kms.ts'
import { classify, rows } from './classify.ts'
import { openAwsKms } from './kms.ts'

const clock = { now: () => new Date(), after: () => () => undefined }
const live = () => new AbortController().signal
const context = { ledgerId: 'l', kekId: 'k1' }
let fake: AwsKmsFake

beforeEach(async () => {
  fake = await AwsKmsFake.start()
})
afterEach(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

function opened(credential: Credential, key: string, endpoint = fake.url) {
  const env = { AWS_ACCESS_KEY_ID: credential.accessKeyId, AWS_SECRET_ACCESS_KEY: credential.secretAccessKey }
  return openAwsKms({ region: fake.region, key, endpoint }, { env, clock })
}

function subject(): WrapperSubject {
  const denied: string[] = []
  const credential = fake.accounts.add({ denied })
  const [key, other] = [fake.makeKey('alias/keyturn'), fake.makeKey()]
  return {
    wrapper: opened(credential, 'alias/keyturn'),
    key,
    other: { wrapper: opened(credential, other), key: other },
    unreachable: opened(credential, 'alias/keyturn', 'http://127.0.0.1:1'),
    credential: credential.secretAccessKey,
    // the material of a key of KMS is exchanged behind its ARN; an alias that is moved means nothing before the next start
    async rotate() {
      fake.makeKey('alias/keyturn')
      return key
    },
    fault(fault) {
      if (fault === 'denied') denied.push('Encrypt', 'Decrypt', 'DescribeKey')
      else turn(fault, key, credential)
    },
    requests: () => fake.seen.length,
  }
}

function turn(fault: Fault, arn: string, { accessKeyId, secretAccessKey }: Credential): void {
  if (fault === 'throttled') fake.turn(/./, { do: 'fail', type: 'ThrottlingException', message: secretAccessKey })
  else if (fault === 'page') fake.turn(/./, { do: 'page' })
  else if (fault === 'half an answer') fake.turn(/./, { do: 'say', body: `{"Plaintext":"${secretAccessKey}` })
  else if (fault === 'an answer without its members') fake.turn(/./, { do: 'say', body: '{}' })
  else if (fault === 'cut') fake.turn(/./, { do: 'cut' })
  else if (fault === 'dropped') fake.turn(/./, { do: 'drop' })
  else if (fault === 'redirect') fake.turn(/./, { do: 'redirect', to: `${fake.url}/elsewhere` })
  else if (fault === 'broken') fake.turn(/./, { do: 'fail', type: 'KMSInternalException', status: 500 })
  else if (fault === 'hang') fake.turn(/./, { do: 'hang' })
  else if (fault === 'login ended') fake.accounts.revoke(accessKeyId)
  else {
    const key = fake.key(arn)
    key.state = fault === 'key disabled' ? 'Disabled' : 'PendingDeletion'
    key.deletionDate = Date.parse('2026-12-24T00:00:00Z')
  }
}

describe('the contract of wrappers', () => {
  test.each(wrapperChecks.map(check => [check.title, check] as const))('%s', async (_title, check) => {
    const each = subject()
    await check.run(each)
    await each.wrapper.close()
  })

  test.each(
    // KMS names no newer key while it runs, so that nothing is missed by not looking
    wrapperMutants.filter(({ title }) => title !== 'knows no newer key').map(mutant => [mutant.title, mutant] as const),
  )('finds one that %s', async (_title, { spoil }) => {
    for (const check of wrapperChecks) {
      fake.turnBack()
      const right = subject()
      const wrong = { ...right, wrapper: spoil(right.wrapper), unreachable: spoil(right.unreachable) }
      const ended = await Promise.race([
        check.run(wrong).then(
          () => true,
          () => false,
        ),
        new Promise<boolean>(resolve => setTimeout(resolve, 500, false)),
      ])
      await right.wrapper.close()
      if (!ended) return
    }
    expect.unreachable('all checks passed')
  })
})

describe('an alias', () => {
  test('is resolved once: what it names later closes nothing, and the examination tells of it', async () => {
    const first = fake.makeKey('alias/keyturn')
    const wrapper = opened(fake.accounts.add(), 'alias/keyturn')
    const before = await wrapper.wrap(Buffer.alloc(32, 7), context, live())
    const second = fake.makeKey('alias/keyturn')
    expect((await wrapper.wrap(Buffer.alloc(32, 7), context, live())).key).toBe(first)
    expect(await wrapper.unwrap(before, context, live())).toHaveLength(32)
    const [key] = await wrapper.examine(live())
    expect(key?.detail).toContain(second)
    expect(key?.detail).toContain(first)
    expect(fake.seen.filter(({ operation, input }) => operation !== 'DescribeKey' && input.KeyId?.startsWith('alias/'))).toEqual([])
    await wrapper.close()
  })

  test('names another key after the next start, which opens what the first closed', async () => {
    const credential = fake.accounts.add()
    fake.makeKey('alias/keyturn')
    const before = await opened(credential, 'alias/keyturn').wrap(Buffer.alloc(32, 7), context, live())
    const second = fake.makeKey('alias/keyturn')
    const wrapper = opened(credential, 'alias/keyturn')
    expect(await wrapper.newest(live())).toBe(second)
    expect(await wrapper.unwrap(before, context, live())).toHaveLength(32)
    await wrapper.close()
  })
})

test('a key whose deletion is scheduled is found with the day', async () => {
  const arn = fake.makeKey()
  const wrapper = opened(fake.accounts.add(), arn)
  Object.assign(fake.key(arn), { state: 'PendingDeletion', deletionDate: Date.parse('2026-12-24T00:00:00Z') })
  const [found] = await wrapper.examine(live())
  expect(found).toMatchObject({
    ok: false,
    code: 'precondition_failed',
    detail: expect.stringContaining('2026-12-24'),
    hint: expect.any(String),
  })
  await wrapper.close()
})

test('a key of another kind is found', async () => {
  const wrapper = opened(fake.accounts.add(), fake.makeKey(undefined, 'RSA_2048'))
  expect((await wrapper.examine(live()))[0]).toMatchObject({ ok: false, detail: expect.stringContaining('RSA_2048') })
  await wrapper.close()
})

test('the context is ledger and KEK, and nothing else', async () => {
  const wrapper = opened(fake.accounts.add(), fake.makeKey())
  await wrapper.wrap(Buffer.alloc(32, 7), context, live())
  expect(fake.seen.at(-1)?.input.EncryptionContext).toEqual({ ledgerId: 'l', kekId: 'k1' })
  await wrapper.close()
})

describe('errors', () => {
  test('are named by one row each', () => {
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length)
    for (const { name, code } of rows) expect(classify(Object.assign(new Error('x'), { name })).code).toBe(code)
  })

  test.each([new Error('x'), new TypeError('x'), undefined, 'text'])('of no row are unavailable (%s)', error => {
    expect(classify(error).code).toBe('unavailable')
  })
})
