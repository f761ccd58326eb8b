import { type ChildProcess, spawn } from 'node:child_process'
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { median } from './row.ts'

const binary = join(import.meta.dirname, '../../packages/cli/bin/keyturn.mjs')
const kekStatus = '/admin/v1/secrets/kek-status'
const sampleMs = 200
const nothing = async (): Promise<void> => undefined

/** A broker in a process of its own, with as many KEKs as campaigns were run: each leads to a new one. */
export class BenchBroker {
  readonly folder: string
  readonly keks = new Map<string, string>()
  readonly #env: Record<string, string>
  #process: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  address = ''

  constructor(folder: string, env: Record<string, string>) {
    this.folder = folder
    this.#env = env
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const url = '$' + '{DATABASE_URL:-}'
    const lines = ['listen: 127.0.0.1:0', 'data: data', `ledger: ${url}`, 'keys: { provider: env }', 'backups: { before: [] }']
    writeFileSync(join(folder, 'keyturn.yaml'), `broker:\n  ${lines.join('\n  ')}\ndatabase: { url: "${url}" }\n`)
    this.addKek()
  }

  get current(): string {
    return [...this.keks.keys()].at(-1) ?? ''
  }

  /** The KEKs as this process may close rows with them. */
  get keyObjects(): ReadonlyMap<string, KeyObject> {
    return new Map([...this.keks].map(([id, text]) => [id, createSecretKey(Buffer.from(text, 'base64url'))]))
  }

  addKek(): void {
    this.keks.set(`v${this.keks.size + 1}`, randomBytes(32).toString('base64url'))
  }

  async start(): Promise<void> {
    const keys = Object.fromEntries([...this.keks].map(([id, text]) => [`KEYTURN_KEK_${id}`, text]))
    const args = ['--conditions=@keyturn/source', binary, 'serve', '--config', join(this.folder, 'keyturn.yaml')]
    const child = spawn(process.execPath, args, {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, KEYTURN_LOG_LEVEL: 'warn', ...this.#env, ...keys, KEYTURN_CURRENT_KEK_ID: this.current },
    })
    this.#process = child
    this.#ended = new Promise(resolve => child.once('exit', resolve))
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (said += String(chunk)))
    this.address = ''
    while (this.address === '') {
      this.address = /^Keyturn answers at (\S+)$/m.exec(said)?.[1] ?? ''
      if (child.exitCode !== null) throw new Error(`the broker did not start:\n${said}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  async stop(): Promise<void> {
    this.#process?.kill('SIGTERM')
    await this.#ended
  }

  // biome-ignore lint/suspicious/noExplicitAny: what is expected is said where it is asked
  async ask(method: string, path: string, body?: object): Promise<any> {
    const token = readFileSync(join(this.folder, 'data/admin.token'), 'utf8').trim()
    const response = await fetch(this.address + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }

  /**
   * Restarts under a new KEK and re-wraps everything to it, without the backup that a broker else makes first and renews at the end. `ahead` runs in the
   * same broker before that, `beside` meanwhile.
   */
  async campaign({ ahead = nothing, beside = nothing } = {}): Promise<{ readonly rate: number; readonly grownMegabytes: number }> {
    this.addKek()
    await this.start()
    try {
      while ((await this.ask('GET', kekStatus)).current !== this.current) await new Promise(resolve => setTimeout(resolve, 50))
      await ahead()
      const before = this.residentMegabytes()
      let most = before
      const sampling = setInterval(() => {
        most = Math.max(most, this.residentMegabytes())
      }, sampleMs)
      const asked = Date.now()
      const { status_url: url } = await this.ask('POST', '/admin/v1/secrets/rotate-all')
      const operation = await Promise.all([this.#over(url), beside()]).then(([over]) => over)
      clearInterval(sampling)
      if (operation.state !== 'done' || operation.failed > 0) throw new Error(`the campaign ended otherwise: ${JSON.stringify(operation)}`)
      const seconds = (Date.parse(operation.finished) - asked) / 1_000
      return { rate: operation.done / seconds, grownMegabytes: most - before }
    } finally {
      await this.stop()
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  async #over(url: string): Promise<any> {
    for (;;) {
      const operation = await this.ask('GET', url)
      if (operation.finished !== null) return operation
      await new Promise(resolve => setTimeout(resolve, sampleMs))
    }
  }

  /** Median milliseconds of `kek-status`, as a client sees it. */
  async kekStatus(count: number): Promise<number> {
    await this.start()
    try {
      const samples: number[] = []
      for (let at = 0; at < count; at += 1) {
        const begun = performance.now()
        await this.ask('GET', kekStatus)
        samples.push(performance.now() - begun)
      }
      return median(samples)
    } finally {
      await this.stop()
    }
  }

  residentMegabytes(): number {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#process?.pid}/status`, 'utf8'))?.[1]
    return Number(kilobytes) / 1_024
  }
}
