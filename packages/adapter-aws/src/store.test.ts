import { failure } from '@keyturn/conformance'
import { SecretValue, type Store, type StorePath, type VersionId } from '@keyturn/core'
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

describe('what goes over the wire', () => {
  test('a read names the label or the version, and is one request', async () => {
    const { version } = await store.write(path, text('v'), intent())
    fake.seen.length = 0
    await store.read(path)
    await store.read(path, { version })
    expect(fake.seen.map(({ operation, input }) => [operation, input])).toEqual([
      ['GetSecretValue', { SecretId: path, VersionStage: 'AWSCURRENT' }],
      ['GetSecretValue', { SecretId: path, VersionId: version }],
    ])
  })

  test('text goes as a string, byte for byte, and other bytes as bytes', async () => {
    const texts = ['a\r\nb\0', '\u{1f511}', '\ufeff{"a":1.10}', ' ', '\ud7ff\u2028']
    for (const each of texts) {
      await store.write(path, text(each), intent())
      expect(fake.seen.at(-1)?.input).toMatchObject({ SecretString: each })
      expect(fake.seen.at(-1)?.input).not.toHaveProperty('SecretBinary')
    }
    await store.write(path, SecretValue.bytes(Uint8Array.of(0xc3, 0x28)), intent())
    expect(fake.seen.at(-1)?.input).toMatchObject({ SecretBinary: 'wyg=' })
    expect(fake.seen.at(-1)?.input).not.toHaveProperty('SecretString')
  })

  test('a value that cannot be held whole is refused before any request', async () => {
    for (const value of [
      text(''),
      text('x'.repeat(65_537)),
      text('é'.repeat(32_769)),
      SecretValue.bytes(Buffer.alloc(65_537, 0xff)),
      SecretValue.fields({ a: 'b' }),
    ]) {
      expect(await failure(store.write(path, value, intent()))).toMatchObject({ code: 'invalid_argument' })
      expect(await failure(store.stage(path, value, intent()))).toMatchObject({ code: 'invalid_argument' })
    }
    expect(fake.seen).toEqual([])
    await store.write(path, SecretValue.bytes(Buffer.alloc(65_536, 0xff)), intent())
  })

  test('a path that is none is refused before any request, whatever is asked', async () => {
    const none = 'prod/a pp' as StorePath
    const calls = [
      store.read(none),
      store.write(none, text('v'), intent()),
      store.stage(none, text('v'), intent()),
      store.delete(none, intent()),
      store.restore(none),
    ]
    for (const call of [...calls, Array.fromAsync(store.versions(none)), Array.fromAsync(store.list('a b'))]) {
      expect(await failure(call)).toMatchObject({ code: 'invalid_argument' })
    }
    expect(fake.seen).toEqual([])
  })

  test('a new secret has the key and the tags of the section', async () => {
    const more = await account.store({ kmsKeyId: 'alias/shop', tags: { team: 'shop' } })
    await more.write(path, text('v'), intent())
    expect(fake.seen.at(-1)).toMatchObject({
      operation: 'CreateSecret',
      input: { KmsKeyId: 'alias/shop', Tags: [{ Key: 'team', Value: 'shop' }] },
    })
  })
})

describe('versions', () => {
  test('come newest first over all pages, each with its state and AWS’s time', async () => {
    fake.secrets.pageMax = 3
    const made: VersionId[] = []
    for (let count = 0; count < 10; count += 1) made.push((await store.write(path, text(`v${count}`), intent())).version)
    const staged = await store.stage(path, text('next'), intent())
    const told = await Array.fromAsync(store.versions(path))
    expect(told.map(({ version }) => version)).toEqual([staged.version, ...made.toReversed()])
    expect(told.map(({ state }) => state)).toEqual(['pending', 'current', 'previous', ...Array(8).fill('older')])
    expect(told.every(({ etag }) => etag === (made.at(-1) as string))).toBe(true)
    expect((await store.read(path, { version: made[0] ?? staged.version })).createdAt).toEqual(told.at(-1)?.createdAt)
  })

  test('that cannot be one are not asked for', async () => {
    await store.write(path, text('v'), intent())
    for (const version of ['7', 'x'.repeat(65), 'ä'.repeat(32)] as VersionId[]) {
      expect(await failure(store.read(path, { version }))).toMatchObject({
        code: 'not_found',
        message: expect.stringContaining('has no version'),
      })
    }
    expect(account.sent()).not.toContain('GetSecretValue')
    const none = crypto.randomUUID() as string as VersionId
    expect(await failure(store.read(path, { version: none }))).toMatchObject({ code: 'not_found', message: expect.stringContaining(none) })
    expect(await failure(store.read('none' as StorePath, { version: none }))).toMatchObject({ message: 'aws: none does not exist' })
  })
})

describe('deletion', () => {
  test('has the window of the section, shows as not_found with a hint, and is listed no more', async () => {
    const brief = await account.store({ recoveryWindowDays: 7 })
    await brief.write(path, text('v'), intent())
    await brief.delete(path, intent())
    expect(fake.seen.at(-1)).toMatchObject({ operation: 'DeleteSecret', input: { RecoveryWindowInDays: 7 } })
    const error = await failure(store.read(path))
    expect([error.code, error.detail?.reason, error.hint]).toEqual(['not_found', 'soft_deleted', expect.stringContaining('restore')])
    expect(await Array.fromAsync(store.list(''))).toEqual([])
    await brief.delete(path, intent())
  })

  test('of another version than expected is undone', async () => {
    const { etag } = await store.write(path, text('1'), intent())
    fake.turn(/^Delete/, { do: 'meanwhile', run: () => fake.secrets.put(path, 'theirs') }, 1)
    expect(await failure(store.delete(path, intent({ ifMatch: etag })))).toMatchObject({ code: 'conflict' })
    expect((await store.read(path)).value.equals(text('theirs'))).toBe(true)
    expect(await failure(store.delete(path, intent({ ifMatch: null })))).toMatchObject({ code: 'conflict' })
    expect(await failure(store.delete('none' as StorePath, intent({ ifMatch: etag })))).toMatchObject({ code: 'conflict' })
    expect(await failure(store.restore('none' as StorePath))).toMatchObject({ code: 'not_found' })
  })
})

describe('an ARN', () => {
  test('is read and written as it is', async () => {
    await store.write(path, text('1'), intent())
    const arn = fake.secrets.secret(path).arn as StorePath
    const read = await store.read(arn)
    await store.write(arn, text('2'), intent({ ifMatch: read.etag }))
    await store.write(arn, text('3'), intent())
    expect((await store.read(path)).value.equals(text('3'))).toBe(true)
    expect(new Set(fake.seen.slice(-4, -1).map(({ input }) => input.SecretId))).toEqual(new Set([arn]))
  })

  test('that AWS takes for the beginning of another’s is an error, not that other secret', async () => {
    await store.write('app-config' as StorePath, text('v'), intent())
    const partial = fake.secrets.secret('app-config').arn.slice(0, -7) as StorePath
    expect(partial.endsWith(':app-config')).toBe(true)
    expect(await failure(store.read(partial))).toMatchObject({ code: 'invalid_argument', hint: expect.stringContaining('whole ARN') })
  })

  test('that AWS takes for the beginning of another’s changes nothing there', async () => {
    const other = 'app-config' as StorePath
    const { version, etag } = await store.write(other, text('v'), intent())
    const partial = fake.secrets.secret(other).arn.slice(0, -7) as StorePath
    for (const change of [
      () => store.write(partial, text('ours'), intent()),
      () => store.write(partial, text('ours'), intent({ ifMatch: etag })),
      () => store.write(partial, text('ours'), intent({ ifMatch: null })),
      () => store.stage(partial, text('ours'), intent()),
      () => store.promote(partial, { from: version, to: version }),
      () => Array.fromAsync(store.versions(partial)),
      () => store.delete(partial, intent()),
      () => store.restore(partial),
    ]) {
      expect(await failure(change())).toMatchObject({ code: 'invalid_argument', hint: expect.stringContaining('whole ARN') })
    }
    expect([account.labels(other), (await store.read(other)).version]).toEqual([{ v: ['AWSCURRENT'] }, version])
  })
})

describe('a list', () => {
  test('comes page by page, asks for the next when it is needed, and fetches no value', async () => {
    for (let count = 0; count < 250; count += 1) fake.secrets.put(`list/${count}`, 'v')
    fake.secrets.put('other', 'v')
    const seen: string[] = []
    for await (const each of store.list('list/')) {
      seen.push(each)
      if (seen.length === 100) expect(account.sent()).toEqual(['ListSecrets'])
    }
    expect([seen.length, new Set(seen).size]).toEqual([250, 250])
    expect(new Set(account.sent())).toEqual(new Set(['ListSecrets']))
    expect(fake.seen[0]?.input).toEqual({ MaxResults: 100, Filters: [{ Key: 'name', Values: ['list/'] }] })
  })

  test('that fails on page 3 is an error, after the pages before', async () => {
    for (let count = 0; count < 250; count += 1) fake.secrets.put(`list/${count}`, 'v')
    for (const [knob, code] of [
      [{ do: 'fail', type: 'ThrottlingException' }, 'throttled'],
      [{ do: 'fail', type: 'InvalidNextTokenException' }, 'unavailable'],
      [{ do: 'drop' }, 'unavailable'],
      [{ do: 'say', body: '{"NextToken":"x"}' }, 'corrupt'],
      [{ do: 'say', body: '{"SecretList":[{}]}' }, 'corrupt'],
    ] as const) {
      const seen: string[] = []
      const error = await failure(
        (async () => {
          for await (const each of store.list('list/')) {
            seen.push(each)
            if (seen.length === 200) fake.turn(/List/, knob, 1)
          }
        })(),
      )
      expect([error.code, seen.length]).toEqual([code, 200])
    }
  })

  test('does not trust the filter, and gives a name once that several pages have', async () => {
    const page = (names: readonly string[], next?: string) => JSON.stringify({ SecretList: names.map(Name => ({ Name })), NextToken: next })
    fake.turn(/List/, { do: 'say', body: page(['a/1', 'b/1', 'a/2'], 't1') }, 1)
    fake.turn(/List/, { do: 'say', body: page(['a/2', 'a/3', 'A/4'], 't2') }, 1)
    fake.turn(/List/, { do: 'say', body: page(['a/1'], '') }, 1)
    expect(await Array.fromAsync(store.list('a/'))).toEqual(['a/1', 'a/2', 'a/3'])
  })

  test('whose pages lead to themselves ends', async () => {
    fake.turn(/List/, { do: 'say', body: '{"SecretList":[],"NextToken":"same"}' })
    expect(await failure(Array.fromAsync(store.list('')))).toMatchObject({ code: 'corrupt' })
  })
})

describe('examining', () => {
  const wrong = async (as: Store, at: StorePath | null) => (await as.examine(at)).filter(({ ok }) => !ok)

  test('fetches no value where the secret may be described', async () => {
    await store.write(path, text('v'), intent())
    fake.seen.length = 0
    expect(await wrong(store, path)).toEqual([])
    expect(fake.seen.filter(({ operation, input }) => operation === 'GetSecretValue' && input.VersionId === undefined)).toEqual([])
    expect(await wrong(await account.store({}, ['ListSecrets', 'DescribeSecret']), path)).toEqual([])
  })

  test('tells denied, absent, deleted, without a value and rotated by AWS apart', async () => {
    await store.write(path, text('v'), intent())
    expect(await wrong(await account.store({}, ['GetSecretValue']), path)).toMatchObject([
      { what: 'right to read prod/app', code: 'permission_denied' },
    ])
    expect(await wrong(store, 'none' as StorePath)).toMatchObject([{ code: 'not_found', detail: 'it is absent' }])
    expect(await wrong(await account.store({}, ['DescribeSecret']), 'none' as StorePath)).toMatchObject([{ code: 'not_found' }])
    fake.secrets.answer('CreateSecret', { Name: 'empty' })
    expect(await wrong(store, 'empty' as StorePath)).toMatchObject([{ detail: 'it never had a value' }])
    fake.secrets.secret(path).rotates = true
    expect((await store.examine(path)).at(-1)?.detail).toContain('AWS rotates it too')
    await store.delete(path, intent())
    expect(await wrong(store, path)).toMatchObject([{ detail: 'its deletion is scheduled', hint: expect.stringContaining('restore') }])
    expect(await wrong(store, 'a b' as StorePath)).toMatchObject([{ code: 'invalid_argument' }])
  })
})
