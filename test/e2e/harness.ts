import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeLog, type RunningBroker, startBroker } from '@keyturn/broker'

/** A folder with a config and its files, gone at the end. */
export class Place {
  /** What was logged by brokers that ran here. */
  readonly logged: string[] = []
  readonly folder = mkdtempSync(join(tmpdir(), 'keyturn-e2e-'))

  write(name: string, text: string): string {
    const path = join(this.folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8')
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export interface Asked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: what a test expects of a body is said by the test
  readonly body: any
}

export interface AskOptions {
  readonly token?: string | null
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

/** One request over real HTTP. A body that is text goes as it is. */
export async function askAt(address: string, method: string, target: string, options: AskOptions = {}): Promise<Asked> {
  const { token = null, body, headers = {} } = options
  const response = await fetch(`${address}${target}`, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '') && text !== ''
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined }
}

/** A broker in this process, asked over real HTTP on a free port of the loopback. */
export class Running {
  readonly place: Place
  readonly serving: RunningBroker
  readonly token: string

  constructor(place: Place, serving: RunningBroker) {
    this.place = place
    this.serving = serving
    this.token = readFileSync(serving.tokenFile, 'utf8').trim()
  }

  ask(method: string, target: string, options: AskOptions = {}): Promise<Asked> {
    return askAt(this.serving.address, method, target, { token: this.token, ...options })
  }

  /** A token of a role. */
  async tokenOf(role: string, name?: string): Promise<string> {
    const made = await this.ask('POST', '/admin/v1/tokens', { body: { role, ttl: 3600, ...(name === undefined ? {} : { name }) } })
    if (made.status !== 201) throw new Error(`no token of ${role}: ${made.text}`)
    return made.body.token
  }

  /** The audit file as it is on the disk now. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  audit(): any[] {
    return this.place
      .read('data/audit.jsonl')
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line))
  }

  async stop(): Promise<void> {
    await this.serving.stop()
  }
}

/** Starts a broker on `keyturn.yaml` of a place. */
export async function start(place: Place, env: Record<string, string> = {}): Promise<Running> {
  const all = { KEYTURN_LISTEN: '127.0.0.1:0', KEYTURN_DATA: join(place.folder, 'data'), ...env }
  const log = makeLog(all, { write: line => place.logged.push(line) })
  const serving = await startBroker({ config: join(place.folder, 'keyturn.yaml'), cwd: place.folder, env: all, log })
  return new Running(place, serving)
}

/** Waits until something holds, and fails after a while. */
export async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined, withinMs = 15_000): Promise<T> {
  const end = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
