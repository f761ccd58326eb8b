import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { type Asked, type AskOptions, askAt, type Place } from './harness.ts'

const root = join(import.meta.dirname, '../..')
const command = join(root, 'packages/cli/bin/keyturn.mjs')
const startMs = 30_000

/** How a command ended. */
export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** `keyturn serve` as a person starts it: a process of its own, and commands and scripts that talk to it. */
export class Served {
  readonly place: Place
  readonly #process: ChildProcess
  readonly #ended: Promise<number | null>
  address = ''
  /** Everything it wrote, to both streams. */
  output = ''

  private constructor(place: Place, config: string, env: Record<string, string>) {
    this.place = place
    this.#process = spawn(process.execPath, ['--conditions=@keyturn/source', command, 'serve', '--config', config], {
      cwd: place.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, KEYTURN_LISTEN: '127.0.0.1:0', KEYTURN_DATA: 'data', ...env },
    })
    this.#ended = new Promise(resolve => this.#process.once('close', resolve))
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream?.on('data', chunk => (this.output += String(chunk)))
  }

  /** Starts on a config, a path from the folder of the place, and waits until it says where it answers. */
  static async start(place: Place, config: string, env: Record<string, string>): Promise<Served> {
    const served = new Served(place, config, env)
    const end = performance.now() + startMs
    while (served.#process.exitCode === null && performance.now() < end) {
      served.address = /^Keyturn answers at (\S+)$/m.exec(served.output)?.[1] ?? ''
      if (served.address !== '') return served
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    await served.stop()
    throw new Error(`the broker did not start:\n${served.output}`)
  }

  /** Where the first token is. */
  get adminFile(): string {
    return join(this.place.folder, 'data/admin.token')
  }

  ask(method: string, target: string, options: AskOptions = {}): Promise<Asked> {
    return askAt(this.address, method, target, { token: readFileSync(this.adminFile, 'utf8').trim(), ...options })
  }

  /** A token of a role of the config, in a file, as the pods and people of a deployment have it. */
  async tokenFile(role: string): Promise<string> {
    const { status, text, body } = await this.ask('POST', '/admin/v1/tokens', { body: { role, ttl: 3600 } })
    if (status !== 201) throw new Error(`no token of ${role}: ${text}`)
    return this.place.write(`${role}.token`, body.token)
  }

  /** Runs a program of the repository, from the folder of the place, with the rights of a token. */
  run(program: string, args: readonly string[], tokenFile: string, stdin = ''): Promise<Ended> {
    const KEYTURN_TOKEN = readFileSync(tokenFile, 'utf8').trim()
    const env = { PATH: process.env.PATH, HOME: this.place.folder, KEYTURN_ADDR: this.address, KEYTURN_TOKEN }
    return new Promise(resolve => {
      const child = execFile(join(root, program), args, { cwd: this.place.folder, env }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      )
      // a script that refuses its arguments has ended before it is given anything
      child.stdin?.on('error', () => undefined).end(stdin)
    })
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.#process.kill('SIGTERM')
    return this.#ended
  }
}
