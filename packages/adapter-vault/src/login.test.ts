import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { failure, testContext } from '@keyturn/conformance'
import { Store, type StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TokenReviewFake } from '../../../test/fakes/token-review.ts'
import { VaultFake } from '../../../test/fakes/vault.ts'
import type { Rule } from '../../../test/fakes/vault-auth.ts'
import { SetClock } from '../../../test/fakes/vault-clock.ts'
import { JwtIssuer, JwtReview } from '../../../test/fakes/vault-jwt.ts'
import { open, options } from './index.ts'

const path = 'secret/data/app' as StorePath
const second = 1_000
const rules: readonly Rule[] = [{ path: 'secret/data/app', capabilities: ['read', 'create', 'update'] }]

let clock: SetClock
let fake: VaultFake
let folder: string
const closing: (() => Promise<void>)[] = []
beforeEach(async () => {
  clock = new SetClock()
  fake = await VaultFake.start(() => clock.now().getTime())
  fake.mount('secret', 2).put('app', { key: 'v' })
  folder = await mkdtemp(join(tmpdir(), 'keyturn-vault-'))
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  expect(fake.broken).toEqual([])
  await fake.close()
  await rm(folder, { recursive: true })
})

async function storeWith(auth: object | undefined, env: Record<string, string> = {}): Promise<Store> {
  const context = testContext('login', { clock, data: folder })
  const adapter = await open(options.parse({ address: fake.url, ...(auth === undefined ? {} : { auth }) }), context, { env })
  closing.push(() => adapter.close())
  return new Store(adapter, { name: 'vault', clock, timeoutMs: 30 * second })
}

async function file(name: string, content: string): Promise<string> {
  const made = join(folder, name)
  await writeFile(made, content)
  return made
}

describe('a token that is given', () => {
  test.each([
    ['ended', () => fake.auth.revokeAll()],
    ['expired', () => clock.advance(120 * second)],
  ])('and %s is unauthenticated, in a store that served before too', async (_how, end) => {
    const store = await storeWith(undefined, { VAULT_TOKEN: fake.auth.grant({ rules, ttlMs: 60 * second }) })
    await store.read(path)
    end()
    const error = await failure(store.read(path))
    expect(error.code).toBe('unauthenticated')
    expect(error.hint).not.toBe('')
  })

  test('and never was good is unauthenticated', async () => {
    expect((await failure((await storeWith(undefined, { VAULT_TOKEN: 'no-such-token' })).read(path))).code).toBe('unauthenticated')
  })

  test('and is denied is permission_denied', async () => {
    const store = await storeWith(undefined, { VAULT_TOKEN: fake.auth.grant({ rules }) })
    expect((await failure(store.read('secret/data/other' as StorePath))).code).toBe('permission_denied')
  })

  test('and may not look itself up is denied, not ended, once it served', async () => {
    const store = await storeWith(undefined, {
      VAULT_TOKEN: fake.auth.grant({ rules: [...rules, { path: 'auth/token/lookup-self', capabilities: ['deny'] }] }),
    })
    await store.read(path)
    expect((await failure(store.read('secret/data/other' as StorePath))).code).toBe('permission_denied')
  })

  test('in a file is read again when it ended', async () => {
    const tokenFile = await file('token', `${fake.auth.grant({ rules })}\n`)
    const store = await storeWith({ method: 'token', tokenFile })
    await store.read(path)
    fake.auth.revokeAll()
    await writeFile(tokenFile, fake.auth.grant({ rules }))
    await store.read(path)
  })

  test('in a file that is not replaced is unauthenticated once it ended, and when it never was good', async () => {
    const tokenFile = await file('token', fake.auth.grant({ rules }))
    const store = await storeWith({ method: 'token', tokenFile })
    await store.read(path)
    fake.auth.revokeAll()
    expect((await failure(store.read(path))).code).toBe('unauthenticated')
    expect((await failure((await storeWith({ method: 'token', tokenFile })).read(path))).code).toBe('unauthenticated')
  })

  test('nowhere is unauthenticated with what to do', async () => {
    const error = await failure((await storeWith(undefined)).read(path))
    expect(error.code).toBe('unauthenticated')
    expect(error.hint).toContain('VAULT_TOKEN')
    expect(fake.seen).toEqual([])
  })

  test('by a variable counts only where the section has no auth of its own', async () => {
    const tokenFile = await file('token', fake.auth.grant({ rules }))
    await (await storeWith({ method: 'token', tokenFile }, { VAULT_TOKEN: 'not-this-one' })).read(path)
    expect(fake.seen.some(seen => seen.token === 'not-this-one')).toBe(false)
  })
})

describe('a login by Kubernetes', () => {
  let review: TokenReviewFake
  beforeEach(async () => {
    review = await TokenReviewFake.start()
    fake.auth.reviewUrl = review.url
    fake.auth.kubernetesRoles.set('app', { namespace: 'shop', account: 'broker', ttlMs: 60 * second, rules })
  })
  afterEach(() => review.close())

  const auth = { method: 'kubernetes', role: 'app' }

  test('reads the projected token anew each time', async () => {
    const tokenFile = await file('token', review.mint('shop', 'broker'))
    const store = await storeWith({ ...auth, tokenFile })
    await store.read(path)
    const rotated = review.mint('shop', 'broker')
    await writeFile(tokenFile, rotated)
    fake.auth.revokeAll()
    await store.read(path)
    expect(fake.auth.logins).toBe(2)
    expect(review.reviews).toBe(2)
  })

  test('takes the file of the section before the one of the variable', async () => {
    const good = await file('good', review.mint('shop', 'broker'))
    await (await storeWith({ ...auth, tokenFile: good }, { KEYTURN_SERVICE_ACCOUNT_TOKEN_FILE: '/not/there' })).read(path)
    await (await storeWith(auth, { KEYTURN_SERVICE_ACCOUNT_TOKEN_FILE: good })).read(path)
  })

  test.each([
    ['a token of another account', () => review.mint('shop', 'other')],
    ['a token that no one minted', () => 'no.such.token'],
  ])('with %s is unauthenticated and says role and address', async (_title, minted) => {
    const tokenFile = await file('token', minted())
    const error = await failure((await storeWith({ ...auth, tokenFile })).read(path))
    expect(error.code).toBe('unauthenticated')
    expect(error.message).toContain(`as role app at auth/kubernetes of ${fake.url}`)
  })

  test.each([
    ['no file', undefined],
    ['an empty file', ' \n'],
  ])('with %s is unauthenticated and names the file', async (_title, content) => {
    const tokenFile = content === undefined ? join(folder, 'missing') : await file('empty', content)
    const error = await failure((await storeWith({ ...auth, tokenFile })).read(path))
    expect(error.code).toBe('unauthenticated')
    expect(error.message).toContain(tokenFile)
    expect(fake.seen).toEqual([])
  })
})

describe('a login by JWT', () => {
  let issuer: JwtIssuer
  let review: JwtReview
  beforeEach(() => {
    const now = () => clock.now().getTime()
    issuer = new JwtIssuer('https://ci.example.com', now)
    review = new JwtReview(issuer, now)
    fake.auth.jwt = review
    fake.auth.jwtRoles.set('app', { audience: 'vault', subject: 'repo:app', ttlMs: 60 * second, rules })
  })

  const minted = (claims: object = {}) => issuer.mint({ sub: 'repo:app', aud: 'vault', ...claims })
  const auth = { method: 'jwt', role: 'app' }

  test('reads the file anew each time, as the platform replaces it before it ends', async () => {
    const tokenFile = await file('jwt', `${minted()}\n`)
    const store = await storeWith({ ...auth, tokenFile })
    await store.read(path)
    clock.advance(600 * second)
    await writeFile(tokenFile, minted())
    await store.read(path)
    expect(fake.auth.logins).toBe(2)
  })

  test('takes a token that a variable gave', async () => {
    await (await storeWith({ ...auth, token: minted() })).read(path)
  })

  test('without a role takes the default of the mount', async () => {
    fake.auth.jwtDefaultRole = 'app'
    await (await storeWith({ method: 'jwt', token: minted() })).read(path)
    expect(fake.auth.logins).toBe(1)
  })

  test('keeps its token no longer than its ttl', async () => {
    const store = await storeWith({ ...auth, token: minted() })
    await store.read(path)
    clock.advance(61 * second)
    await store.read(path)
    expect(fake.auth.logins).toBe(2)
  })

  test('is shared by all who wait for it, and its token is revoked at the end', async () => {
    const store = await storeWith({ ...auth, token: minted() })
    await Promise.all(Array.from({ length: 8 }, () => store.read(path)))
    await store.close()
    expect([fake.auth.logins, fake.auth.revocations]).toEqual([1, 1])
  })

  test.each([
    ['that has ended', () => minted({ exp: 1 }), /token is expired/],
    ['for another audience', () => minted({ aud: 'other' }), /audience/],
    ['of another subject', () => minted({ sub: 'repo:other' }), /bound claim/],
    ['of another issuer', () => new JwtIssuer('https://ci.example.com').mint({ sub: 'repo:app', aud: 'vault' }), /signature/],
    ['that is none', () => 'canary-no-jwt', /three parts/],
  ])('with a token %s is unauthenticated, says why, and does not repeat the token', async (_title, token, why) => {
    const given = token()
    const error = await failure((await storeWith({ ...auth, token: given })).read(path))
    expect(error.code).toBe('unauthenticated')
    expect(error.message).toContain(`the jwt login as role app at auth/jwt of ${fake.url} failed`)
    expect(error.message).toMatch(why)
    expect(`${error.stack}${JSON.stringify(error)}${inspect(error.origin, { depth: 20 })}`).not.toContain(given)
  })

  test.each([
    ['an unknown role', { role: 'none' }],
    ['no role where the mount has no default', { role: undefined }],
    ['a mount that is not there', { mount: 'team/ci' }],
  ])('with %s is unauthenticated', async (_title, more) => {
    expect((await failure((await storeWith({ ...auth, token: minted(), ...more })).read(path))).code).toBe('unauthenticated')
  })

  test('is unavailable while the issuer does not give its keys, and works when it does again', async () => {
    const store = await storeWith({ ...auth, token: minted() })
    review.keyless = true
    expect((await failure(store.read(path))).code).toBe('unavailable')
    review.keyless = false
    await store.read(path)
  })

  test('with no file is unauthenticated and names it', async () => {
    const tokenFile = join(folder, 'missing')
    const error = await failure((await storeWith({ ...auth, tokenFile })).read(path))
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining(tokenFile)])
  })
})
