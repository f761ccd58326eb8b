import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testCertificates } from '../fakes/tls/certificates.ts'
import { freePort } from './free-port.ts'
import { pathFolders, programIn, serversFolder } from './programs.ts'
import { ServerProcess } from './server-process.ts'

const startMs = 90_000
const maxSockets = 16
/** Builds that were not told their version say their commit. */
const commits: Readonly<Record<string, string>> = { faecb196815e248d3ecfb03c680a4507229c2a56: '1.20.2' }
const adminToken = 'test-only-admin-token'

/** The programs of a cluster without nodes. */
export interface KubernetesBinaries {
  readonly etcd: string
  readonly apiServer: string
}

/** A Kubernetes API server with its etcd on free ports of the loopback, RBAC on, data in a temporary folder. There are no nodes and no controllers. */
export interface Kubernetes {
  readonly url: string
  /** PEM of the authority that signed its certificate; it takes client certificates of the same one. */
  readonly ca: string
  /** Of `system:masters`. */
  readonly adminToken: string
  /** As the server tells it: `1.20.2`. */
  readonly version: string
  /** One request past everything of ours, as the administrator unless another token is given. */
  api(method: string, path: string, body?: object | string, as?: string): Promise<KubernetesAnswer>
  /** As `api`, and fails on any other status than 2xx. */
  must(method: string, path: string, body?: object): Promise<Record<string, unknown>>
  /** Forgets every earlier moment, as the server does every few minutes. */
  compact(): Promise<void>
  stop(): Promise<void>
}

/** What came back, read as JSON where it is. */
export interface KubernetesAnswer {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** The programs: of `KUBEBUILDER_ASSETS`, else of the cache folder of servers, else on PATH; undefined when one of them is missing. */
export async function findKubernetes(env: NodeJS.ProcessEnv = process.env): Promise<KubernetesBinaries | undefined> {
  const installed = [join(serversFolder(env), 'kubernetes', 'bin'), ...pathFolders(env)]
  const folders = env.KUBEBUILDER_ASSETS === undefined ? installed : [env.KUBEBUILDER_ASSETS]
  const [etcd, apiServer] = await Promise.all([programIn(folders, 'etcd'), programIn(folders, 'kube-apiserver')])
  return etcd === undefined || apiServer === undefined ? undefined : { etcd, apiServer }
}

/** Starts etcd and the API server, and waits until it is ready. Our environment is not used. */
export async function startKubernetes(binaries: KubernetesBinaries): Promise<Kubernetes> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-kubernetes-'))
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()]
  const etcd = new ServerProcess(binaries.etcd, etcdFlags(folder, client, peer))
  let server: ServerProcess | undefined
  const stop = async () => {
    for (const each of [server, etcd]) await each?.stop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await writeKeys(folder)
    await etcd.answer(startMs, () => isWell(`http://127.0.0.1:${client}/health`))
    server = new ServerProcess(binaries.apiServer, serverFlags(folder, client, port))
    const url = `https://127.0.0.1:${port}`
    const agent = new Agent({ keepAlive: true, maxSockets, ca: testCertificates.ca })
    const api: Kubernetes['api'] = (method, path, body, as = adminToken) => send(agent, new URL(path, url), method, body, as)
    await server.answer(startMs, async () => (await api('GET', '/readyz')).status === 200 || undefined)
    const must: Kubernetes['must'] = async (method, path, body) => {
      const answer = await api(method, path, body)
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
      return answer.body
    }
    const { gitVersion, gitCommit } = await must('GET', '/version')
    const version = commits[String(gitCommit)] ?? String(gitVersion).replace(/^v/, '')
    return {
      url,
      ca: testCertificates.ca,
      adminToken,
      version,
      api,
      must,
      compact: () => compact(client),
      stop: () => {
        agent.destroy()
        return stop()
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function etcdFlags(folder: string, client: number, peer: number): readonly string[] {
  const [ours, theirs] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`]
  return [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${ours}`,
    `--advertise-client-urls=${ours}`,
    `--listen-peer-urls=${theirs}`,
    `--initial-advertise-peer-urls=${theirs}`,
    `--initial-cluster=default=${theirs}`,
  ]
}

function serverFlags(folder: string, etcd: number, port: number): readonly string[] {
  const at = (name: string) => join(folder, name)
  const issuer = `https://127.0.0.1:${port}`
  return [
    `--etcd-servers=http://127.0.0.1:${etcd}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${at('certs')}`,
    `--tls-cert-file=${at('server.pem')}`,
    `--tls-private-key-file=${at('server.key')}`,
    `--client-ca-file=${at('ca.pem')}`,
    '--endpoint-reconciler-type=none',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--authorization-mode=RBAC',
    `--token-auth-file=${at('tokens.csv')}`,
    `--service-account-issuer=${issuer}`,
    `--service-account-key-file=${at('accounts.pub')}`,
    `--service-account-signing-key-file=${at('accounts.key')}`,
    `--api-audiences=${issuer}`,
    // no controller makes accounts here, and there are no pods
    '--disable-admission-plugins=ServiceAccount',
  ]
}

async function writeKeys(folder: string): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const files: Readonly<Record<string, string | Buffer>> = {
    'accounts.key': privateKey.export({ type: 'pkcs1', format: 'pem' }),
    'accounts.pub': publicKey.export({ type: 'spki', format: 'pem' }),
    'server.pem': testCertificates.server.cert,
    'server.key': testCertificates.server.key,
    'ca.pem': testCertificates.ca,
    'tokens.csv': `${adminToken},admin,1,"system:masters"\n`,
  }
  await mkdir(join(folder, 'certs'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 })
}

async function isWell(url: string): Promise<true | undefined> {
  const request = httpRequest(url, { agent: false })
  request.end()
  // the event's one argument is the response
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode === 200 || undefined
}

async function send(agent: Agent, url: URL, method: string, body: object | string | undefined, token: string): Promise<KubernetesAnswer> {
  const text = typeof body === 'object' ? JSON.stringify(body) : (body ?? '')
  // with its length: Node frames the body of a DELETE in no other way
  const length = { 'content-length': String(Buffer.byteLength(text)) }
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...length }
  const request = httpsRequest(url, { method, headers, agent })
  request.end(text)
  // the event's one argument is the response
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const answer = Buffer.concat(await response.toArray()).toString()
  const isJson = /^application\/json/.test(response.headers['content-type'] ?? '')
  return { status: response.statusCode ?? 500, body: isJson ? (JSON.parse(answer) as Record<string, unknown>) : { text: answer } }
}

/** By etcd's own JSON API. https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/ */
async function compact(port: number): Promise<void> {
  const call = async (path: string, body: object) => {
    const answer = await fetch(`http://127.0.0.1:${port}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`etcd: ${path}: ${answer.status}`)
    // every answer of etcd has a header
    return (await answer.json()) as { header: { revision: string } }
  }
  const { header } = await call('kv/range', { key: 'AA==' })
  await call('kv/compaction', { revision: header.revision })
}
