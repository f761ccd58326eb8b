import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { delimiter, join } from 'node:path'
import { freePort } from './free-port.ts'

const startMs = 30_000
const stopMs = 10_000
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
  const named = env.KEYTURN_TEST_BAO
  const folders = (env.PATH ?? '').split(delimiter).filter(folder => folder !== '')
  const candidates = named === undefined ? ['bao', 'vault'].flatMap(name => folders.map(folder => join(folder, name))) : [named]
  for (const file of candidates) {
    const runs = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (runs) return file
  }
  return undefined
}

/** Starts the binary and waits until it answers. With a folder it speaks TLS, and leaves its authority there as `vault-ca.pem`. Our environment is not used. */
export async function startOpenBao(binary: string, tlsFolder?: string): Promise<OpenBao> {
  const address = `127.0.0.1:${await freePort()}`
  const tls = tlsFolder === undefined ? ['-dev'] : ['-dev-tls', `-dev-tls-cert-dir=${tlsFolder}`]
  const child = spawn(
    binary,
    ['server', ...tls, `-dev-root-token-id=${rootToken}`, `-dev-listen-address=${address}`, '-dev-no-store-token'],
    { env: { PATH: process.env.PATH, HOME: '/nonexistent' }, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let complaints = ''
  child.stderr.on('data', (text: Buffer) => {
    complaints = (complaints + text.toString()).slice(-2_000)
  })
  const url = `${tlsFolder === undefined ? 'http' : 'https'}://${address}`
  // the server that is asked is the one just started, and only on the loopback
  const call: OpenBao['api'] = (method, path, body, namespace) => send(new URL(`/v1/${path}`, url), method, body, namespace)
  const version = await answers(call, child, () => complaints)
  return { url, rootToken, version, api: call, stop: () => stop(child) }
}

async function answers(call: OpenBao['api'], child: ChildProcess, complaints: () => string): Promise<string> {
  const until = Date.now() + startMs
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}: ${complaints()}`)
    const health = await call('GET', 'sys/health').catch(() => undefined)
    if (typeof health === 'object' && health !== null && 'version' in health) return String(health.version)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  await stop(child)
  throw new Error(`the server did not answer within ${startMs} ms: ${complaints()}`)
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

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), stopMs)
  await ended
  clearTimeout(kill)
}
