import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { freePort } from './free-port.ts'
import { pathFolders, programIn, runnable } from './programs.ts'
import { ServerProcess } from './server-process.ts'

const startMs = 30_000
const rootToken = 'root-token-for-tests'

/** A Vault-compatible server in dev mode: data in memory, unsealed, KV v2 at `secret/`, on a free port of the loopback. */
export interface OpenBao {
  readonly url: string
  readonly rootToken: string
  /** As the server tells it: `2.6.2`. */
  readonly version: string
  /** One request as root, for setting things up; answers the JSON, undefined for 204. Fails on any other status than 2xx. `namespace`: where; left out: in the root. */
  api(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object, namespace?: string): Promise<unknown>
  stop(): Promise<void>
}

/** The binary: `KEYTURN_TEST_BAO`, else `bao` or `vault` on PATH; undefined when there is none. */
export async function findOpenBao(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  if (env.KEYTURN_TEST_BAO !== undefined) return runnable(env.KEYTURN_TEST_BAO)
  const folders = pathFolders(env)
  return (await programIn(folders, 'bao')) ?? programIn(folders, 'vault')
}

/** Starts the binary and waits until it answers. With a folder it speaks TLS, and leaves its authority there as `vault-ca.pem`. Our environment is not used. */
export async function startOpenBao(binary: string, tlsFolder?: string): Promise<OpenBao> {
  const address = `127.0.0.1:${await freePort()}`
  const tls = tlsFolder === undefined ? ['-dev'] : ['-dev-tls', `-dev-tls-cert-dir=${tlsFolder}`]
  const flags = [...tls, `-dev-root-token-id=${rootToken}`, `-dev-listen-address=${address}`, '-dev-no-store-token']
  const server = new ServerProcess(binary, ['server', ...flags])
  const url = `${tlsFolder === undefined ? 'http' : 'https'}://${address}`
  // the server that is asked is the one just started, and only on the loopback
  const call: OpenBao['api'] = (method, path, body, namespace) => send(new URL(`/v1/${path}`, url), method, body, namespace)
  const version = await server.answer(startMs, async () => {
    const health = await call('GET', 'sys/health')
    return typeof health === 'object' && health !== null && 'version' in health ? String(health.version) : undefined
  })
  return { url, rootToken, version, api: call, stop: () => server.stop() }
}

async function send(url: URL, method: string, body: object | undefined, namespace: string | undefined): Promise<unknown> {
  const open = url.protocol === 'https:' ? httpsRequest : httpRequest
  const headers = {
    'x-vault-token': rootToken,
    'content-type': 'application/json',
    ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
  }
  const request = open(url, { method, headers, rejectUnauthorized: false, agent: false })
  request.end(body === undefined ? undefined : JSON.stringify(body))
  // the event's one argument is the response
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const text = (await response.toArray()).join('')
  if ((response.statusCode ?? 500) >= 300) throw new Error(`${method} ${url.pathname}: ${response.statusCode} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}
