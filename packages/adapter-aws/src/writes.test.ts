import { failure } from '@keyturn/conformance'
import type { Etag, Store, StorePath, VersionId } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Account, intent, text } from '../test/account.ts'

const path = 'prod/app' as StorePath
let account: Account
let fake: Account['fake']
let store: Store
beforeEach(async () => {
  account = await Account.start()
  fake = account.fake
  store = await account.store()
})
afterEach(() => account.close())

describe('a write without a condition', () => {
  test('whose answer was lost is found when it is sent again', async () => {
    for (const [knob, operation] of [
      ['cut', 'Create'],
      ['cut-within', 'Put'],
    ] as const) {
      const once = intent()
      fake.turn(new RegExp(`^${operation}`), { do: knob }, 1)
      expect(await failure(store.write(path, text(operation), once))).toMatchObject({ code: 'outcome_unknown' })
      const again = await store.write(path, text(operation), once)
      expect([again.version, again.state]).toEqual([once.idempotencyKey, 'current'])
    }
    expect(account.labels(path)).toEqual({ Create: ['AWSPREVIOUS'], Put: ['AWSCURRENT'] })
  })

  test('that was done and overwritten says where it stands now', async () => {
    const once = intent()
    const first = await store.write(path, text('1'), once)
    const second = await store.write(path, text('2'), intent())
    const again = await store.write(path, text('1'), once)
    expect(again).toEqual({ version: first.version, state: 'previous', etag: second.etag, createdAt: again.createdAt })
    expect(again.createdAt.getTime()).toBeLessThan(account.now)
  })

  test('to a secret that somebody makes at the same moment is a version of that secret', async () => {
    fake.turn(/^Create/, { do: 'meanwhile', run: () => fake.secrets.put(path, 'theirs') }, 1)
    await store.write(path, text('ours'), intent())
    expect(account.labels(path)).toEqual({ theirs: ['AWSPREVIOUS'], ours: ['AWSCURRENT'] })
  })

  test('that was done before the secret was deleted does not bring it back', async () => {
    const once = intent()
    await store.write(path, text('v'), once)
    await store.delete(path, intent())
    expect(await failure(store.write(path, text('v'), once))).toMatchObject({ code: 'conflict' })
    expect(await failure(store.read(path))).toMatchObject({ code: 'not_found' })
  })
})

describe('a write with an expected version', () => {
  test('is one version, one move, and leaves no label of its own', async () => {
    const { etag } = await store.write(path, text('1'), intent())
    fake.seen.length = 0
    const second = await store.write(path, text('2'), intent({ ifMatch: etag }))
    expect(account.sent()).toEqual(['DescribeSecret', 'PutSecretValue', 'UpdateSecretVersionStage', 'UpdateSecretVersionStage'])
    expect(account.labels(path)).toEqual({ '1': ['AWSPREVIOUS'], '2': ['AWSCURRENT'] })
    expect((await store.read(path)).etag).toBe(second.etag)
  })

  test('that is known to be stale makes no version', async () => {
    const { etag } = await store.write(path, text('1'), intent())
    await store.write(path, text('2'), intent())
    fake.seen.length = 0
    expect(await failure(store.write(path, text('3'), intent({ ifMatch: etag })))).toMatchObject({ code: 'conflict' })
    expect(await failure(store.write(path, text('3'), intent({ ifMatch: 'no id' as Etag })))).toMatchObject({ code: 'conflict' })
    expect(account.sent()).toEqual(['DescribeSecret'])
  })

  test.each(['PutSecretValue', 'UpdateSecretVersionStage'])('loses to whoever writes before its %s, and is never seen', async operation => {
    const { etag } = await store.write(path, text('1'), intent())
    fake.turn(new RegExp(operation), { do: 'meanwhile', run: () => fake.secrets.put(path, 'theirs') }, 1)
    expect(await failure(store.write(path, text('ours'), intent({ ifMatch: etag })))).toMatchObject({ code: 'conflict' })
    expect(account.labels(path)).toEqual({ '1': ['AWSPREVIOUS'], theirs: ['AWSCURRENT'], ours: [] })
  })

  test('wins against another of its kind that lost its label on the way', async () => {
    const { etag } = await store.write(path, text('1'), intent())
    const other = await account.store()
    let rival: Promise<unknown> = Promise.resolve()
    fake.turn(
      /UpdateSecretVersionStage/,
      {
        do: 'meanwhile',
        run: () => {
          rival = failure(other.write(path, text('rival'), intent({ ifMatch: etag })))
        },
      },
      1,
    )
    await store.write(path, text('ours'), intent({ ifMatch: etag }))
    expect(await rival).toMatchObject({ code: 'conflict' })
    expect((await store.read(path)).value.equals(text('ours'))).toBe(true)
  })

  test.each(['PutSecretValue', 'UpdateSecretVersionStage'])(
    'whose answer to %s was lost is done when it is sent again',
    async operation => {
      const { etag } = await store.write(path, text('1'), intent())
      const once = intent({ ifMatch: etag })
      fake.turn(new RegExp(operation), { do: 'cut' }, 1)
      expect(await failure(store.write(path, text('2'), once))).toMatchObject({ code: 'outcome_unknown' })
      const again = await store.write(path, text('2'), once)
      expect([again.version, again.state]).toEqual([once.idempotencyKey, 'current'])
      expect(fake.secrets.secret(path).versions.size).toBe(2)
      await store.write(path, text('3'), intent())
      expect(await store.write(path, text('2'), once)).toMatchObject({ version: once.idempotencyKey, state: 'previous' })
    },
  )

  test('that lost stays lost when it is sent again, and another value under its key is a conflict', async () => {
    const { etag } = await store.write(path, text('1'), intent())
    const once = intent({ ifMatch: etag })
    fake.turn(/PutSecretValue/, { do: 'meanwhile', run: () => fake.secrets.put(path, 'theirs') }, 1)
    for (const value of ['ours', 'ours', 'other'])
      expect(await failure(store.write(path, text(value), once))).toMatchObject({ code: 'conflict' })
    expect((await store.read(path)).value.equals(text('theirs'))).toBe(true)
  })

  test('of a secret that is absent or deleted is a conflict', async () => {
    const ifMatch = crypto.randomUUID() as string as Etag
    expect(await failure(store.write(path, text('2'), intent({ ifMatch })))).toMatchObject({ code: 'conflict' })
    const { etag } = await store.write(path, text('1'), intent())
    await store.delete(path, intent())
    expect(await failure(store.write(path, text('2'), intent({ ifMatch: etag })))).toMatchObject({ code: 'conflict' })
    expect(await failure(store.read(path))).toMatchObject({ code: 'not_found' })
  })

  test('that is denied halfway says so, and what is current stays', async () => {
    const { etag } = await store.write(path, text('1'), intent())
    const weak = await account.store({}, ['UpdateSecretVersionStage'])
    expect(await failure(weak.write(path, text('2'), intent({ ifMatch: etag })))).toMatchObject({ code: 'permission_denied' })
    expect((await store.read(path)).value.equals(text('1'))).toBe(true)
  })
})

describe('a write that expects nothing there', () => {
  test('takes a deleted secret, once of many', async () => {
    await store.write(path, text('old'), intent())
    await store.delete(path, intent())
    const ended = await Promise.allSettled(['a', 'b', 'c', 'd'].map(each => store.write(path, text(each), intent({ ifMatch: null }))))
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const end of ended) if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'conflict' })
    expect((await store.read(path)).value.equals(text('old'))).toBe(false)
  })

  test('takes a secret that never had a value', async () => {
    fake.secrets.answer('CreateSecret', { Name: path })
    expect(await failure(store.read(path))).toMatchObject({ code: 'not_found' })
    const made = await store.write(path, text('first'), intent({ ifMatch: null }))
    expect([made.state, account.labels(path)]).toEqual(['current', { first: expect.arrayContaining(['AWSCURRENT']) }])
    expect(await failure(store.write(path, text('second'), intent({ ifMatch: null })))).toMatchObject({ code: 'conflict' })
  })

  test('whose answer was lost is done when it is sent again', async () => {
    const once = intent({ ifMatch: null })
    fake.turn(/Create/, { do: 'cut' }, 1)
    expect(await failure(store.write(path, text('1'), once))).toMatchObject({ code: 'outcome_unknown' })
    expect(await store.write(path, text('1'), once)).toMatchObject({ version: once.idempotencyKey, state: 'current' })
    expect(await failure(store.write(path, text('2'), once))).toMatchObject({ code: 'conflict' })
  })

  test('that was done before the secret was deleted does not bring it back', async () => {
    const once = intent({ ifMatch: null })
    await store.write(path, text('v'), once)
    await store.delete(path, intent())
    expect(await failure(store.write(path, text('v'), once))).toMatchObject({ code: 'conflict' })
    expect(await failure(store.read(path))).toMatchObject({ code: 'not_found' })
  })

  test('needs a name: an ARN names a secret that is there', async () => {
    const arn = `arn:aws:secretsmanager:${fake.region}:123456789012:secret:none-AbCdEf` as StorePath
    expect(await failure(store.write(arn, text('v'), intent({ ifMatch: null })))).toMatchObject({ code: 'not_found' })
    expect(await failure(store.write(arn, text('v'), intent()))).toMatchObject({ code: 'not_found' })
  })
})

describe('stages', () => {
  test('a first version is current at once, and says so', async () => {
    const staged = await store.stage(path, text('1'), intent())
    expect(staged.state).toBe('current')
    await store.promote(path, { from: null, to: staged.version })
    expect((await store.read(path)).version).toBe(staged.version)
  })

  test('promotion compares, takes AWSPENDING away, and can go back', async () => {
    const first = await store.write(path, text('1'), intent())
    const staged = await store.stage(path, text('2'), intent())
    expect([staged.state, staged.etag]).toEqual(['pending', first.etag])
    expect(account.labels(path)).toEqual({ '1': ['AWSCURRENT'], '2': ['AWSPENDING'] })
    fake.seen.length = 0
    await store.promote(path, { from: first.version, to: staged.version })
    expect(fake.seen[0]?.input).toEqual({
      SecretId: path,
      VersionStage: 'AWSCURRENT',
      MoveToVersionId: staged.version,
      RemoveFromVersionId: first.version,
    })
    expect(account.labels(path)).toEqual({ '1': ['AWSPREVIOUS'], '2': ['AWSCURRENT'] })
    await store.promote(path, { from: staged.version, to: first.version })
    expect(account.labels(path)).toEqual({ '1': ['AWSCURRENT'], '2': ['AWSPREVIOUS'] })
  })

  test('a promotion whose answer was lost, or whose label could not be taken away, is done', async () => {
    const first = await store.write(path, text('1'), intent())
    const staged = await store.stage(path, text('2'), intent())
    fake.turn(/UpdateSecretVersionStage/, { do: 'cut' }, 1)
    expect(await failure(store.promote(path, { from: first.version, to: staged.version }))).toMatchObject({ code: 'outcome_unknown' })
    await store.promote(path, { from: first.version, to: staged.version })
    expect(account.labels(path)).toEqual({ '1': ['AWSPREVIOUS'], '2': ['AWSCURRENT'] })
  })

  test('of a version that is not there, or of a deleted secret, is an error', async () => {
    const first = await store.write(path, text('1'), intent())
    const none = crypto.randomUUID() as string as VersionId
    expect(await failure(store.promote(path, { from: first.version, to: none }))).toMatchObject({ code: 'not_found' })
    await store.delete(path, intent())
    expect(await failure(store.promote(path, { from: first.version, to: none }))).toMatchObject({
      code: 'not_found',
      detail: { reason: 'soft_deleted' },
    })
    expect(await failure(store.stage(path, text('2'), intent()))).toMatchObject({ code: 'not_found', detail: { reason: 'soft_deleted' } })
  })
})
