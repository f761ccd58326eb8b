import { ClientSecretCredential } from '@azure/identity'
import { SecretClient } from '@azure/keyvault-secrets'
import { failure } from '@keyturn/conformance'
import { SecretValue, type StorePath, type VersionId } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AzureVault } from '../../../test/fakes/azure-vault.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { OwnVault } from './vault.fixture.ts'

const at = (path: string) => path as StorePath
const text = (value: string) => SecretValue.text(value)
const intent = () => ({ idempotencyKey: crypto.randomUUID() })

let own: OwnVault
let fake: AzureVault
beforeEach(async () => {
  own = await OwnVault.start()
  fake = own.fake
})
afterEach(() => own.close())
const storeOf = (timeoutMs?: number) => own.store({}, timeoutMs === undefined ? {} : { timeoutMs })

const puts = () => fake.asked.filter(line => line.startsWith('PUT ')).length

describe('values', () => {
  test.each([
    ['bytes that are no text', SecretValue.bytes(Uint8Array.of(0xff, 0xfe))],
    ['nothing', text('')],
    ['fields', SecretValue.fields({ a: 'b' })],
    ['one byte more than 25 KB', text('x'.repeat(25_601))],
    ['more bytes than 25 KB in fewer characters', text('é'.repeat(12_801))],
  ])('%s is refused before any call', async (_, value) => {
    const store = await storeOf()
    expect((await failure(store.write(at('x'), value, intent()))).code).toBe('invalid_argument')
    expect(fake.server.seen).toEqual([])
  })

  test('25,600 bytes are kept, and an empty value that somebody else wrote is served', async () => {
    const store = await storeOf()
    await store.write(at('full'), text('é'.repeat(12_800)), intent())
    expect(fake.secrets.stored('full')[0]?.value).toBe('é'.repeat(12_800))
    fake.secrets.put('empty', '')
    expect((await store.read(at('empty'))).value.equals(text(''))).toBe(true)
  })
})

describe('a write whose answer is lost', () => {
  test('makes two versions with the SDK as it comes', async () => {
    const credential = new ClientSecretCredential(fake.authority.tenant, 'app', 'secret-of-the-app', {
      authorityHost: fake.authority.url,
      disableInstanceDiscovery: true,
      tlsOptions: { ca: testCertificates.ca },
    })
    const sdk = new SecretClient(fake.url, credential, {
      disableChallengeResourceVerification: true,
      tlsOptions: { ca: testCertificates.ca },
    })
    await sdk.setSecret('by-sdk', 'before')
    fake.server.turn(/^PUT /, { do: 'cut' }, 1)
    await sdk.setSecret('by-sdk', 'after')
    expect(fake.secrets.stored('by-sdk').map(({ value }) => value)).toEqual(['before', 'after', 'after'])
  })

  test.each(['cut', 'tear'] as const)('(%s) makes one here: the outcome is unknown, and the same intent finds it', async how => {
    const store = await storeOf()
    await store.write(at('ours'), text('before'), intent())
    fake.server.turn(/^PUT /, { do: how }, 1)
    const once = intent()
    expect((await failure(store.write(at('ours'), text('after'), once))).code).toBe('outcome_unknown')
    expect((await store.read(at('ours'))).value.equals(text('after'))).toBe(true)
    const found = await (await storeOf()).write(at('ours'), text('after'), once)
    expect(found).toMatchObject({ state: 'current', version: fake.secrets.stored('ours')[1]?.id })
    expect(fake.secrets.stored('ours').map(({ value }) => value)).toEqual(['before', 'after'])
  })
})

describe('one intent', () => {
  test('makes one version however often it is sent, also at once', async () => {
    const store = await storeOf()
    const once = intent()
    const made = await Promise.all(Array.from({ length: 5 }, () => store.write(at('x'), text('one'), once)))
    expect(new Set(made.map(({ version }) => version)).size).toBe(1)
    expect([fake.secrets.stored('x').length, puts()]).toEqual([1, 1])
  })

  test('leaves a newer version current, and refuses another value', async () => {
    const store = await storeOf()
    const once = intent()
    const first = await store.write(at('x'), text('one'), once)
    const second = await store.write(at('x'), text('two'), intent())
    expect(await store.write(at('x'), text('one'), once)).toMatchObject({ version: first.version, state: 'previous', etag: second.version })
    const other = await failure(store.write(at('x'), text('other'), once))
    expect([other.code, other.message.includes('other')]).toEqual(['conflict', true])
    expect(fake.secrets.stored('x').length).toBe(2)
  })
})

describe('two writers at the same time', () => {
  test('the one whose version is not current is told conflict', async () => {
    const store = await storeOf()
    fake.server.turn(/^GET \/secrets\/x\/\?/, { do: 'late', ms: 150 }, 1)
    const writing = failure(store.write(at('x'), text('ours'), intent()))
    while (fake.secrets.stored('x').length === 0) await new Promise(resolve => setTimeout(resolve, 5))
    const theirs = fake.secrets.put('x', 'theirs')
    expect(await writing).toMatchObject({ code: 'conflict', detail: { current: theirs, made: fake.secrets.stored('x')[0]?.id } })
  })

  test('of one broker wait for each other', async () => {
    const store = await storeOf()
    const made = await Promise.all(Array.from({ length: 10 }, (_, index) => store.write(at('x'), text(`value ${index}`), intent())))
    expect(made.map(({ version }) => version)).toEqual(fake.secrets.stored('x').map(({ id }) => id))
  })

  test('a write that waits for its turn ends by its signal, and the next one goes on', async () => {
    const store = await storeOf()
    fake.server.turn(/^PUT /, { do: 'late', ms: 200 }, 1)
    const first = store.write(at('x'), text('one'), intent())
    const stopped = failure(store.write(at('x'), text('two'), { ...intent(), signal: AbortSignal.timeout(50) }))
    const third = store.write(at('x'), text('three'), intent())
    expect((await stopped).code).toBe('cancelled')
    await first
    await third
    expect(fake.secrets.stored('x').map(({ value }) => value)).toEqual(['one', 'three'])
  })
})

describe('what is kept beside a value', () => {
  test('tags of others and the content type go on, dates do not, and the mark says whose', async () => {
    const store = await storeOf()
    fake.secrets.put('x', 'one', { tags: { owner: 'team' }, contentType: 'text/plain', exp: 4_000_000_000 })
    const once = intent()
    await store.write(at('x'), text('two'), once)
    expect(fake.secrets.stored('x')[1]).toMatchObject({
      tags: { owner: 'team', 'keyturn-mark': `${once.idempotencyKey} 2 x` },
      contentType: 'text/plain',
      exp: undefined,
    })
    await store.write(at('x'), text('three'), intent())
    expect(Object.keys(fake.secrets.stored('x')[2]?.tags ?? {})).toEqual(['owner', 'keyturn-mark'])
  })

  test('a fifteenth tag of others leaves no room, which is said before anything is written', async () => {
    const store = await storeOf()
    fake.secrets.put('x', 'one', { tags: Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`t${index}`, ''])) })
    expect(await failure(store.write(at('x'), text('two'), intent()))).toMatchObject({
      code: 'precondition_failed',
      hint: expect.stringContaining('tag'),
    })
    expect(puts()).toBe(0)
  })
})

describe('names', () => {
  test('another spelling of a name is refused, whoever wrote it', async () => {
    const store = await storeOf()
    await store.write(at('OrdersDb'), text('one'), intent())
    fake.secrets.put('StripeKey', 'theirs')
    for (const [path, kept] of [
      ['ordersdb', 'OrdersDb'],
      ['stripekey', 'StripeKey'],
    ] as const) {
      for (const call of [store.read(at(path)), store.write(at(path), text('two'), intent()), Array.fromAsync(store.versions(at(path)))]) {
        expect(await failure(call)).toMatchObject({ code: 'invalid_argument', hint: `write ${kept}` })
      }
    }
    expect(fake.secrets.stored('OrdersDb').length).toBe(1)
    expect(await Array.fromAsync(store.list(''))).toEqual(['OrdersDb', 'StripeKey'])
  })

  test('a name that no path has is left out of a list', async () => {
    const store = await storeOf()
    for (const name of ['shop---a', 'Shop---a', 'a---', 'plain']) fake.secrets.put(name, 'v')
    expect(await Array.fromAsync(store.list(''))).toEqual(['shop/a', 'plain'])
    expect(await Array.fromAsync(store.list('shop/'))).toEqual(['shop/a'])
  })
})

describe('versions', () => {
  test('of one second that bear no mark are told by one read of the current one', async () => {
    const store = await storeOf()
    const ids = Array.from({ length: 4 }, (_, index) => fake.secrets.put('x', `v${index}`))
    const told = await Array.fromAsync(store.versions(at('x')))
    expect(told[0]).toMatchObject({ version: ids[3], state: 'current' })
    expect(told.map(({ version }) => version).toSorted()).toEqual(ids.toSorted())
  })

  test('are told newest first from many pages in no order', async () => {
    const store = await storeOf()
    const made: VersionId[] = []
    for (let index = 0; index < 30; index += 1) made.unshift((await store.write(at('x'), text(`v${index}`), intent())).version)
    const told = await Array.fromAsync(store.versions(at('x')))
    expect(told.map(({ version }) => version)).toEqual(made)
    expect(told.slice(0, 3).map(({ state }) => state)).toEqual(['current', 'previous', 'older'])
  })

  test.each([false, true])('a current one that somebody disabled is precondition_failed (terse answers: %s)', async terse => {
    const store = await storeOf()
    fake.terse = terse
    const [first, second] = [fake.secrets.put('x', 'one'), fake.secrets.put('x', 'two')]
    fake.secrets.disable('x', second)
    expect(await failure(store.read(at('x')))).toMatchObject({ code: 'precondition_failed', message: expect.stringContaining('disabled') })
    const told = await Array.fromAsync(store.versions(at('x')))
    expect(told.map(({ version, state }) => [version, state])).toEqual([
      [second, 'disabled'],
      [first, 'previous'],
    ])
    expect((await store.read(at('x'), { version: first as VersionId })).etag).toBe(second)
    fake.rights.set('app', ['list'])
    expect((await failure(store.read(at('x'), { version: first as VersionId }))).code).toBe('permission_denied')
  })

  test.each([false, true])('a denial stays one, for a secret that is there and for one that is not (terse answers: %s)', async terse => {
    const store = await storeOf()
    fake.terse = terse
    fake.secrets.put('x', 'one')
    fake.rights.set('app', ['list'])
    for (const path of ['x', 'none']) expect((await failure(store.read(at(path)))).code).toBe('permission_denied')
    fake.rights.set('app', [])
    for (const path of ['x', 'none']) expect((await failure(store.read(at(path)))).code).toBe('permission_denied')
  })

  test('outside their dates are served, as Azure does', async () => {
    const store = await storeOf()
    fake.secrets.put('past', 'v', { exp: 1_000_000_000 })
    fake.secrets.put('future', 'v', { nbf: 4_000_000_000 })
    for (const path of ['past', 'future']) expect((await store.read(at(path))).value.equals(text('v'))).toBe(true)
    expect((await store.examine(at('past'))).at(-1)?.detail).toContain('2001-09-09')
  })
})

describe('deletion and recovery', () => {
  test('are waited for, and a write to a deleted secret recovers it first', async () => {
    const store = await storeOf()
    Object.assign(fake.secrets, { deleteMs: 200, recoverMs: 200, purgeProtection: true })
    const first = await store.write(at('x'), text('one'), intent())
    await store.delete(at('x'), intent())
    expect(await failure(store.read(at('x')))).toMatchObject({ code: 'not_found', detail: { reason: 'soft_deleted' } })
    expect(await failure(Array.fromAsync(store.versions(at('x'))))).toMatchObject({ code: 'not_found', detail: { reason: 'soft_deleted' } })
    const second = await store.write(at('x'), text('two'), intent())
    expect((await Array.fromAsync(store.versions(at('x')))).map(({ version }) => version)).toEqual([second.version, first.version])
    await store.delete(at('x'), intent())
    await store.restore(at('x'))
    expect((await store.read(at('x'))).version).toBe(second.version)
  })

  test('an intent that was done before the deletion makes no second version when it is sent again', async () => {
    const store = await storeOf()
    const once = intent()
    const made = await store.write(at('x'), text('one'), once)
    await store.delete(at('x'), intent())
    expect(await store.write(at('x'), text('one'), once)).toMatchObject({ version: made.version, state: 'current' })
    expect(fake.secrets.stored('x')).toHaveLength(1)
    await store.delete(at('x'), intent())
    expect(await failure(store.write(at('x'), text('two'), once))).toMatchObject({ code: 'conflict' })
  })

  test('a secret on its way out or back is waited for', async () => {
    const store = await storeOf()
    Object.assign(fake.secrets, { deleteMs: 200, recoverMs: 200, purgeProtection: true })
    fake.secrets.put('x', 'one')
    fake.secrets.delete('x')
    await store.write(at('x'), text('two'), intent())
    expect(fake.secrets.stored('x').map(({ value }) => value)).toEqual(['one', 'two'])
    fake.secrets.delete('x')
    await store.restore(at('x'))
    expect((await store.read(at('x'))).value.equals(text('two'))).toBe(true)
  })

  test('a login that may not recover is told so, and what to do', async () => {
    const store = await storeOf()
    fake.secrets.put('x', 'one')
    fake.secrets.delete('x')
    fake.rights.set('app', ['get', 'list', 'set', 'delete'])
    const error = await failure(store.write(at('x'), text('two'), intent()))
    expect(error).toMatchObject({ code: 'permission_denied', detail: { reason: 'soft_deleted' }, hint: expect.stringContaining('recover') })
    expect((await failure(store.restore(at('x')))).code).toBe('permission_denied')
  })

  test('a conflict that is none of a deletion is one', async () => {
    const store = await storeOf()
    fake.server.turn(/^PUT /, { do: 'say', status: 409, body: '{"error":{"code":"Conflict","message":"m","innererror":{"code":"Other"}}}' })
    fake.server.turn(/^GET \/deletedsecrets/, { do: 'say', status: 404, body: '{"error":{"code":"SecretNotFound","message":"m"}}' })
    expect((await failure(store.write(at('x'), text('one'), intent()))).code).toBe('conflict')
    expect(puts()).toBe(1)
  })

  test('a deletion is done once it shows, and the same again is done already; a purge is nobody’s here', async () => {
    const store = await storeOf()
    fake.secrets.put('x', 'one')
    await store.delete(at('x'), intent())
    await store.delete(at('x'), intent())
    expect((await failure(store.delete(at('none'), intent()))).code).toBe('not_found')
    expect((await failure(store.restore(at('none')))).code).toBe('not_found')
    expect(fake.asked.filter(line => line.startsWith('DELETE /deletedsecrets'))).toEqual([])
  })

  test('ends by its deadline when a deletion never shows', async () => {
    const store = await storeOf(400)
    fake.secrets.put('x', 'one')
    fake.secrets.deleteMs = 60_000
    expect((await failure(store.delete(at('x'), intent()))).code).toBe('outcome_unknown')
    const asked = fake.asked.length
    await new Promise(resolve => setTimeout(resolve, 600))
    expect(fake.asked.length).toBe(asked)
  })
})
