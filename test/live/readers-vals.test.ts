import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { options as awsOptions, open as openAws } from '@keyturn/adapter-aws'
import { options as azureOptions, open as openAzure } from '@keyturn/adapter-azure'
import { options as kubernetesOptions, open as openKubernetes } from '@keyturn/adapter-kubernetes'
import { testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StoreAdapter, type StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { givenAzure } from '../servers/azure-given.ts'
import { findKubernetes, startKubernetes } from '../servers/kubernetes.ts'
import { findMoto, motoName, startMoto } from '../servers/moto.ts'
import { findVals } from './readers/vals.ts'
import { tally, tell } from './tell.ts'

/** What Keyturn writes into the stores of the clouds, `vals` reads. */
const vals = await findVals()
const context = testContext('vals')
const text = 'one\r\ntwo\n \u{1f511} \u00e9 \u2028 <&> "\\ '

/** A store with somebody else's server behind it, and how vals reaches the same. */
interface Shelf {
  readonly title: string
  readonly adapter: StoreAdapter
  readonly env: Readonly<Record<string, string>>
  readonly holds: 'text' | 'fields'
  path(name: string): StorePath
  /** The reference to a secret, or to a field of it. */
  reference(name: string, field?: string): string
  stop(): Promise<void>
}

const shelves: Readonly<Record<string, () => Promise<Shelf | { readonly absent: string }>>> = {
  aws: openMoto,
  kubernetes: openCluster,
  azure: openVault,
  gcp: async () => ({ absent: 'vals takes no other endpoint than Google’s for Secret Manager' }),
}

describe.each(Object.entries(shelves))('vals reads what Keyturn wrote: %s', (kind, start) => {
  const counted = tally()
  let shelf: Shelf | undefined
  let store: Store
  let absent: string | undefined
  let prepared = false

  beforeAll(async () => {
    const found = 'absent' in vals ? vals : await start()
    if ('absent' in found) absent = found.absent
    else {
      shelf = found
      store = new Store(found.adapter, { name: kind, clock: wallClock, timeoutMs: 30_000 })
    }
    prepared = true
  })
  afterAll(async () => {
    await shelf?.adapter.close()
    await shelf?.stop()
    if (!prepared) counted.failed += 1
    const server = shelf === undefined ? vals.title : `${vals.title} (${shelf.title})`
    await tell({ adapter: kind, server, ...counted, ...(absent === undefined ? {} : { absent }) })
  })

  const evaluated = async (references: Readonly<Record<string, string>>, env: Readonly<Record<string, string>>) =>
    'absent' in vals ? expect.unreachable('it is not here') : vals.evaluate(references, env)
  const intent = () => ({ idempotencyKey: crypto.randomUUID() })

  test('to the last character, and a second version after the first', async ({ skip }) => {
    if (shelf === undefined) return skip(absent)
    const { env, holds } = shelf
    for (const value of [text, 'changed']) {
      const whole = holds === 'text' ? SecretValue.text(value) : SecretValue.fields({ text: value })
      await store.write(shelf.path('sample'), whole, intent())
      const reference = shelf.reference('sample', holds === 'text' ? undefined : 'text')
      expect(await evaluated({ read: reference }, env)).toEqual({ read: value })
    }
  })

  test('field by field', async ({ skip }) => {
    if (shelf === undefined) return skip(absent)
    const { env, holds } = shelf
    // vals reads JSON as YAML 1.1, to which U+2028 is a line end
    const fields = { username: 'app', password: text.replace('\u2028', '') }
    const whole = holds === 'text' ? SecretValue.text(JSON.stringify(fields)) : SecretValue.fields(fields)
    await store.write(shelf.path('fields'), whole, intent())
    const references = Object.keys(fields).map(name => [name, shelf?.reference('fields', name) ?? ''])
    expect(await evaluated(Object.fromEntries(references), env)).toEqual(fields)
  })

  test('and nothing where Keyturn wrote nothing', async ({ skip }) => {
    if (shelf === undefined) return skip(absent)
    expect(await evaluated({ read: shelf.reference('never', 'text') }, shelf.env)).toBeUndefined()
  })
})

async function openMoto(): Promise<Shelf | { readonly absent: string }> {
  const binary = await findMoto()
  if (binary === undefined) return { absent: 'moto is not in the cache folder of servers' }
  const server = await startMoto(binary)
  const auth = { method: 'static', accessKeyId: 'AKIALIVETESTS0000000', secretAccessKey: 'live-tests' }
  const section = { region: 'us-east-1', endpoint: server.url, auth }
  return {
    title: motoName,
    adapter: await openAws(awsOptions.parse(section), context, { env: {} }),
    env: {
      AWS_ENDPOINT_URL: server.url,
      AWS_ACCESS_KEY_ID: auth.accessKeyId,
      AWS_SECRET_ACCESS_KEY: auth.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    holds: 'text',
    path: name => `vals/${name}` as StorePath,
    reference: (name, field) => `ref+awssecrets://vals/${name}?region=us-east-1${field === undefined ? '' : `#/${field}`}`,
    stop: () => server.stop(),
  }
}

async function openCluster(): Promise<Shelf | { readonly absent: string }> {
  const binaries = await findKubernetes()
  if (binaries === undefined)
    return { absent: 'no `etcd` and `kube-apiserver` in KUBEBUILDER_ASSETS, in the cache folder of servers or on PATH' }
  const cluster = await startKubernetes(binaries)
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-vals-'))
  const kubeconfig = join(folder, 'config')
  const certificate = Buffer.from(cluster.ca).toString('base64')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: cluster.url, 'certificate-authority-data': certificate } }],
    users: [{ name: 'u', user: { token: cluster.adminToken } }],
    contexts: [{ name: 'live', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'live',
  }
  // JSON is YAML
  await writeFile(kubeconfig, JSON.stringify(config))
  await cluster.must('POST', '/api/v1/namespaces', { metadata: { name: 'vals' } })
  const auth = { method: 'token', token: cluster.adminToken }
  const section = { address: cluster.url, ca: cluster.ca, auth }
  return {
    title: `kubernetes ${cluster.version}`,
    adapter: await openKubernetes(kubernetesOptions.parse(section), context, { env: {} }),
    env: {},
    holds: 'fields',
    path: name => `vals/${name}` as StorePath,
    reference: (name, field) => `ref+k8s://v1/Secret/vals/${name}/${field ?? ''}?kubeConfigPath=${kubeconfig}&kubeContext=live`,
    async stop() {
      await cluster.stop()
      await rm(folder, { recursive: true })
    },
  }
}

/** A real vault alone: vals wants a challenge that names Azure, and takes no authority of its own for a host that is none of Azure's. */
async function openVault(): Promise<Shelf | { readonly absent: string }> {
  const given = givenAzure(process.env)
  if ('absent' in given) return given
  if (!new URL(given.vault).host.endsWith('.vault.azure.net'))
    return { absent: 'vals reads a vault of Azure alone: it wants its challenge' }
  const { vault, tenant, clientId, clientSecret } = given
  const run = crypto.randomUUID().slice(0, 8)
  const made: StorePath[] = []
  const path = (name: string) => `vals-${run}-${name}` as StorePath
  const auth = { method: 'client-secret', tenantId: tenant, clientId, clientSecret }
  const adapter = await openAzure(azureOptions.parse({ vault, auth }), context, { env: {} })
  return {
    title: given.name,
    adapter,
    env: { AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: clientId, AZURE_CLIENT_SECRET: clientSecret },
    holds: 'text',
    path(name) {
      made.push(path(name))
      return path(name)
    },
    reference: (name, field) => `ref+azurekeyvault://${new URL(vault).host}/${path(name)}${field === undefined ? '' : `#/${field}`}`,
    async stop() {
      const rest = await openAzure(azureOptions.parse({ vault, auth }), context, { env: {} })
      const signal = AbortSignal.timeout(60_000)
      for (const each of new Set(made)) await rest.delete?.(each, { idempotencyKey: crypto.randomUUID(), signal })
      await rest.close()
    },
  }
}
