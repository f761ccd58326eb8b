import { createSecretKey } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failure, seededRandom } from '@keyturn/conformance'
import { Store, type StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { VaultFake } from '../../../test/fakes/vault.ts'
import type { Rule, TokenOptions } from '../../../test/fakes/vault-auth.ts'
import { SetClock } from '../../../test/fakes/vault-clock.ts'
import { open, options } from './index.ts'

const path = 'secret/data/app' as StorePath
const second = 1_000
const rules: readonly Rule[] = [{ path: 'secret/data/app', capabilities: ['read', 'create', 'update'] }]
const appRole = { method: 'approle', roleId: 'the-role', secretId: 'the-secret-id' }

let clock: SetClock
let fake: VaultFake
let folder: string
const closing: (() => Promise<void>)[] = []
beforeEach(async () => {
  clock = new SetClock()
  fake = await VaultFake.start(() => clock.now().getTime())
  fake.mount('secret', 2).put('app', { key: 'v' })
  folder = await mkdtemp(join(tmpdir(), 'keyturn-vault-'))
  role({ ttlMs: 60 * second, renewable: true, rules })
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  expect(fake.broken).toEqual([])
  await fake.close()
  await rm(folder, { recursive: true })
})

function role(more: TokenOptions): void {
  fake.auth.appRoles.set('app', { roleId: 'the-role', secretId: 'the-secret-id', ...more })
}

async function storeWith(auth: object | undefined, env: Record<string, string> = {}, random = seededRandom('session')): Promise<Store> {
  const context = { clock, random, etagKey: createSecretKey(Buffer.alloc(32)), data: folder }
  const adapter = await open(options.parse({ address: fake.url, ...(auth === undefined ? {} : { auth }) }), context, { env })
  closing.push(() => adapter.close())
  return new Store(adapter, { name: 'vault', clock, timeoutMs: 30 * second })
}

async function file(name: string, content: string): Promise<string> {
  const made = join(folder, name)
  await writeFile(made, content)
  return made
}

const requests = (fits: RegExp) => fake.seen.filter(seen => fits.test(`${seen.method} ${seen.path}`)).length

describe('a login', () => {
  test('is shared by all who wait for it', async () => {
    const store = await storeWith(appRole)
    await Promise.all(Array.from({ length: 20 }, () => store.read(path)))
    expect(fake.auth.logins).toBe(1)
  })

  test('goes on for the others when one caller gives up', async () => {
    fake.turn(/login/, { do: 'slow', ms: 100 }, 1)
    const store = await storeWith(appRole)
    const controller = new AbortController()
    const gaveUp = failure(store.read(path, { signal: controller.signal }))
    const stayed = store.read(path)
    controller.abort()
    expect((await gaveUp).code).toBe('cancelled')
    await stayed
    expect(fake.auth.logins).toBe(1)
  })

  test('that is cut leaves nothing unknown about a write: it never went out', async () => {
    fake.turn(/login/, { do: 'drop' })
    const store = await storeWith(appRole)
    const { value } = await (await storeWith(undefined, { VAULT_TOKEN: fake.root })).read(path)
    expect((await failure(store.write(path, value, { idempotencyKey: crypto.randomUUID() }))).code).toBe('unavailable')
    expect(requests(/^POST \/v1\/secret/)).toBe(0)
  })

  test('without an answer is given up after its own time', async () => {
    fake.turn(/login/, { do: 'hang' })
    const store = await storeWith(appRole)
    const call = failure(store.read(path))
    await expect.poll(() => requests(/login/)).toBe(1)
    clock.advance(30 * second)
    expect((await call).code).toBe('unavailable')
  })

  test('that is refused is not asked again at once, and works when it is mended', async () => {
    const store = await storeWith({ ...appRole, secretId: 'wrong-secret-id' })
    for (let count = 0; count < 5; count += 1) expect((await failure(store.read(path))).code).toBe('unauthenticated')
    expect(requests(/login/)).toBe(1)
    clock.advance(1_001)
    expect((await failure(store.read(path))).code).toBe('unauthenticated')
    expect(requests(/login/)).toBe(2)
    fake.auth.appRoles.set('app', { roleId: 'the-role', secretId: 'wrong-secret-id', rules })
    clock.advance(2_001)
    await store.read(path)
  })

  test('that is refused says method, place and address, and nothing of the credential', async () => {
    const store = await storeWith({ ...appRole, secretId: 'canary-secret-id' })
    const error = await failure(store.read(path))
    expect(error.message).toContain(`the approle login at auth/approle of ${fake.url}`)
    expect(error.message).toContain('invalid secret_id')
    expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain('canary')
    expect(error.hint).toContain('audit log')
  })

  test.each([
    [{ do: 'throttle', retryAfter: '7' }, 'throttled', 7_000],
    [{ do: 'seal' }, 'unavailable', undefined],
    [{ do: 'page' }, 'corrupt', undefined],
    [{ do: 'say', body: '{"auth":{"client_token":""}}' }, 'corrupt', undefined],
    [{ do: 'say', body: '{"auth":null}' }, 'corrupt', undefined],
    [{ do: 'redirect', to: 'http://127.0.0.1:1/' }, 'unavailable', undefined],
  ] as const)('answered by %j is %s', async (knob, code, retryAfterMs) => {
    fake.turn(/login/, knob)
    expect(await failure((await storeWith(appRole)).read(path))).toMatchObject({ code, retryAfterMs })
  })

  test('by AppRole reads the secret id from its file each time', async () => {
    const secretIdFile = await file('secret-id', 'the-secret-id\n')
    const store = await storeWith({ method: 'approle', roleId: 'the-role', secretIdFile })
    await store.read(path)
    fake.auth.appRoles.set('app', { roleId: 'the-role', secretId: 'another-secret-id', rules })
    await writeFile(secretIdFile, 'another-secret-id')
    fake.auth.revokeAll()
    await store.read(path)
    expect(fake.auth.logins).toBe(2)
  })
})

describe('a token', () => {
  test('is renewed after 60 to 67 % of its life, and serves meanwhile', async () => {
    const store = await storeWith(appRole)
    await store.read(path)
    clock.advance(35 * second)
    await store.read(path)
    expect(fake.auth.renewals).toBe(0)
    clock.advance(6 * second)
    fake.turn(/renew-self/, { do: 'slow', ms: 50 })
    await Promise.all([store.read(path), store.read(path)])
    await expect.poll(() => fake.auth.renewals).toBe(1)
    expect(fake.auth.logins).toBe(1)
  })

  test.each([
    [0, 37],
    [255, 41],
  ])('draws the moment of its renewal: %i gives %i s', async (byte, at) => {
    const store = await storeWith(appRole, {}, { ...seededRandom('x'), bytes: count => Buffer.alloc(count, byte) })
    await store.read(path)
    clock.advance((at - 2) * second)
    await store.read(path)
    expect(requests(/renew-self/)).toBe(0)
    clock.advance(2 * second)
    await store.read(path)
    await expect.poll(() => requests(/renew-self/)).toBe(1)
  })

  test('outlives many renewals with one login', async () => {
    const store = await storeWith(appRole)
    for (let count = 1; count <= 6; count += 1) {
      await store.read(path)
      clock.advance(41 * second)
      await store.read(path)
      await expect.poll(() => fake.auth.renewals).toBe(count)
      await settled()
    }
    expect(fake.auth.logins).toBe(1)
  })

  test('that cannot be renewed far any more is replaced by a login before it ends', async () => {
    role({ ttlMs: 60 * second, maxTtlMs: 70 * second, renewable: true, rules })
    const store = await storeWith(appRole)
    await store.read(path)
    clock.advance(41 * second)
    await store.read(path)
    await expect.poll(() => fake.auth.renewals).toBe(1)
    await settled()
    clock.advance(21 * second)
    await store.read(path)
    await expect.poll(() => fake.auth.logins).toBe(2)
    expect(fake.auth.renewals).toBe(1)
  })

  test('that is not renewable is replaced by a login while it serves', async () => {
    role({ ttlMs: 60 * second, rules })
    const store = await storeWith(appRole)
    await store.read(path)
    clock.advance(41 * second)
    fake.turn(/login/, { do: 'slow', ms: 50 })
    await store.read(path)
    await expect.poll(() => fake.auth.logins).toBe(2)
    expect(requests(/renew-self/)).toBe(0)
  })

  test('that ended is replaced before it is used', async () => {
    const store = await storeWith(appRole)
    await store.read(path)
    clock.advance(120 * second)
    await store.read(path)
    expect(fake.auth.logins).toBe(2)
    expect(requests(/lookup-self/)).toBe(0)
  })

  test('whose renewal fails goes on serving, and is renewed by a later call', async () => {
    const store = await storeWith(appRole)
    await store.read(path)
    clock.advance(41 * second)
    fake.turn(/renew-self/, { do: 'seal' }, 1)
    await store.read(path)
    await expect.poll(() => requests(/renew-self/)).toBe(1)
    await settled()
    await store.read(path)
    expect(requests(/renew-self/)).toBe(1)
    clock.advance(3 * second)
    await store.read(path)
    await expect.poll(() => fake.auth.renewals).toBe(1)
    expect(fake.auth.logins).toBe(1)
  })

  test('that was revoked is replaced once for all callers, within their calls', async () => {
    const store = await storeWith(appRole)
    await store.read(path)
    fake.auth.revokeAll()
    await Promise.all(Array.from({ length: 10 }, () => store.read(path)))
    expect(fake.auth.logins).toBe(2)
  })

  test('that was revoked under a write is replaced, and the write happens once', async () => {
    const store = await storeWith(appRole)
    const { value, etag } = await store.read(path)
    fake.auth.revokeAll()
    const made = await store.write(path, value.with({ key: 'w' }), { idempotencyKey: crypto.randomUUID(), ifMatch: etag })
    expect(made.version).toBe('2')
  })

  test('whose calls are denied is not replaced', async () => {
    const store = await storeWith(appRole)
    await store.read(path)
    for (let count = 0; count < 5; count += 1) {
      expect((await failure(store.read('secret/data/other' as StorePath))).code).toBe('permission_denied')
    }
    expect(fake.auth.logins).toBe(1)
  })

  test('that may not look itself up is replaced at most once in ten seconds for a denial', async () => {
    role({ ttlMs: 600 * second, renewable: true, rules: [...rules, { path: 'auth/token/lookup-self', capabilities: ['deny'] }] })
    const store = await storeWith(appRole)
    const other = 'secret/data/other' as StorePath
    for (let count = 0; count < 5; count += 1) expect((await failure(store.read(other))).code).toBe('permission_denied')
    expect(fake.auth.logins).toBe(2)
    clock.advance(11 * second)
    expect((await failure(store.read(other))).code).toBe('permission_denied')
    expect(fake.auth.logins).toBe(3)
  })

  test('that was made by a login is revoked at the end, and nothing is called after it', async () => {
    const store = await storeWith(appRole)
    await store.read(path)
    await store.close()
    expect(fake.auth.revocations).toBe(1)
    expect((await failure(store.read(path))).code).toBe('cancelled')
    expect(fake.auth.logins).toBe(1)
  })

  test('that was given is not revoked at the end', async () => {
    const store = await storeWith(undefined, { VAULT_TOKEN: fake.root })
    await store.read(path)
    await store.close()
    expect(fake.auth.revocations).toBe(0)
  })
})

/** Lets what was answered be taken in. */
async function settled(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 30))
}
