import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { SecretManagerServiceClient } from '@google-cloud/secret-manager'
import { credentials } from '@grpc/grpc-js'
import { BrokerSecrets, KeyturnClient } from '@keyturn/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Place, until } from '../e2e/harness.ts'
import { Served } from '../e2e/served.ts'
import { findKubernetes, type Kubernetes, startKubernetes } from '../servers/kubernetes.ts'
import { tell } from './tell.ts'

/** The deployments of `configs`, started as an operator starts them, on servers that nobody here wrote. What they do on our own fakes is in `test/e2e`. */
const root = join(import.meta.dirname, '../..')
const binaries = await findKubernetes()
const { KEYTURN_TEST_GCP: google, KEYTURN_TEST_GCP_SERVER: googleName = 'an emulator' } = process.env
const isEmulator = /^(?:127\.|localhost:|\[::1\])/.test(google ?? '')

let place: Place
let broker: Served | undefined
beforeEach(() => {
  place = new Place()
})
afterEach(async () => {
  await broker?.stop()
  broker = undefined
  place.remove()
})

/** A service of the deployment, with the role that its pods have. */
async function serviceOf(running: Served, role: string): Promise<BrokerSecrets> {
  return new BrokerSecrets(new KeyturnClient({ address: running.address, tokenFile: await running.tokenFile(role) }))
}

const config = (name: string) => cpSync(join(root, 'configs', name), join(place.folder, name), { recursive: true })

describe.runIf(binaries === undefined)('configs/llm-orchestrator without a cluster', () => {
  test('the row says absent', async () => {
    const absent = 'no kube-apiserver and etcd in KUBEBUILDER_ASSETS, the cache folder or on PATH'
    await tell({ adapter: 'configs/llm-orchestrator', server: 'none', passed: 0, failed: 0, absent })
  })
})

describe.skipIf(binaries === undefined)('configs/llm-orchestrator on a real API server', () => {
  const namespace = 'llm-orchestrator'
  const secrets = `/api/v1/namespaces/${namespace}/secrets`
  const counted = { passed: 0, failed: 0 }
  let cluster: Kubernetes
  beforeAll(async () => {
    if (binaries === undefined) throw new Error('not asked without a cluster')
    cluster = await startKubernetes(binaries)
  }, 120_000)
  afterEach(({ task }) => {
    counted[task.result?.state === 'pass' ? 'passed' : 'failed'] += 1
  })
  afterAll(async () => {
    await tell({ adapter: 'configs/llm-orchestrator', server: `kubernetes ${cluster.version}`, ...counted })
    await cluster.stop()
  })

  const has = async (name: string): Promise<Record<string, string>> => {
    const { status, body } = await cluster.api('GET', `${secrets}/${name}`)
    const data = status === 200 ? (body.data as Record<string, string>) : {} // of a Secret
    return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
  }

  test('makes, reads, writes and rotates under the standard names', async () => {
    await cluster.must('POST', '/api/v1/namespaces', { metadata: { name: namespace } })
    const made = (name: string, stringData: object) => cluster.must('POST', secrets, { metadata: { name }, stringData })
    await made('orchestrator-db-secret', { username: 'orchestrator', password: 'first-db' })
    await made('orchestrator-api-keys', { 'openai-api-key': 'first-openai', 'anthropic-api-key': 'first-anthropic' })
    config('llm-orchestrator')
    const KUBECONFIG = place.write('kubeconfig', JSON.stringify(kubeconfigOf(cluster)))
    broker = await Served.start(place, 'llm-orchestrator', { KUBECONFIG })
    await until('the first key', async () => ('secret' in (await has('orchestrator-jwt-secret')) ? true : undefined))

    const service = await serviceOf(broker, 'orchestrator')
    const before = await service.getSecret('orchestrator/jwt')
    expect(await has('orchestrator-jwt-secret')).toEqual({ secret: before })
    expect(await service.getSecret('orchestrator/db', { field: 'password' })).toBe('first-db')
    const written = await broker.ask('PUT', '/v1/secrets/orchestrator/openai-api-key', { body: { fields: { 'openai-api-key': 'second' } } })
    expect(written.status, written.text).toBe(200)
    expect(await has('orchestrator-api-keys')).toEqual({ 'openai-api-key': 'second', 'anthropic-api-key': 'first-anthropic' })

    const rotated = await broker.run(
      'node_modules/.bin/keyturn',
      ['rotate', 'orchestrator/jwt', '--wait'],
      await broker.tokenFile('oncall'),
    )
    expect(rotated.code, rotated.err).toBe(0)
    const after = await service.getSecret('orchestrator/jwt')
    expect(await has('orchestrator-jwt-secret')).toEqual({ secret: after })
    expect([after === before, await service.getSecret('orchestrator/jwt', { stage: 'previous' })]).toEqual([false, before])
  }, 60_000)
})

describe.runIf(google === undefined || !isEmulator)('configs/platform without an emulator', () => {
  test('the row says absent', async () => {
    const absent = google === undefined ? 'KEYTURN_TEST_GCP names no server' : 'its names are fixed, so it runs on an emulator alone'
    await tell({ adapter: 'configs/platform', server: 'none', passed: 0, failed: 0, absent })
  })
})

describe.skipIf(google === undefined || !isEmulator)('configs/platform on a server of Google’s protocol', () => {
  const project = `platform-${crypto.randomUUID().slice(0, 8)}`
  const names = ['database-password', 'encryption-key', 'jwt-secret', 'openai-api-key', 'session-secret']
  const counted = { passed: 0, failed: 0 }
  let client: SecretManagerServiceClient
  beforeAll(async () => {
    const [apiEndpoint = '', port] = (google ?? '').split(':')
    client = new SecretManagerServiceClient({ apiEndpoint, port: Number(port), sslCreds: credentials.createInsecure(), projectId: project })
    for (const secretId of names) {
      await client.createSecret({ parent: `projects/${project}`, secretId, secret: { replication: { automatic: {} } } })
      await client.addSecretVersion({
        parent: `projects/${project}/secrets/${secretId}`,
        payload: { data: Buffer.from(`first-${secretId}`) },
      })
    }
  })
  afterEach(({ task }) => {
    counted[task.result?.state === 'pass' ? 'passed' : 'failed'] += 1
  })
  afterAll(async () => {
    await tell({ adapter: 'configs/platform', server: googleName, ...counted })
    for (const secretId of names) await client.deleteSecret({ name: `projects/${project}/secrets/${secretId}` })
    await client.close()
  })

  const has = async (name: string) => {
    const [{ payload }] = await client.accessSecretVersion({ name: `projects/${project}/secrets/${name}/versions/latest` })
    return String(payload?.data)
  }

  test('reads, writes and rotates in production', async () => {
    config('platform')
    place.write('run/production.yaml', `include: [../platform/production.yaml]\ngcp: { endpoint: "${google}" }\n`)
    broker = await Served.start(place, 'run', {
      KEYTURN_ENV: 'production',
      GOOGLE_CLOUD_PROJECT: project,
      METADATA_SERVER_DETECTION: 'none',
    })
    const service = await serviceOf(broker, 'service')
    expect(await service.getSecret('database-password')).toBe('first-database-password')
    const written = await broker.ask('PUT', '/v1/secrets/openai-api-key', { body: { value: 'second' } })
    expect(written.status, written.text).toBe(200)
    expect(await has('openai-api-key')).toBe('second')
    const script = 'configs/platform/scripts/rotate-secrets.sh'
    await broker.run(script, ['symmetric', '--wait'], await broker.tokenFile('operator'))
    for (const name of ['jwt-secret', 'session-secret']) {
      const now = await service.getSecret(name)
      expect([now === `first-${name}`, now]).toEqual([false, await has(name)])
      expect(await service.getSecret(name, { stage: 'previous' })).toBe(`first-${name}`)
    }
    expect(await has('encryption-key')).toBe('first-encryption-key')
  }, 60_000)
})

function kubeconfigOf({ url, ca, adminToken }: Kubernetes): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'it',
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
    clusters: [{ name: 'it', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'it', user: { token: adminToken } }],
  }
}
