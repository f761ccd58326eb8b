import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { examineBroker, examineStores, makeOfflineToken, readConfig } from '@keyturn/broker'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import { askAt, Place, start } from './harness.ts'

const place = new Place()
const data = join(place.folder, 'data')
let vault: VaultFake
let env: Record<string, string>
const config = () => readConfig({ config: join(place.folder, 'keyturn.yaml'), cwd: place.folder, env })

beforeAll(async () => {
  vault = await VaultFake.start()
  vault.mount('secret', 2).put('app/there', { password: 'marker' })
  const rules = [{ path: 'secret/data/app/there', capabilities: ['read'] }] as const
  env = { KEYTURN_DATA: data, KEYTURN_LISTEN: '127.0.0.1:0', THE_TOKEN: vault.auth.grant({ rules: [...rules] }) }
  place.write('app.env', 'ONE=1\n')
  place.write(
    'keyturn.yaml',
    `
dotenv: { file: app.env }
database: {}
vault:
  address: "${vault.url}"
  timeout: 2s
  auth: { method: token, token: "\${THE_TOKEN}" }
  secrets: [{ path: secret/data/app/there, key: password }, { path: secret/data/app/denied }]
`,
  )
})
afterAll(async () => {
  await vault?.close()
  place.remove()
})

describe('looking at the stores without a broker', () => {
  test('says what is well and what is not, and makes nothing', async () => {
    const found = await examineStores(await config(), { env })
    const of = (store: string, secret: string | null) => found.find(each => each.store === store && each.secret === secret)?.findings
    expect(of('vault', null)?.every(finding => finding.ok)).toBe(true)
    expect(of('vault', 'app/there')?.every(finding => finding.ok)).toBe(true)
    const denied = of('vault', 'app/denied')?.filter(finding => !finding.ok) ?? []
    expect(denied.length).toBeGreaterThan(0)
    for (const finding of denied) expect(finding.hint).toBeTruthy()
    expect(of('dotenv', 'ONE')?.every(finding => finding.ok)).toBe(true)
    expect(of('database', null)?.every(finding => finding.ok)).toBe(true)
    expect(JSON.stringify(found)).not.toContain('marker')
    expect(existsSync(data)).toBe(false)
  })

  test('looks at one store, or at one secret, and no more', async () => {
    const seen = vault.seen.length
    const dotenv = await examineStores(await config(), { env, store: 'dotenv' })
    expect(new Set(dotenv.map(each => each.store))).toEqual(new Set(['dotenv']))
    expect(vault.seen.length).toBe(seen)
    const one = await examineStores(await config(), { env, secret: 'app/there' })
    expect(one.map(each => [each.store, each.secret])).toEqual([
      ['vault', null],
      ['vault', 'app/there'],
    ])
  })

  test('a store that is away is one finding with its code', async () => {
    vault.turn(/./, { do: 'drop' })
    const found = await examineStores(await config(), { env, store: 'vault' })
    vault.turnBack()
    expect(found).toHaveLength(1)
    expect(found[0]?.findings.some(finding => !finding.ok && finding.code === 'unavailable')).toBe(true)
  })
})

describe('the broker’s own files', () => {
  test('a token is made beside a stopped broker, and refused beside a running one', async () => {
    const first = await start(place, env)
    await expect(makeOfflineToken(await config(), { role: 'admin', ttl: 60 }, env)).rejects.toMatchObject({ code: 'conflict' })
    await first.stop()
    const made = await makeOfflineToken(await config(), { role: 'admin', ttl: 60, name: 'rescue' }, env)
    expect(made).toMatchObject({ name: 'rescue', role: 'admin' })
    await expect(makeOfflineToken(await config(), { role: 'no-such', ttl: 60 }, env)).rejects.toMatchObject({ code: 'invalid_argument' })
    const second = await start(place, env)
    expect((await askAt(second.serving.address, 'GET', '/admin/v1/tokens', { token: made.token })).status).toBe(200)
    expect(second.audit().at(-1)).toMatchObject({ principal: 'token:rescue', outcome: 'allowed' })
    // the first token is made once: a second start leaves it as it is
    expect((await second.ask('GET', '/v1/secrets/ONE')).status).toBe(200)
    await second.stop()
  })

  test('keys that are away are named, and keep the broker from starting; put back, everything is there', async () => {
    renameSync(join(data, 'keys'), join(data, 'away'))
    const [finding] = await examineBroker(await config(), env)
    expect(finding).toMatchObject({ ok: false, name: 'KEK missing' })
    await expect(start(place, env)).rejects.toMatchObject({ code: 'precondition_failed' })
    expect(existsSync(join(data, 'keys'))).toBe(false)
    renameSync(join(data, 'away'), join(data, 'keys'))
    expect(await examineBroker(await config(), env)).toMatchObject([{ ok: true, what: 'keys' }])
    const again = await start(place, env)
    expect((await again.ask('GET', '/v1/secrets/ONE')).status).toBe(200)
    await again.stop()
  })
})
