import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Fault, type WrapperSubject, wrapperChecks, wrapperMutants } from '../../../test/contract/kek-wrapper.ts'
import { VaultTransitFake } from '../../../test/fakes/vault-transit.ts'
import { openVaultTransit } from './transit.ts'

let now = Date.parse('2026-11-01T00:00:00Z')
const clock = { now: () => new Date(now), after: () => () => undefined }
const context = { ledgerId: 'l', kekId: 'k1' }
const live = () => new AbortController().signal
const bytes = () => Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7))
let fake: VaultTransitFake

beforeEach(async () => {
  fake = await VaultTransitFake.start(() => now)
  fake.makeKey('keyturn')
  fake.makeKey('other')
})
afterEach(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const opened = (more: object = {}) =>
  openVaultTransit({ address: fake.url, mount: 'transit', key: 'keyturn', authMount: 'kubernetes', ...more }, { env: {}, clock })

function subject(): WrapperSubject {
  const token = fake.grant()
  return {
    wrapper: opened({ token }),
    key: 'transit/keyturn:v1',
    other: { wrapper: opened({ token, key: 'other' }), key: 'transit/other:v1' },
    unreachable: opened({ token, address: 'http://127.0.0.1:1' }),
    credential: token,
    async rotate() {
      fake.rotate('keyturn')
      return 'transit/keyturn:v2'
    },
    fault: fault => turn(fault, token),
    requests: () => fake.seen.length,
  }
}

function turn(fault: Fault, token: string): void {
  const fits = /transit/
  if (fault === 'denied') fake.turn(fits, { do: 'fail', status: 403, errors: [`denied ${token}`] })
  else if (fault === 'throttled') fake.turn(fits, { do: 'fail', status: 429, retryAfter: '2' })
  else if (fault === 'page') fake.turn(fits, { do: 'page' })
  else if (fault === 'half an answer') fake.turn(fits, { do: 'say', body: `{"data":{"plaintext":"${token}` })
  else if (fault === 'an answer without its members') fake.turn(fits, { do: 'say', body: '{"data":{"plaintext":7}}' })
  else if (fault === 'cut') fake.turn(fits, { do: 'cut' })
  else if (fault === 'dropped') fake.turn(fits, { do: 'drop' })
  else if (fault === 'redirect') fake.turn(fits, { do: 'redirect', to: `${fake.url}/elsewhere` })
  else if (fault === 'broken') fake.turn(fits, { do: 'fail', status: 500, errors: [token] })
  else if (fault === 'hang') fake.turn(fits, { do: 'hang' })
  else if (fault === 'login ended') fake.tokens.delete(token)
  else if (fault === 'key destroyed') fake.keys.delete('keyturn')
  else {
    const key = fake.keys.get('keyturn')
    if (key !== undefined) key.minDecryption = 9
  }
}

describe('the contract of wrappers', () => {
  test.each(wrapperChecks.map(check => [check.title, check] as const))('%s', async (_title, check) => {
    const each = subject()
    await check.run(each)
    await each.wrapper.close()
  })

  test.each(wrapperMutants.map(mutant => [mutant.title, mutant] as const))('finds one that %s', async (_title, { spoil }) => {
    const missed: string[] = []
    for (const check of wrapperChecks) {
      fake.turnBack()
      fake.makeKey('keyturn')
      const right = subject()
      const wrong = { ...right, wrapper: spoil(right.wrapper), unreachable: spoil(right.unreachable) }
      const ended = await Promise.race([
        check.run(wrong).then(
          () => true,
          () => false,
        ),
        new Promise<boolean>(resolve => setTimeout(resolve, 300, false)),
      ])
      await right.wrapper.close()
      if (!ended) return
      missed.push(check.title)
    }
    expect.unreachable(`all ${missed.length} checks passed`)
  })
})

describe('the key', () => {
  test.each(['rsa-2048', 'aes256-cbc', 'hmac'])('of type %s is refused: it binds nothing', async type => {
    fake.makeKey('keyturn', type)
    const wrapper = opened({ token: fake.grant() })
    await expect(wrapper.wrap(bytes(), context, live())).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(type),
    })
    expect(await wrapper.examine(live())).toMatchObject([{ ok: false, code: 'invalid_argument' }])
    expect(fake.seen.some(({ line }) => line.includes('/encrypt/'))).toBe(false)
    await wrapper.close()
  })

  test('that is not there is not made by closing with it', async () => {
    fake.keys.delete('keyturn')
    const wrapper = opened({ token: fake.grant() })
    await expect(wrapper.wrap(bytes(), context, live())).rejects.toMatchObject({ code: 'not_found' })
    expect(fake.seen.some(({ line }) => line.includes('/encrypt/'))).toBe(false)
    await wrapper.close()
  })

  test('is kept as the server names it, with the namespace in the header', async () => {
    const wrapper = opened({ token: fake.grant(), namespace: 'admin/payments' })
    const wrapped = await wrapper.wrap(bytes(), context, live())
    expect(Buffer.from(wrapped.bytes).toString()).toMatch(/^vault:v1:/)
    expect(new Set(fake.seen.map(({ namespace }) => namespace))).toEqual(new Set(['admin/payments']))
    await wrapper.close()
  })

  test('name and bytes of different versions are corrupt', async () => {
    const wrapper = opened({ token: fake.grant() })
    const wrapped = await wrapper.wrap(bytes(), context, live())
    for (const key of ['transit/keyturn:v2', 'transit/keyturn', 'keyturn:v1', '../sys:v1', '']) {
      await expect(wrapper.unwrap({ ...wrapped, key }, context, live())).rejects.toMatchObject({
        code: expect.stringMatching(/corrupt|not_found/),
      })
    }
    await wrapper.close()
  })
})

describe('the login', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keyturn-transit-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const logins = () => fake.seen.filter(({ line }) => line.endsWith('/login')).length

  test('as a role happens once, is renewed after two thirds of its life, and is revoked at the end', async () => {
    fake.jwts.add('jwt-1')
    writeFileSync(join(folder, 'jwt'), 'jwt-1\n')
    const wrapper = opened({ role: 'keyturn', tokenFile: join(folder, 'jwt') })
    await Promise.all([wrapper.newest(live()), wrapper.newest(live())])
    now += 2_500_000
    await wrapper.newest(live())
    expect([logins(), fake.seen.filter(({ line }) => line.endsWith('renew-self')).length]).toEqual([1, 1])
    now += 3_700_000
    await wrapper.newest(live())
    expect(logins()).toBe(2)
    const alive = fake.tokens.size
    await wrapper.close()
    expect(fake.tokens.size).toBe(alive - 1)
  })

  test('by a file takes the token that was put there instead of one that ended', async () => {
    const file = join(folder, 'token')
    const first = fake.grant()
    writeFileSync(file, first)
    const wrapper = opened({ tokenFile: file })
    await wrapper.newest(live())
    fake.tokens.delete(first)
    writeFileSync(file, `${fake.grant()}\n`)
    now += 20_000
    await expect(wrapper.newest(live())).resolves.toBe('transit/keyturn:v1')
    await wrapper.close()
  })

  test('by a renewable token is renewed', async () => {
    const wrapper = opened({ token: fake.grant(100, true) })
    for (let count = 0; count < 10; count += 1) {
      await wrapper.newest(live())
      now += 80_000
    }
    await wrapper.close()
  })

  test('that is refused, or has nothing to log in with, says so and shows nothing', async () => {
    writeFileSync(join(folder, 'jwt'), 'canary-jwt')
    const cases = [
      { role: 'keyturn', tokenFile: join(folder, 'jwt') },
      { tokenFile: join(folder, 'none') },
      {},
      { token: 's.canary-token' },
    ]
    for (const more of cases) {
      const wrapper = opened(more)
      const error: unknown = await wrapper.newest(live()).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'unauthenticated', hint: expect.any(String) })
      expect(JSON.stringify(error) + String(error)).not.toContain('canary')
      await wrapper.close()
    }
  })
})
