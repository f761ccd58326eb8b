import { afterAll, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import type { KvTwo } from '../fakes/vault-kv.ts'
import { Place, type Running, start, until } from './harness.ts'

let vault: VaultFake
let place: Place
let broker: Running

beforeAll(async () => {
  vault = await VaultFake.start()
  const kv = vault.mount('secret', 2)
  for (const name of ['turned', 'leaked', 'elsewhere']) kv.put(name, { password: `old-${name}` })
  place = new Place()
  const env = ['TURNED', 'LEAKED'].map(name => `${name}='{"password":"old-${name.toLowerCase()}"}'\n`).join('')
  place.write('app.env', env)
  const row = 'type: service-token, every: 1d, grace: 1h, cache: 0s, renew: [password]'
  place.write(
    'keyturn.yaml',
    `env: { kind: dotenv, file: app.env, secrets: [{ path: TURNED, name: turned, format: json }, { path: LEAKED, name: leaked, format: json }] }
vault: { address: "${vault.url}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [{ path: secret/data/turned }, { path: secret/data/leaked }, { path: secret/data/elsewhere }] }
database: { secrets: [{ path: turned }, { path: leaked }, { path: elsewhere }, { path: nowhere }] }
secrets:
  turned: { from: [env, vault, database], ${row} }
  leaked: { from: [database, env, vault], ${row} }
  elsewhere: { from: [database, vault], ${row} }
`,
  )
  broker = await start(place, { THE_TOKEN: vault.root })
})
afterAll(async () => {
  await broker?.stop()
  await vault?.close()
  place?.remove()
})

const read = (name: string) => broker.ask('GET', `/v1/secrets/${name}`)
const inVault = (name: string) => {
  const secret = (vault.engine('secret') as KvTwo).secrets.get(name)
  return secret?.versions.get(secret.current)?.data?.password
}
const inFile = (name: string) =>
  JSON.parse(new RegExp(`^${name.toUpperCase()}='(.*)'$`, 'm').exec(place.read('app.env'))?.[1] ?? '{}').password
const done = (op: string) =>
  until('the operation', async () => {
    const { body } = await broker.ask('GET', `/admin/v1/secrets/rotation-status/${op}`)
    return body.state === 'done' ? body.items[0] : undefined
  })

test('a rotation that is rolled back is rolled back in every store', async () => {
  await read('turned')
  const rotated = await done((await broker.ask('POST', '/admin/v1/secrets/rotate/turned')).body.op_id)
  expect(rotated.delivery).toBe('complete')
  const made = (await read('turned')).body.fields.password
  expect([inFile('turned'), inVault('turned')]).toEqual([made, made])
  const turned = await done((await broker.ask('POST', '/admin/v1/secrets/rollback/turned')).body.op_id)
  await until('every store', () => (inVault('turned') === 'old-turned' ? true : undefined))
  expect([turned.rotation, inFile('turned')]).toEqual(['rolled-back', 'old-turned'])
  expect((await read('turned')).body).toMatchObject({ fields: { password: 'old-turned' }, source: 'env' })
})

test('a first version is made where no store has one, and not over what another store has', async () => {
  // the first store of both is empty
  expect((await read('elsewhere')).status).toBe(404)
  expect(inVault('elsewhere')).toBe('old-elsewhere')
  expect(place.logged.join('')).toContain('elsewhere is in vault and not in database')
  await broker.ask('PUT', '/v1/secrets/elsewhere', { body: { fields: { password: 'ours' } } })
  await until('the other store', () => (inVault('elsewhere') === 'ours' ? true : undefined))
})

test('a leaked value is replaced in every store, and ends at once', async () => {
  await broker.ask('PUT', '/v1/secrets/leaked', { body: { fields: { password: 'leaked' } } })
  await until('the copies', () => (inVault('leaked') === 'leaked' && inFile('leaked') === 'leaked' ? true : undefined))
  const { body } = await broker.ask('POST', '/admin/v1/secrets/rotate/leaked', { body: { reason: 'it leaked', mode: 'compromise' } })
  await done(body.op_id)
  const made = (await read('leaked')).body
  expect([inFile('leaked'), inVault('leaked')]).toEqual([made.fields.password, made.fields.password])
  expect(made.fields.password).not.toBe('leaked')
  await until('the end of the old one', async () =>
    (await broker.ask('GET', '/v1/secrets/leaked?stage=previous')).status === 404 ? true : undefined,
  )
})
