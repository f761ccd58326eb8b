import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ran, ran } from '../../packages/cli/test/fake-terminal.ts'
import { GcpSecretManagerFake } from '../fakes/gcp-secret-manager.ts'
import { KubernetesFake } from '../fakes/kubernetes.ts'
import { VaultFake } from '../fakes/vault.ts'
import { Place } from './harness.ts'

let vault: VaultFake
let cluster: KubernetesFake
let gcp: GcpSecretManagerFake
let place: Place
beforeAll(async () => {
  vault = await VaultFake.start()
  cluster = await KubernetesFake.start()
  gcp = await GcpSecretManagerFake.start()
  place = new Place()
})
afterAll(async () => {
  for (const fake of [vault, cluster, gcp]) await fake?.close()
  place?.remove()
  expect([vault.broken, cluster.broken, gcp.broken].flat()).toEqual([])
})

/** What is wrong, with what to do about it, of whoever may only read, when these rows are all that the config says of the secrets. */
async function complaints(rows: string): Promise<readonly string[][]> {
  place.write('ca.pem', cluster.ca)
  place.write(
    'keyturn.yaml',
    `vault: { address: "${vault.url}", auth: { method: token, token: "\${VAULT_LOGIN}" }, secrets: [{ path: secret/data/app, key: password, name: in/vault }] }
kubernetes: { address: "${cluster.url}", ca: ca.pem, auth: { method: token, token: "\${CLUSTER_LOGIN}" }, secrets: [{ path: shop/app, key: password, name: in/kubernetes }] }
gcp: { project: shop, endpoint: "${gcp.endpoint}", secrets: [{ path: app, name: in/gcp }] }
secrets: { ${['in/vault', 'in/kubernetes', 'in/gcp'].map(name => `${name}: ${rows}`).join(', ')} }
`,
  )
  const env = {
    VAULT_LOGIN: vault.auth.grant({ rules: [{ path: 'secret/*', capabilities: ['read'] }] }),
    CLUSTER_LOGIN: cluster.access.token({ rules: [{ verbs: ['get'], namespace: 'shop', names: ['app'] }] }),
  }
  const checked: Ran = await ran(['check', '--online', '--json'], { cwd: place.folder, env })
  const { findings } = JSON.parse(checked.out) as { findings: { ok: boolean; name: string; what: string; hint: string }[] }
  const wrong = findings.filter(({ ok }) => !ok)
  expect(checked.code).toBe(wrong.length === 0 ? 0 : 1)
  return wrong.map(({ name, what, hint }) => [name, what, hint])
}

test('who may only read is enough for a secret that is read, and told what is missing for one that is rotated', async () => {
  vault.mount('secret', 2).put('app', { password: 'canary' })
  cluster.secrets.namespaces.add('shop')
  cluster.secrets.put('shop', 'app', { password: 'canary' })
  gcp.secrets('projects/shop').put('app', 'canary')
  gcp.anonymous = { may: permission => !/\.(add|create|update|delete|destroy|disable|enable)$/.test(permission) }
  expect(await complaints('{ type: api-key }')).toEqual([])
  expect(await complaints('{ type: jwt, strategy: generated, every: 30d }')).toEqual([
    ['denied', 'right to read secret/data/app', 'give its policy: path "secret/data/app" { capabilities = ["create", "read", "update"] }'],
    ['denied', 'right to change shop/app', 'bind its account a Role in shop: resources: [secrets], verbs: [create, update, delete]'],
    ['denied', 'rights to app', 'give it roles/secretmanager.secretVersionManager too'],
  ])
})
