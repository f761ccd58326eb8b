import { failure } from '@keyturn/conformance'
import type { StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AzureVault } from '../../../test/fakes/azure-vault.ts'
import { OwnVault } from './vault.fixture.ts'

const at = (path: string) => path as StorePath

let own: OwnVault
let fake: AzureVault
beforeEach(async () => {
  own = await OwnVault.start()
  fake = own.fake
})
afterEach(() => own.close())
const storeOf = () => own.store()

describe('lists', () => {
  const fill = (count: number) => {
    for (let index = 0; index < count; index += 1) fake.secrets.put(`n${index}`, 'v')
  }
  const pages = () => fake.asked.filter(line => line === 'GET /secrets').length

  test('ask for a page when it is needed, and never for a value', async () => {
    const store = await storeOf()
    fill(80)
    for await (const path of store.list('')) {
      expect(path).toBe('n0')
      break
    }
    expect(pages()).toBe(1)
    expect((await Array.fromAsync(store.list(''))).length).toBe(80)
    expect(fake.asked.every(line => line === 'GET /secrets')).toBe(true)
  })

  test('fail with their third page', async () => {
    const store = await storeOf()
    fill(80)
    fake.server.turn(/skiptoken=50/, { do: 'say', status: 503, body: '{}' })
    const told: StorePath[] = []
    const listing = async () => {
      for await (const path of store.list('')) told.push(path)
    }
    expect([(await failure(listing())).code, told.length]).toEqual(['unavailable', 50])
  })

  test('fail with a later page whose token was refused, and are whole the next time', async () => {
    const store = await storeOf()
    fill(60)
    const told: StorePath[] = []
    const listing = async () => {
      for await (const path of store.list('')) {
        told.push(path)
        if (told.length === 25) fake.authority.revoke()
      }
    }
    expect((await failure(listing())).code).toBe('unauthenticated')
    expect((await Array.fromAsync(store.list(''))).length).toBe(60)
  })

  test('tell a name once that two pages hold', async () => {
    const store = await storeOf()
    fill(60)
    const told: StorePath[] = []
    for await (const path of store.list('')) {
      told.push(path)
      // what goes from an earlier page moves the later ones
      if (told.length === 25) fake.secrets.repeat = 3
    }
    expect([told.length, new Set(told).size]).toEqual([60, 60])
  })

  test('do not follow a link away from the vault', async () => {
    const store = await storeOf()
    fill(30)
    fake.linkOrigin = 'https://127.0.0.1:1'
    expect((await failure(Array.fromAsync(store.list('')))).code).toBe('corrupt')
  })

  test('end by the signal of their caller in a later page too', async () => {
    const store = await storeOf()
    fill(30)
    fake.server.turn(/skiptoken=25/, { do: 'hang' })
    const stop = new AbortController()
    const listing = async () => {
      for await (const path of store.list('', { signal: stop.signal })) if (path === 'n24') setTimeout(() => stop.abort(), 20)
    }
    expect((await failure(listing())).code).toBe('cancelled')
    await expect.poll(() => fake.server.busy).toBe(0)
  })
})

describe('an examination', () => {
  test('finds rights and the secret without reading its value', async () => {
    const store = await storeOf()
    const version = fake.secrets.put('x', 'one')
    expect((await store.examine(at('x'))).map(({ ok, what }) => [ok, what])).toEqual([
      [true, 'login'],
      [true, 'right to read x'],
      [true, 'path x'],
    ])
    expect(fake.asked.filter(line => line === 'GET /secrets/x/' || line === `GET /secrets/x/${version}`)).toEqual([])
  })

  test('reads the value where the login may only read', async () => {
    const store = await storeOf()
    fake.secrets.put('x', 'one')
    fake.rights.set('app', ['get'])
    expect((await store.examine(at('x'))).every(({ ok }) => ok)).toBe(true)
    expect((await store.examine(at('none'))).at(-1)).toMatchObject({ ok: false, code: 'not_found' })
    expect((await store.examine(null)).every(({ ok }) => ok)).toBe(true)
  })

  test.each<[string, string, () => unknown]>([
    ['denied', 'permission_denied', () => fake.rights.set('app', ['list'])],
    ['absent', 'not_found', () => undefined],
    ['soft-deleted', 'not_found', () => fake.secrets.put('x', 'one') && fake.secrets.delete('x')],
    ['disabled', 'precondition_failed', () => fake.secrets.disable('x', fake.secrets.put('x', 'one'))],
  ])('tells what is %s', async (_, code, make) => {
    const store = await storeOf()
    make()
    expect((await store.examine(at('x'))).filter(({ ok }) => !ok)).toMatchObject([{ code, hint: expect.any(String) }])
  })

  test('tells a path that can be none', async () => {
    expect((await (await storeOf()).examine(at('a---b'))).at(-1)).toMatchObject({ ok: false, hint: 'write "a/b"' })
  })
})
