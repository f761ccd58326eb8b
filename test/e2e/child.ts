import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { verify } from '@keyturn/audit'
import { auditKeys, readConfig } from '@keyturn/broker'
import { type Asked, askAt, type Place } from './harness.ts'

const main = join(import.meta.dirname, 'child-main.ts')

/** A broker in a process of its own, which can be killed. */
export class Child {
  readonly place: Place
  readonly address: string
  readonly #process: ChildProcess
  readonly #ended: Promise<number | null>
  /** Everything it wrote, to both streams. */
  output = ''

  private constructor(place: Place, port: number, env: Record<string, string>) {
    this.place = place
    this.address = `http://127.0.0.1:${port}`
    this.#process = spawn(process.execPath, ['--conditions=@keyturn/source', main, join(place.folder, 'keyturn.yaml')], {
      cwd: place.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ...environment(place, port), ...env },
    })
    this.#ended = new Promise(resolve => this.#process.once('close', resolve))
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream?.on('data', chunk => (this.output += String(chunk)))
  }

  /** Starts on the config of a place, and waits until it answers. */
  static async start(place: Place, port: number, env: Record<string, string> = {}): Promise<Child> {
    const child = new Child(place, port, env)
    const end = performance.now() + 30_000
    while (performance.now() < end && child.#process.exitCode === null) {
      const up = await fetch(`${child.address}/readyz`).then(
        answer => answer.ok,
        () => false,
      )
      if (up) return child
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    await child.kill()
    throw new Error(`the broker did not start:\n${child.output}`)
  }

  ask(method: string, target: string, options: { body?: unknown } = {}): Promise<Asked> {
    return askAt(this.address, method, target, { ...options, token: this.place.read('data/admin.token').trim() })
  }

  /** Whoever read its log goes away. */
  stopListening(): void {
    this.#process.stdout?.destroy()
    this.#process.stderr?.destroy()
  }

  /** Milliseconds of processor time that it has used (proc(5): ticks of 10 ms). */
  processorMs(): number {
    const fields = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * 10
  }

  /** SIGHUP. */
  hangUp(): void {
    this.#process.kill('SIGHUP')
  }

  /** SIGKILL, and the end. */
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

const environment = (place: Place, port: number) => ({
  KEYTURN_LISTEN: `127.0.0.1:${port}`,
  KEYTURN_DATA: join(place.folder, 'data'),
  KEYTURN_LOG_LEVEL: 'debug',
})

/** What the offline verification says of a place's audit chain. */
export async function verdictOf(place: Place, more: Record<string, string> = {}): Promise<string> {
  const env = { ...environment(place, 1), ...more }
  const config = await readConfig({ config: join(place.folder, 'keyturn.yaml'), cwd: place.folder, env })
  return (await verify(config.audit.file, { findKey: await auditKeys(config, env) })).status
}
