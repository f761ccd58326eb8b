import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmodSync, cpSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { freePort } from '../../servers/free-port.ts'
import { type Asked, type AskOptions, askAt, Place, until } from '../harness.ts'
import { Balancer } from './balancer.ts'

const root = join(import.meta.dirname, '../../..')
/** The address that the runbook has. */
const documented = 'http://127.0.0.1:8320'

/** How a command ended. */
export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** The talos deployment as an operator has it: a folder with its config and a file of variables, and brokers that a shell starts. */
export class Deployment {
  readonly place = new Place()
  readonly #brokers: Broker[] = []
  readonly #ports: readonly number[]
  readonly #balancer: Balancer
  /** What the whole deployment is run with. */
  readonly env: Readonly<Record<string, string>>

  private constructor(ports: readonly number[], balancer: Balancer, env: Record<string, string>) {
    this.#ports = ports
    this.#balancer = balancer
    this.env = env
    cpSync(join(root, 'configs/talos'), join(this.place.folder, 'configs/talos'), { recursive: true })
    // what `npx --no keyturn` finds in a checkout
    const bin = join(root, 'packages/cli/bin/keyturn.mjs')
    this.place.write('bin/npx', `#!/bin/sh\nshift 2\nexec "${process.execPath}" --conditions=@keyturn/source "${bin}" "$@"\n`)
    chmodSync(join(this.place.folder, 'bin/npx'), 0o700)
  }

  static async make(brokers: number, env: Record<string, string> = {}): Promise<Deployment> {
    const ports: number[] = []
    while (ports.length < brokers) ports.push(await freePort())
    return new Deployment(ports, await Balancer.start(ports), env)
  }

  /** The one address of all brokers. */
  get address(): string {
    return this.#balancer.address
  }

  /** Everything that the brokers wrote since they were last started. */
  get output(): string {
    return this.#brokers.map(broker => broker.output).join('\n')
  }

  /** Runs lines of the runbook. */
  async run(lines: string): Promise<Ended> {
    const text = lines.replaceAll(documented, this.address)
    const env = { ...this.#shell(), KEYTURN_ADDR: this.address, KEYTURN_DATA: 'data' }
    return new Promise(resolve => {
      const options = { cwd: this.place.folder, env, maxBuffer: 64 * 1024 * 1024 }
      execFile('bash', ['--norc', '-euo', 'pipefail', '-c', text], options, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      )
    })
  }

  /** Starts one broker by the lines of the runbook, ending the one that runs in its place as a supervisor would, and waits until it is ready. */
  async start(at: number, lines: string): Promise<void> {
    await this.#brokers[at]?.end('SIGTERM')
    // several brokers on one machine: each has a port and a data folder of its own
    const own = `export KEYTURN_LISTEN=127.0.0.1:${this.#ports[at]} KEYTURN_DATA=${at === 0 ? 'data' : `data-${at}`}\n`
    const broker = new Broker(lines.replace(/^npx /m, `${own}exec npx `), this.place.folder, this.#shell())
    this.#brokers[at] = broker
    await until(`broker ${at} is ready\n${broker.output}`, async () => {
      if (broker.over) throw new Error(`broker ${at} did not start:\n${broker.output}`)
      const ready = await fetch(`http://127.0.0.1:${this.#ports[at]}/readyz`).catch(() => undefined)
      return ready?.ok === true ? true : undefined
    })
  }

  /** All of them, one after another. */
  async startAll(lines: string, between: (at: number) => Promise<void> = async () => undefined): Promise<void> {
    for (const at of this.#ports.keys()) {
      await this.start(at, lines)
      await between(at)
    }
  }

  async kill(at: number): Promise<void> {
    await this.#brokers[at]?.end('SIGKILL')
  }

  /** With the root token. */
  ask(method: string, target: string, options: AskOptions = {}): Promise<Asked> {
    return askAt(this.address, method, target, {
      token: this.place.read('data/admin.token').trim(),
      headers: { connection: 'close' },
      ...options,
    })
  }

  async remove(): Promise<void> {
    await Promise.all(this.#brokers.map(broker => broker.end('SIGTERM')))
    await this.#balancer.stop()
    this.place.remove()
  }

  #shell(): Record<string, string> {
    return { PATH: `${join(this.place.folder, 'bin')}:${process.env.PATH}`, HOME: this.place.folder, NO_COLOR: '1', ...this.env }
  }
}

class Broker {
  readonly #process: ChildProcess
  readonly #ended: Promise<void>
  output = ''
  over = false

  constructor(lines: string, cwd: string, env: Record<string, string>) {
    this.#process = spawn('bash', ['--norc', '-euo', 'pipefail', '-c', lines], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#ended = new Promise(resolve =>
      this.#process.once('close', () => {
        this.over = true
        resolve()
      }),
    )
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream?.on('data', chunk => (this.output += String(chunk)))
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#process.kill(signal)
    await this.#ended
  }
}
