import { join } from 'node:path'
import { builtVersion } from './built-version.ts'
import { freePort } from './free-port.ts'
import { pathFolders, programIn, runnable, serversFolder } from './programs.ts'
import { ServerProcess } from './server-process.ts'

const startMs = 10_000
const host = '127.0.0.1'

/** What spoils a connection. `downstream` is what the client reads. https://github.com/Shopify/toxiproxy#toxics */
export type Toxic =
  | { readonly type: 'latency'; readonly stream: Stream; readonly attributes: { readonly latency: number } }
  | { readonly type: 'bandwidth'; readonly stream: Stream; readonly attributes: { readonly rate: number } }
  | { readonly type: 'timeout'; readonly stream: Stream; readonly attributes: { readonly timeout: number } }
  | { readonly type: 'reset_peer'; readonly stream: Stream; readonly attributes: { readonly timeout: number } }
  | { readonly type: 'limit_data'; readonly stream: Stream; readonly attributes: { readonly bytes: number } }
  | {
      readonly type: 'slicer'
      readonly stream: Stream
      readonly attributes: { readonly average_size: number; readonly size_variation: number; readonly delay: number }
    }

export type Stream = 'upstream' | 'downstream'

/** One port of the loopback that passes bytes on to another. */
export interface Passage {
  readonly port: number
  /** Leads elsewhere from now on; connections that are open end. */
  lead(port: number): Promise<void>
  /** Holds for open connections too. */
  add(toxic: Toxic): Promise<void>
  /** Ends open connections and refuses new ones. */
  shut(): Promise<void>
  /** Takes all of this back. */
  heal(): Promise<void>
}

/** A toxiproxy of our own: it listens on the loopback alone. */
export interface Toxiproxy {
  readonly version: string
  passage(port: number): Promise<Passage>
  stop(): Promise<void>
}

/** The binary: `KEYTURN_TEST_TOXIPROXY`, else on PATH or in the cache folder of servers; undefined when there is none. */
export async function findToxiproxy(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  if (env.KEYTURN_TEST_TOXIPROXY !== undefined) return runnable(env.KEYTURN_TEST_TOXIPROXY)
  return programIn([...pathFolders(env), join(serversFolder(env), 'tools', 'bin')], 'toxiproxy-server')
}

/** Starts the binary and waits until it answers. */
export async function startToxiproxy(binary: string): Promise<Toxiproxy> {
  const port = await freePort()
  const server = new ServerProcess(binary, ['-host', host, '-port', String(port)])
  const api = (method: string, path: string, body?: object) => call(`http://${host}:${port}/${path}`, method, body)
  // what its API gives
  const answer = await server.answer(startMs, () => api('GET', 'version') as Promise<{ version: string }>)
  return {
    version: /^\d/.test(answer.version) ? answer.version : await builtVersion(binary, 'github.com/Shopify/toxiproxy/v2'),
    passage: to => passage(api, to),
    stop: () => server.stop(),
  }
}

async function passage(api: (method: string, path: string, body?: object) => Promise<unknown>, to: number): Promise<Passage> {
  const name = crypto.randomUUID()
  const made = await api('POST', 'proxies', { name, listen: `${host}:0`, upstream: `${host}:${to}` })
  // what its API gives
  const port = Number((made as { listen: string }).listen.split(':').at(-1))
  let toxics: string[] = []
  const set = (change: object) => api('POST', `proxies/${name}`, change)
  return {
    port,
    async lead(other) {
      await set({ upstream: `${host}:${other}` })
    },
    async add(toxic) {
      const id = `${toxic.type}-${toxic.stream}`
      await api('POST', `proxies/${name}/toxics`, { name: id, ...toxic })
      toxics.push(id)
    },
    async shut() {
      await set({ enabled: false })
    },
    async heal() {
      for (const id of toxics) await api('DELETE', `proxies/${name}/toxics/${id}`)
      toxics = []
      await set({ enabled: true, upstream: `${host}:${to}` })
    },
  }
}

async function call(url: string, method: string, body: object | undefined): Promise<unknown> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`toxiproxy: ${method} ${url}: ${answer.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}
