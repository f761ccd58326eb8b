import { failure, testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StorePath, type VersionId } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { VaultFake } from '../../../test/fakes/vault.ts'
import type { Rule } from '../../../test/fakes/vault-auth.ts'
import type { KvOne, KvTwo } from '../../../test/fakes/vault-kv.ts'
import { open, options } from './index.ts'

const path = 'secret/data/app' as StorePath
const context = testContext('store')

let fake: VaultFake
let two: KvTwo
let one: KvOne
let root: Store
const closing: Store[] = []
beforeEach(async () => {
  fake = await VaultFake.start()
  two = fake.mount('secret', 2)
  one = fake.mount('kv', 1)
  root = await storeWith({}, fake.root)
})
afterEach(async () => {
  for (const store of closing.splice(0)) await store.close()
  expect(fake.broken).toEqual([])
  await fake.close()
})

async function storeWith(more: object, token: string): Promise<Store> {
  const adapter = await open(options.parse({ address: fake.url, ...more }), context, { env: { VAULT_TOKEN: token } })
  const store = new Store(adapter, { name: 'vault', clock: wallClock, timeoutMs: 30_000 })
  closing.push(store)
  return store
}

const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const fields = (text: string) => SecretValue.fields({ key: text })
const limited = (rules: readonly Rule[], more: object = {}) => storeWith(more, fake.auth.grant({ rules }))

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('a field that is no string', () => {
  test('is JSON text, written back as it was read', async () => {
    two.put('app', { key: 'old', limits: { b: [1, true, null], a: '<x>&' }, count: 7 })
    const read = await root.read(path)
    await root.write(path, read.value.with({ key: 'new' }), { ...intent(), ifMatch: read.etag })
    const { value } = await root.read(path)
    expect(value.equals(read.value.with({ key: 'new' }))).toBe(true)
    const content = value.reveal()
    const limits = 'fields' in content ? content.fields.get('limits') : undefined
    expect(limits?.form).toBe('json')
    expect(Buffer.from(limits?.bytes ?? []).toString()).toBe('{"a":"<x>&","b":[1,true,null]}')
  })

  test.each(['12345678901234567890', '1.10', '1e400', '-0.0', '{"b":1,"a":2}', '{ "a":1}', '"text"', '{"a":1,"a":2}', 'nonsense'])(
    '%s is refused on KV v2: it would come back as another text',
    source => {
      expect(root.refuses(SecretValue.fields({ n: { json: source } }))).toContain('field "n" is JSON that the server would print')
    },
  )

  test('keeps every digit of a number on KV v1', async () => {
    const store = await storeWith({ kv: 1 }, fake.root)
    const value = SecretValue.fields({ n: { json: '12345678901234567890' }, m: { json: '1.10' }, key: 'v' })
    expect(store.refuses(value)).toBeUndefined()
    await store.write('kv/app' as StorePath, value, intent())
    expect((await store.read('kv/app' as StorePath)).value.equals(value)).toBe(true)
  })
})

describe('a value that vault cannot hold', () => {
  test.each([
    ['one unnamed field', SecretValue.text('x'), 'no field name'],
    ['bytes', SecretValue.fields({ k: Uint8Array.of(0xff) }), 'field "k" is no text'],
    ['too much', SecretValue.fields({ k: '<'.repeat(50_000) }), 'bytes as JSON'],
  ])('%s is refused with the fix, and nothing is sent', async (_title, value, why) => {
    expect(root.refuses(value)).toContain(why)
    expect((await failure(root.write(path, value, intent()))).code).toBe('invalid_argument')
    expect(fake.seen).toEqual([])
  })
})

describe('a soft-deleted secret', () => {
  beforeEach(async () => {
    await root.write(path, fields('first'), intent())
    await root.write(path, fields('second'), intent())
    await root.delete(path, intent())
  })

  test('is not found, with the hint, in every version', async () => {
    for (const call of [root.read(path), root.read(path, { version: '1' as VersionId }), collect(root.versions(path))]) {
      expect(await failure(call)).toMatchObject({
        code: 'not_found',
        detail: { reason: 'soft_deleted' },
        hint: expect.stringContaining('restore'),
      })
    }
  })

  test('takes no write that expected its last version, though the number did not move', async () => {
    expect((await failure(root.write(path, fields('third'), { ...intent(), ifMatch: '2' as never }))).code).toBe('conflict')
    expect((await failure(root.delete(path, { ...intent(), ifMatch: '2' as never }))).code).toBe('conflict')
  })

  test('takes a write that expects nothing there, once', async () => {
    const racers = await Promise.allSettled([1, 2, 3].map(n => root.write(path, fields(`new ${n}`), { ...intent(), ifMatch: null })))
    expect(racers.filter(each => each.status === 'fulfilled')).toHaveLength(1)
    expect((await root.read(path)).version).toBe('3')
  })

  test('deleted again is deleted once, and comes back whole', async () => {
    await root.delete(path, intent())
    await root.restore(path)
    expect((await root.read(path)).value.equals(fields('second'))).toBe(true)
  })

  test('whose current version was destroyed is not given back', async () => {
    fake.engine('secret').handle({ operation: 'write', key: 'destroy/app', query: new URLSearchParams(), body: { versions: [2] } })
    expect((await failure(root.read(path))).detail).toMatchObject({ reason: 'destroyed' })
    expect((await failure(root.restore(path))).code).toBe('not_found')
    await root.write(path, fields('third'), { ...intent(), ifMatch: null })
  })
})

describe('a conditional deletion', () => {
  test('takes nothing away when another version came in between', async () => {
    const { etag } = await root.write(path, fields('first'), intent())
    fake.turn(/POST \/v1\/secret\/delete/, { do: 'slow', ms: 60 }, 1)
    const deletion = failure(root.delete(path, { ...intent(), ifMatch: etag }))
    await expect.poll(() => fake.seen.some(seen => seen.path.includes('/delete/'))).toBe(true)
    await root.write(path, fields('second'), intent())
    expect((await deletion).code).toBe('conflict')
    expect((await root.read(path)).value.equals(fields('second'))).toBe(true)
    expect((await root.read(path, { version: '1' as VersionId })).value.equals(fields('first'))).toBe(true)
  })
})

describe('versions', () => {
  test('have a state each, and a time of deletion ahead takes nothing away', async () => {
    for (const text of ['1', '2', '3', '4', '5']) await root.write(path, fields(text), intent())
    await root.disable(path, '3' as VersionId)
    await root.destroy(path, '2' as VersionId)
    const ahead = two.secrets.get('app')?.versions.get(5)
    if (ahead !== undefined) ahead.deletion_time = '2100-01-01T00:00:00Z'
    expect((await collect(root.versions(path))).map(info => `${info.version} ${info.state} ${info.order} ${info.etag}`)).toEqual([
      '5 current 5 5',
      '4 previous 4 5',
      '3 disabled 3 5',
      '2 destroyed 2 5',
      '1 older 1 5',
    ])
  })

  test.each(['0', '-1', '1.5', '01', '9', 'x', '99999999999999999999'])('%j is none of them', async version => {
    await root.write(path, fields('1'), intent())
    expect((await failure(root.read(path, { version: version as VersionId }))).code).toBe('not_found')
    expect((await failure(root.disable(path, version as VersionId))).code).toBe('not_found')
  })

  test('that were destroyed cannot be enabled', async () => {
    await root.write(path, fields('1'), intent())
    await root.write(path, fields('2'), intent())
    await root.destroy(path, '1' as VersionId)
    expect((await failure(root.enable(path, '1' as VersionId))).code).toBe('not_found')
  })
})

describe('a mount with cas_required', () => {
  test('takes conditional writes, and refuses others with what to do', async () => {
    two.casRequired = true
    const error = await failure(root.write(path, fields('1'), intent()))
    expect(error).toMatchObject({ code: 'invalid_argument', hint: expect.stringContaining('If-Match') })
    const made = await root.write(path, fields('1'), { ...intent(), ifMatch: null })
    await root.write(path, fields('2'), { ...intent(), ifMatch: made.etag })
  })
})

describe('a wrong config is not an absent secret', () => {
  test.each([
    ['a mount that is not there', {}, 'nowhere/data/app', 'no handler for route'],
    ['a KV v1 path on a KV v2 mount', { kv: 1 }, 'secret/app', 'Invalid path for a versioned'],
    ['a KV v2 path of no KV v2 form', { kv: 2 }, 'secret/app', 'secret/data/NAME'],
  ])('%s', async (_title, more, wrong, why) => {
    const store = await storeWith(more, fake.root)
    const error = await failure(store.read(wrong as StorePath))
    expect(error.code).toBe('invalid_argument')
    expect(error.message).toContain(why)
    expect(error.hint).not.toBeUndefined()
    expect((await failure(store.write(wrong as StorePath, fields('x'), intent()))).code).toBe('invalid_argument')
  })

  test.each([
    ['KV v1, and is taken for KV v2', { kv: 2 }, 'kv/data/app'],
    ['KV v2, and is taken for KV v1', { kv: 1 }, 'secret/data/app'],
    ['deeper than it is said to be', { kv: 2 }, 'team/data/app'],
  ])('and a mount that is %s takes no write', async (_title, more, wrong) => {
    fake.mount('team/data', 2)
    const store = await storeWith(more, fake.root)
    const error = await failure(store.write(wrong as StorePath, fields('x'), intent()))
    expect(error.code).toBe('invalid_argument')
    expect(error.hint).toContain('say mount and kv')
    expect(fake.seen.filter(seen => seen.method === 'POST')).toEqual([])
  })

  test('and where the token may not ask about the mount, the write decides', async () => {
    fake.turn(/internal\/ui\/mounts/, { do: 'fail', status: 403, errors: ['preflight capability check returned 403'] })
    await root.write(path, fields('x'), intent())
  })

  test('nor is a 404 of something before the server', async () => {
    fake.turn(/data/, { do: 'page', status: 404 })
    expect((await failure(root.read(path))).code).toBe('corrupt')
  })
})

describe('an answer of the wrong shape is corrupt', () => {
  test.each([
    '{}',
    '{"data":null}',
    '{"data":{}}',
    '{"data":{"data":{"a":"b"}}}',
    '{"data":{"data":[],"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}',
    '{"data":{"data":{},"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}',
    '{"data":{"data":{"":"x"},"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}',
    '{"data":{"data":{"a":"\\ud800"},"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}',
    '{"data":{"data":{"a":"b"},"metadata":{"version":0,"created_time":"2026-01-01T00:00:00Z"}}}',
    '{"data":{"data":{"a":"b"},"metadata":{"version":1,"created_time":"yesterday"}}}',
    `{"data":{"data":{"a":${'['.repeat(200)}${']'.repeat(200)}},"metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}`,
  ])('%s', async body => {
    fake.turn(/secret\/data/, { do: 'say', body })
    expect((await failure(root.read(path))).code).toBe('corrupt')
  })

  test.each([
    '{"data":{}}',
    '{"data":{"keys":[1]}}',
    '{"data":{"keys":"x"}}',
    '{"data":{"keys":[""]}}',
    '{"data":{"keys":["/"]}}',
    '{"data":{"keys":["a/b"]}}',
    '{"data":{"keys":["for-ever/"]}}',
  ])('of a list: %s', async body => {
    fake.turn(/metadata/, { do: 'say', body })
    expect((await failure(collect(root.list('secret/data/')))).code).toBe('corrupt')
  })
})

describe('a list', () => {
  beforeEach(() => {
    for (const key of ['app', 'app/db', 'app/deep/er/x', 'application', 'b c', 'other']) two.put(key, { k: 'v' })
  })

  test('goes into folders, and keeps a secret and a folder of one name apart', async () => {
    expect(await collect(root.list('secret/data/'))).toEqual(
      ['app', 'app/db', 'app/deep/er/x', 'application', 'b c', 'other'].map(key => `secret/data/${key}`).sort(),
    )
  })

  test.each([
    ['secret/data/app', ['app', 'app/db', 'app/deep/er/x', 'application']],
    ['secret/data/app/', ['app/db', 'app/deep/er/x']],
    ['secret/data/app/d', ['app/db', 'app/deep/er/x']],
    ['secret/data/none/', []],
  ])('of %s', async (prefix, keys) => {
    expect((await collect(root.list(prefix))).sort()).toEqual(keys.map(key => `secret/data/${key}`))
  })

  test('asks for a folder when its turn comes, and stops when nobody listens', async () => {
    for await (const _ of root.list('secret/data/app')) break
    expect(fake.seen.filter(seen => seen.path.includes('list=true'))).toHaveLength(1)
  })

  test('is an error when a folder fails, never short', async () => {
    fake.turn(/metadata\/app\/deep/, { do: 'seal' })
    expect((await failure(collect(root.list('secret/data/')))).code).toBe('unavailable')
  })

  test.each([
    ['has pages', true],
    ['has none and answers with everything', false],
  ])('is whole from a server that %s', async (_title, pages) => {
    fake.pages = pages
    for (const count of [999, 1_000, 1_001, 2_000]) {
      for (let index = 0; index < count; index += 1) two.put(`many-${count}/n${index}`, { k: 'v' })
      const listed = await collect(root.list(`secret/data/many-${count}/`))
      expect([listed.length, new Set(listed).size]).toEqual([count, count])
    }
  })

  test('of KV v1 is the same', async () => {
    one.put('app', { k: 'v' })
    one.put('app/x', { k: 'v' })
    const store = await storeWith({ kv: 1 }, fake.root)
    expect(await collect(store.list('kv/'))).toEqual(['kv/app', 'kv/app/x'])
  })
})

describe('examine', () => {
  const data: Rule = { path: 'secret/data/app', capabilities: ['read'] }
  const bad = async (store: Store, at: StorePath = path) => (await store.examine(at)).filter(finding => !finding.ok)

  beforeEach(() => two.put('app', { api_key: 'v', other: 'w' }))

  test.each([
    ['subkeys', [data, { path: 'secret/subkeys/app', capabilities: ['read'] }], 'fields: api_key, other', false],
    ['metadata', [data, { path: 'secret/metadata/app', capabilities: ['read'] }], undefined, false],
    ['the value alone', [data], 'fields: api_key, other', true],
  ] as const)('looks by %s', async (_means, rules, detail, readsValue) => {
    const store = await limited(rules)
    const findings = await store.examine(path)
    expect(findings.every(finding => finding.ok)).toBe(true)
    expect(findings.at(-1)).toMatchObject({ what: `path ${path}`, ...(detail === undefined ? {} : { detail }) })
    expect(fake.seen.some(seen => seen.path === '/v1/secret/data/app')).toBe(readsValue)
  })

  test('tells absent, deleted, denied and a wrong kind apart, each with what to do', async () => {
    expect((await bad(root, 'secret/data/none' as StorePath))[0]?.detail).toBe('it is absent')
    await root.delete(path, intent())
    expect((await bad(root))[0]?.hint).toContain('restore')
    const denied = await limited([{ path: 'secret/data/else', capabilities: ['read'] }])
    expect((await bad(denied))[0]?.hint).toContain('path "secret/data/app" { capabilities = ["read"] }')
    const asOne = await storeWith({ kv: 1 }, fake.root)
    expect((await bad(asOne, 'secret/app' as StorePath)).find(finding => finding.what === 'mount secret')?.hint).toContain('kv: 2')
    expect((await bad(root, 'kv/data/x' as StorePath)).find(finding => finding.what === 'mount kv')?.hint).toContain('kv: 1')
  })

  test('names a mount of several segments', async () => {
    fake.mount('team/kv', 2).put('app', { k: 'v' })
    const store = await storeWith({ kv: 2, mount: 'team' }, fake.root)
    expect((await bad(store, 'team/data/x' as StorePath)).length).toBeGreaterThan(0)
    const right = await storeWith({ mount: 'team/kv', kv: 2 }, fake.root)
    expect(await bad(right, 'team/kv/data/app' as StorePath)).toEqual([])
  })

  test('says how a KV v1 secret stands', async () => {
    one.put('app', { k: 'v' })
    const store = await storeWith({ kv: 1 }, fake.root)
    expect((await store.examine('kv/app' as StorePath)).at(-1)).toEqual({
      ok: true,
      what: 'path kv/app',
      detail: 'fields: k',
      fields: ['k'],
    })
  })
})
