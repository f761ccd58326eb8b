import { failure, testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StorePath } from '@keyturn/core'
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { KubernetesFake } from '../../../test/fakes/kubernetes.ts'
import { Refusal } from '../../../test/fakes/kubernetes-status.ts'
import { open, options } from './index.ts'

const context = testContext('store')
const at = (path: string) => path as StorePath
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const fields = (entries: Record<string, string>) => SecretValue.fields(entries)

let fake: KubernetesFake
const stores: Store[] = []
const opened = async (token = fake.admin, secrets: object[] = []): Promise<Store> => {
  const section = options.parse({ address: fake.url, ca: fake.ca, auth: { method: 'token', token }, secrets })
  const store = new Store(await open(section, context, { env: {} }), { name: 'kubernetes', clock: wallClock, timeoutMs: 5_000 })
  stores.push(store)
  return store
}
const lines = () => fake.seen.map(({ method, path }) => `${method} ${path.split('?')[0]}`)
const collect = async (items: AsyncIterable<string>) => {
  const all: string[] = []
  for await (const item of items) all.push(item)
  return all
}

beforeAll(async () => {
  fake = await KubernetesFake.start()
})
beforeEach(() => {
  for (const name of ['shop', 'shop-two', 'billing', 'held']) {
    fake.secrets.namespaces.add(name)
    for (const { metadata } of fake.secrets.all(name)) fake.secrets.delete(name, metadata.name, {})
  }
  fake.turnBack()
  fake.seen.length = 0
})
afterEach(async () => {
  for (const each of stores.splice(0)) await each.close()
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

describe('a read', () => {
  test('is one request, and keeps what nobody else keeps', async () => {
    const store = await opened()
    fake.secrets.put('shop', 'stripe', JSON.parse('{"__proto__":"p","empty":"","k":"v"}') as Record<string, string>)
    const read = await store.read(at('shop/stripe'))
    expect(read.value.fieldNames).toEqual(['__proto__', 'empty', 'k'])
    expect(lines()).toEqual(['GET /api/v1/namespaces/shop/secrets/stripe'])
    expect(Math.abs(read.createdAt.getTime() - Date.now())).toBeLessThan(5_000)
  })

  test('of a Secret without data says that it is there', async () => {
    fake.secrets.put('shop', 'empty', {})
    const error = await failure((await opened()).read(at('shop/empty')))
    expect([error.code, error.hint]).toEqual(['precondition_failed', 'write a value to it'])
  })

  test('takes an answer for another object, or in another form, for no answer', async () => {
    const store = await opened()
    fake.secrets.put('shop', 'other', { k: 'v' })
    const other = JSON.stringify(fake.secrets.get('shop', 'other'))
    for (const body of [other, '{"kind":"Secret"}', '[]', 'null', other.replace('"other"', '"stripe"').replace('"dg=="', '"canary"')]) {
      fake.turnBack()
      fake.turn(/./, { do: 'say', body })
      const error = await failure(store.read(at('shop/stripe')))
      expect([error.code, `${error.message}${error.hint}`]).toEqual(['corrupt', expect.not.stringContaining('canary')])
    }
  })
})

describe('a write', () => {
  test('replaces the data and nothing else', async () => {
    const more = {
      type: 'example.com/own',
      futureMember: { kept: true },
      metadata: { labels: { team: 'shop' }, annotations: { note: 'kept' } },
    }
    fake.secrets.put('shop', 'stripe', { gone: 'x', k: 'old' }, more)
    await (await opened()).write(at('shop/stripe'), fields({ k: 'new' }), intent())
    const after = fake.secrets.get('shop', 'stripe')
    expect(after).toMatchObject({
      type: 'example.com/own',
      futureMember: { kept: true },
      metadata: { labels: { team: 'shop' }, annotations: { note: 'kept' } },
    })
    expect(after.data).toEqual({ k: Buffer.from('new').toString('base64') })
    expect(lines()).toEqual(['GET /api/v1/namespaces/shop/secrets/stripe', 'PUT /api/v1/namespaces/shop/secrets/stripe'])
  })

  test('that somebody overtook looks again, and is told so when it expected otherwise', async () => {
    const store = await opened()
    fake.secrets.put('shop', 'stripe', { k: 'old' })
    const { etag } = await store.read(at('shop/stripe'))
    const overtake = () => fake.turn(/^PUT/, { do: 'refuse', with: new Refusal(409, 'Conflict', 'modified') }, 1)
    overtake()
    fake.seen.length = 0
    await store.write(at('shop/stripe'), fields({ k: 'new' }), intent())
    expect(lines().filter(line => line.startsWith('PUT'))).toHaveLength(2)
    expect((await failure(store.write(at('shop/stripe'), fields({ k: 'newer' }), { ...intent(), ifMatch: etag }))).code).toBe('conflict')
    fake.turn(/^PUT/, { do: 'refuse', with: new Refusal(409, 'Conflict', 'modified') })
    const never = await failure(store.write(at('shop/stripe'), fields({ k: 'newest' }), intent()))
    expect([never.code, never.message]).toEqual(['conflict', expect.stringContaining('at each of 8 attempts')])
  })

  test('whose reply was lost is found by a look, and is not done again', async () => {
    const store = await opened()
    for (const path of ['shop/fresh', 'shop/stripe']) {
      if (path === 'shop/stripe') fake.secrets.put('shop', 'stripe', { k: 'old' })
      const once = intent()
      fake.turn(/^(?:PUT|POST)/, { do: 'cut' }, 1)
      expect((await failure(store.write(at(path), fields({ k: 'new' }), once))).code).toBe('outcome_unknown')
      const { version } = await store.read(at(path))
      fake.seen.length = 0
      expect((await store.write(at(path), fields({ k: 'new' }), once)).version).toBe(version)
      expect(lines()).toEqual([`GET /api/v1/namespaces/shop/secrets/${path.slice(5)}`])
    }
  })

  test('remembers the last 32 intents of an object', async () => {
    const store = await opened()
    const intents = Array.from({ length: 33 }, intent)
    for (const [index, each] of intents.entries()) await store.write(at('shop/stripe'), fields({ k: String(index) }), each)
    const kept = String(
      fake.secrets.get('shop', 'stripe').metadata.annotations &&
        (fake.secrets.get('shop', 'stripe').metadata.annotations as Record<string, string>)['keyturn-intents'],
    )
    expect(kept.split(' ')).toHaveLength(32)
    fake.seen.length = 0
    expect((await store.write(at('shop/stripe'), fields({ k: '1' }), intents[1] ?? intent())).state).toBe('older')
    expect(lines()).toHaveLength(1)
    // one that was forgotten is written again
    expect((await store.write(at('shop/stripe'), fields({ k: '0' }), intents[0] ?? intent())).state).toBe('current')
  })

  test('that the cluster changes on its way in is not taken for whole', async () => {
    const store = await opened()
    const altered = { ...fake.secrets.put('shop', 'stripe', { k: 'altered by a webhook' }) }
    fake.turn(/^PUT/, { do: 'say', body: JSON.stringify(altered) })
    expect((await failure(store.write(at('shop/stripe'), fields({ k: 'new' }), intent()))).code).toBe('corrupt')
  })

  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ['immutable', { immutable: true }, 'is immutable'],
    ['the token of a service account', { type: 'kubernetes.io/service-account-token' }, 'kubernetes.io/service-account-token'],
    ['a token that nodes join with', { type: 'bootstrap.kubernetes.io/token' }, 'a node joins'],
    ['a release of helm', { type: 'helm.sh/release.v1' }, 'helm keeps'],
    [
      'kept by a controller',
      { metadata: { ownerReferences: [{ kind: 'ExternalSecret', name: 'stripe', controller: true }] } },
      'kept by ExternalSecret stripe',
    ],
    ['on its way out', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, 'is being deleted'],
  ])('to what is %s is refused before anything is changed', async (_, more, why) => {
    fake.secrets.put('shop', 'stripe', { k: 'v' }, more)
    const error = await failure((await opened()).write(at('shop/stripe'), fields({ k: 'w' }), intent()))
    expect([error.code, error.message]).toEqual(['precondition_failed', expect.stringContaining(why)])
    expect(lines()).toEqual(['GET /api/v1/namespaces/shop/secrets/stripe'])
  })

  test('is refused with the words of the type, never with those of the server', async () => {
    fake.secrets.put('shop', 'pair', { 'tls.crt': 'c', 'tls.key': 'k' }, { type: 'kubernetes.io/tls' })
    const error = await failure((await opened()).write(at('shop/pair'), fields({ other: 'canary' }), intent()))
    expect([error.code, error.message]).toEqual([
      'invalid_argument',
      'kubernetes: the API server refuses shop/pair: data[tls.crt] (FieldValueRequired)',
    ])
  })

  test('into a namespace that goes, or is not there, says so', async () => {
    fake.secrets.ending.add('billing')
    const store = await opened()
    for (const [path, why] of [
      ['billing/x', 'is being deleted'],
      ['none/x', 'there is no namespace none'],
    ] as const) {
      const error = await failure(store.write(at(path), fields({ k: 'v' }), intent()))
      expect([error.code, error.message]).toEqual(['precondition_failed', expect.stringContaining(why)])
    }
    fake.secrets.ending.clear()
  })
})

describe('a deletion', () => {
  test('names the object that was looked at, and with an etag its version', async () => {
    const store = await opened()
    const { metadata } = fake.secrets.put('shop', 'stripe', { k: 'v' })
    const { etag } = await store.read(at('shop/stripe'))
    await store.delete(at('shop/stripe'), { ...intent(), ifMatch: etag })
    const { uid, resourceVersion } = metadata
    expect(JSON.parse(fake.seen.at(-1)?.body ?? '')).toMatchObject({ preconditions: { uid, resourceVersion } })
    fake.secrets.put('shop', 'stripe', { k: 'v' })
    await store.delete(at('shop/stripe'), intent())
    expect(JSON.parse(fake.seen.at(-1)?.body ?? '').preconditions).toEqual({ uid: expect.not.stringContaining(uid) })
  })

  test('that finalizers hold up is one for readers at once', async () => {
    const store = await opened()
    fake.secrets.put('held', 'held', { k: 'v' }, { metadata: { finalizers: ['example.com/kept'] } })
    await store.delete(at('held/held'), intent())
    const errors = await Promise.all([failure(store.read(at('held/held'))), failure(store.delete(at('held/held'), intent()))])
    for (const error of errors) expect(error).toMatchObject({ code: 'not_found', hint: 'look at metadata.finalizers' })
  })
})

describe('a list', () => {
  test('asks for names alone, page by page as they are wanted', async () => {
    for (let index = 0; index < 1_001; index += 1) fake.secrets.put('shop', `n${index}`, { k: 'canary' })
    const store = await opened()
    const items = store.list('shop/')[Symbol.asyncIterator]()
    await items.next()
    expect(fake.seen).toHaveLength(1)
    await items.return?.()
    expect(await collect(store.list('shop/'))).toHaveLength(1_001)
    expect(fake.seen).toHaveLength(4)
    expect(fake.seen.every(({ headers, path }) => headers.accept?.includes('as=Table') && path.includes('includeObject=None'))).toBe(true)
  })

  test('covers one namespace, a part of it, or all of them, and escaped names as paths', async () => {
    const store = await opened(fake.admin, [{ path: 'shop/x---y' }])
    for (const [namespace, name] of [
      ['shop', 'payments---stripe'],
      ['shop', 'plain'],
      ['shop', 'x---y'],
      ['shop', 'odd----zz'],
      ['shop-two', 'plain'],
      ['billing', 'plain'],
    ] as const) {
      fake.secrets.put(namespace, name, { k: 'v' })
    }
    expect((await collect(store.list('shop/'))).sort()).toEqual(['shop/payments/stripe', 'shop/plain', 'shop/x---y'])
    expect(await collect(store.list('shop/payments/'))).toEqual(['shop/payments/stripe'])
    expect((await collect(store.list('shop'))).sort()).toEqual(['shop-two/plain', 'shop/payments/stripe', 'shop/plain', 'shop/x---y'])
    expect(await collect(store.list(''))).toEqual(expect.arrayContaining(['billing/plain', 'shop-two/plain', 'shop/plain']))
  })

  test('that fails on its third page, or outlives its moment, is an error and no short list', async () => {
    for (let index = 0; index < 1_501; index += 1) fake.secrets.put('shop', `n${index}`, { k: 'v' })
    const store = await opened()
    const items = store.list('shop/')[Symbol.asyncIterator]()
    for (let count = 0; count < 900; count += 1) await items.next()
    fake.turn(/continue=/, { do: 'refuse', with: new Refusal(500, 'InternalError', 'no') })
    const rest = async () => {
      while (!(await items.next()).done);
    }
    expect((await failure(rest())).code).toBe('unavailable')
    fake.turnBack()
    const late = store.list('shop/')[Symbol.asyncIterator]()
    await late.next()
    fake.secrets.expireLists()
    const expired = await failure(
      (async () => {
        while (!(await late.next()).done);
      })(),
    )
    expect([expired.code, expired.hint]).toEqual(['unavailable', 'list it again'])
  })

  test.each([
    ['that never ends', { kind: 'Table', metadata: { continue: 'same' }, columnDefinitions: [{ format: 'name' }], rows: [] }],
    ['without names', { kind: 'Table', metadata: {}, columnDefinitions: [], rows: [{ cells: ['x'] }] }],
    ['of whole objects', { kind: 'SecretList', metadata: {}, items: [] }],
  ])('%s is none', async (_, body) => {
    fake.turn(/./, { do: 'say', body: JSON.stringify(body) })
    expect((await failure(collect((await opened()).list('shop/')))).code).toBe('corrupt')
  })
})

describe('examine', () => {
  test('names each right that is missing, and the fields that are there', async () => {
    fake.secrets.put('shop', 'stripe', { api_key: 'canary', other: 'v' })
    const reader = fake.access.token({ rules: [{ verbs: ['get'], namespace: 'shop', names: ['stripe'] }] })
    const store = await opened(reader, [{ path: 'shop/stripe' }, { under: 'billing/' }])
    const well = await store.examine(at('shop/stripe'))
    expect(well.map(({ ok, what, detail }) => [ok, what, detail])).toEqual([
      [true, 'right to get shop/stripe', undefined],
      [true, 'right to change shop/stripe', 'missing, and needed to write and rotate: create, update, delete'],
      [true, 'path shop/stripe', 'Opaque; fields: api_key, other (read with their values: the API tells them only so)'],
    ])
    const denied = await store.examine(at('billing/x'))
    expect(denied.map(({ ok, what, code }) => [ok, what, code])).toEqual([
      [false, 'right to get billing/x', 'permission_denied'],
      [false, 'right to list secrets in billing', 'permission_denied'],
    ])
    expect(fake.seen.some(({ path }) => path.endsWith('/billing/secrets/x'))).toBe(false)
    expect(await store.examine(at('no path'))).toMatchObject([{ ok: false, code: 'invalid_argument' }])
  })
})

describe('the SDK as it comes', () => {
  const sdk = () => {
    const config = new KubeConfig()
    const cluster = { name: 'c', server: fake.url, caData: Buffer.from(fake.ca).toString('base64'), skipTLSVerify: false }
    config.loadFromClusterAndUser(cluster, { name: 'u', token: fake.admin })
    return config.makeApiClient(CoreV1Api)
  }

  test('reads what was written, and the other way round', async () => {
    const store = await opened()
    await store.write(at('shop/stripe'), fields({ api_key: 'exact \u{1f511}\r\n\0' }), intent())
    const read = await sdk().readNamespacedSecret({ namespace: 'shop', name: 'stripe' })
    expect(read.data).toEqual({ api_key: Buffer.from('exact \u{1f511}\r\n\0').toString('base64') })
    const body = { metadata: { name: 'by-sdk' }, data: { k: Buffer.from('v').toString('base64') } }
    await sdk().createNamespacedSecret({ namespace: 'shop', body })
    expect((await store.read(at('shop/by-sdk'))).value.equals(fields({ k: 'v' }))).toBe(true)
  })

  // why its calls are not used; should one of these fail, they may be looked at again
  test('connects for each request, loses a field, and tells in its errors what the server said', async () => {
    fake.secrets.put('shop', 'stripe', JSON.parse('{"__proto__":"lost","k":"v"}') as Record<string, string>)
    const api = sdk()
    const before = fake.connections
    for (let count = 0; count < 5; count += 1) {
      const read = await api.readNamespacedSecret({ namespace: 'shop', name: 'stripe' })
      expect(Object.keys(read.data ?? {})).toEqual(['k'])
    }
    expect(fake.connections - before).toBe(5)
    fake.turn(/^POST/, { do: 'refuse', with: new Refusal(400, 'BadRequest', 'illegal base64 data: ...|"canary"|...') })
    const secret = { metadata: { name: 'x' }, data: { k: 'canary' } }
    const error: unknown = await api.createNamespacedSecret({ namespace: 'shop', body: secret }).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ message: expect.stringContaining('canary') })
  })
})
