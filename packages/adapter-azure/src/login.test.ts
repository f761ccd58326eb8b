import type { AccessToken } from '@azure/identity'
import { describe, expect, test } from 'vitest'
import { SetClock } from '../../../test/fakes/vault-clock.ts'
import { Login } from './login.ts'
import { Transport } from './transport.ts'

const scope = 'https://vault.azure.net/.default'

/** A way to log in that counts, and ends when it is told to. */
function counted(lifeMs: number, clock: SetClock) {
  const made = { calls: 0, instances: 0, fails: false, gate: Promise.resolve() }
  const credential = {
    title: 'the counted login',
    authority: 'https://authority.example.com',
    async make() {
      made.instances += 1
      return {
        async getToken(): Promise<AccessToken> {
          made.calls += 1
          const token = `token-${made.calls}`
          await made.gate
          if (made.fails) throw new Error('invalid_client: AADSTS7000222: the secret a-secret has expired')
          return { token, expiresOnTimestamp: clock.now().getTime() + lifeMs }
        },
      }
    },
  }
  const transport = new Transport({ connections: 1, answerMs: 1_000 })
  return { made, login: new Login({ credential, transport, clock }) }
}

const tokenOf = async (login: Login, more: object = {}) => (await login.getToken(scope, more)).token

describe('tokens', () => {
  test('are fetched once for many callers', async () => {
    const clock = new SetClock()
    const { made, login } = counted(3_600_000, clock)
    expect(new Set(await Promise.all(Array.from({ length: 20 }, () => tokenOf(login))))).toEqual(new Set(['token-1']))
    expect(made.calls).toBe(1)
  })

  test('are told as ended, so that nobody else keeps them', async () => {
    const { login } = counted(3_600_000, new SetClock())
    expect((await login.getToken(scope)).expiresOnTimestamp).toBe(0)
  })

  test.each([
    [3_600_000, 3_309_000, 3_311_000],
    [300_000, 199_000, 201_000],
  ])('of %d ms are replaced between %d and %d ms, while the old one still serves', async (lifeMs, early, late) => {
    const clock = new SetClock()
    const { made, login } = counted(lifeMs, clock)
    expect(await tokenOf(login)).toBe('token-1')
    clock.advance(early)
    expect(await tokenOf(login)).toBe('token-1')
    expect(made.calls).toBe(1)
    clock.advance(late - early)
    // nobody waits for the new one
    expect(await Promise.all([tokenOf(login), tokenOf(login)])).toEqual(['token-1', 'token-1'])
    await expect.poll(() => tokenOf(login)).toBe('token-2')
    expect(made.calls).toBe(2)
  })

  test('that cannot be replaced serve to their end, and are asked for again', async () => {
    const clock = new SetClock()
    const { made, login } = counted(300_000, clock)
    await tokenOf(login)
    made.fails = true
    clock.advance(250_000)
    expect(await tokenOf(login)).toBe('token-1')
    await expect.poll(() => made.calls).toBe(2)
    clock.advance(60_000)
    await expect(tokenOf(login)).rejects.toMatchObject({ code: 'unauthenticated' })
    made.fails = false
    clock.advance(60_000)
    expect(await tokenOf(login)).toBe('token-4')
  })

  test('one caller who stops ends nobody else’s login', async () => {
    const { made, login } = counted(3_600_000, new SetClock())
    const gate = Promise.withResolvers<void>()
    made.gate = gate.promise
    const leaving = new AbortController()
    const left = tokenOf(login, { abortSignal: leaving.signal })
    const kept = tokenOf(login)
    leaving.abort(new Error('I leave'))
    await expect(left).rejects.toThrow('I leave')
    gate.resolve()
    expect(await kept).toBe('token-1')
  })

  test('of another tenant or with other claims are others', async () => {
    const { made, login } = counted(3_600_000, new SetClock())
    const all = await Promise.all([tokenOf(login), tokenOf(login, { tenantId: 'other' }), tokenOf(login, { claims: 'more' })])
    expect([new Set(all).size, made.calls]).toEqual([3, 3])
  })

  test('that the vault refused are replaced by another login, not more often than every ten seconds', async () => {
    const clock = new SetClock()
    const { made, login } = counted(3_600_000, clock)
    const first = await tokenOf(login)
    expect(login.replaces(first)).toBe(true)
    expect([await tokenOf(login), made.instances]).toEqual(['token-2', 2])
    // somebody who still has the first one gets the second
    expect([login.replaces(first), await tokenOf(login)]).toEqual([true, 'token-2'])
    expect(login.replaces('token-2')).toBe(false)
    clock.advance(10_000)
    expect([login.replaces('token-2'), await tokenOf(login)]).toEqual([true, 'token-3'])
  })

  test('a refusal is shared for a while, longer each time, and says no secret', async () => {
    const clock = new SetClock()
    const { made, login } = counted(3_600_000, clock)
    made.fails = true
    for (const [wait, calls] of [
      [0, 1],
      [999, 1],
      [1, 2],
      [1_999, 2],
      [1, 3],
    ] as const) {
      clock.advance(wait)
      const error = await tokenOf(login).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'unauthenticated', message: expect.stringContaining('AADSTS7000222') })
      expect(String(error)).not.toContain('a-secret')
      expect(made.calls).toBe(calls)
    }
  })
})
