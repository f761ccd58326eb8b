import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { type Asked, type AskOptions, askAt, Place } from '../../e2e/harness.ts'
import { freePort } from '../../servers/free-port.ts'

const main = join(import.meta.dirname, 'broker-main.ts')
const startMs = 60_000

/** One broker of several: a place of its own, and a process in it that is killed and started again. */
export class Member {
  readonly place: Place
  readonly port: number
  readonly #env: Record<string, string>
  #process: ChildProcess | null = null
  #ended: Promise<unknown> = Promise.resolve()
  /** What its present process wrote. */
  output = ''
  /** Whether it answers, as far as is known. */
  up = false

  constructor(place: Place, port: number, env: Record<string, string>) {
    this.place = place
    this.port = port
    this.#env = env
  }

  get address(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Starts it, and resolves when it is ready. */
  async start(): Promise<void> {
    this.output = ''
    const child = spawn(process.execPath, ['--conditions=@keyturn/source', main, join(this.place.folder, 'keyturn.yaml')], {
      cwd: this.place.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        KEYTURN_LISTEN: `127.0.0.1:${this.port}`,
        KEYTURN_DATA: join(this.place.folder, 'data'),
        ...this.#env,
      },
    })
    this.#process = child
    this.#ended = new Promise(resolve => child.once('close', resolve))
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (this.output += String(chunk)))
    const end = performance.now() + startMs
    while (child.exitCode === null && child.signalCode === null && performance.now() < end) {
      const ready = await fetch(`${this.address}/readyz`).then(
        answer => answer.ok,
        () => false,
      )
      if (ready) {
        this.up = true
        return
      }
      await pause(30)
    }
    throw new Error(`a broker did not start (${child.exitCode ?? child.signalCode}):\n${this.output.slice(-3_000)}`)
  }

  /** Who it may have been among the brokers of its ledger. */
  get instances(): readonly string[] {
    return [...this.output.matchAll(/^instance (broker_[0-9a-f]{12})$/gm)].map(([, id]) => id ?? '')
  }

  /** SIGKILL, and its end. */
  async kill(): Promise<void> {
    this.up = false
    this.#process?.kill('SIGKILL')
    await this.#ended
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.up = false
    this.#process?.kill('SIGTERM')
    await this.#ended
    return this.#process?.exitCode ?? null
  }
}

/** Several brokers on one ledger, asked as a client asks that knows all of them: what one cannot be asked, another one is. */
export class Fleet {
  readonly members: readonly Member[]

  private constructor(members: readonly Member[]) {
    this.members = members
  }

  /** So many members with this config, none of them started. */
  static async make(count: number, config: string, env: Record<string, string>): Promise<Fleet> {
    const members: Member[] = []
    for (let index = 0; index < count; index += 1) {
      const place = new Place()
      place.write('keyturn.yaml', config)
      members.push(new Member(place, await freePort(), env))
    }
    return new Fleet(members)
  }

  /** The token of the administrator, which one of them has left. */
  get token(): string {
    const place = this.members.map(member => member.place).find(({ folder }) => existsSync(join(folder, 'data/admin.token')))
    if (place === undefined) throw new Error('no broker has left a token')
    return place.read('data/admin.token').trim()
  }

  /** Asks one that is up, beginning with the one of this number; null when the connection was cut: what it did is not known. */
  async ask(first: number, method: string, target: string, options: AskOptions = {}): Promise<Asked | null> {
    const { length } = this.members
    for (let tries = 0; tries < 600; tries += 1) {
      const member = this.members[(first + tries) % length]
      if (member?.up === true) {
        try {
          return await askAt(member.address, method, target, { token: this.token, ...options })
        } catch (error) {
          const cause = (error as Error).cause as { readonly code?: string } | undefined
          if (cause?.code !== 'ECONNREFUSED') return null
        }
      }
      if (tries % length === length - 1) await pause(50)
    }
    throw new Error('no broker was up for 10 s')
  }

  /** As `ask`, of what may be asked again. */
  async look(target: string): Promise<Asked> {
    for (let tries = 0; tries < 100; tries += 1) {
      const answer = await this.ask(tries, 'GET', target)
      if (answer !== null) return answer
    }
    throw new Error(`no answer to ${target}`)
  }

  remove(): void {
    for (const { place } of this.members) place.remove()
  }
}
