import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

const stopMs = 10_000
const pollMs = 50

/** A server that a test started, in a process of its own and without our environment. */
export class ServerProcess {
  readonly #child: ChildProcess
  #complaints = ''

  constructor(binary: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const own = { PATH: process.env.PATH, HOME: '/nonexistent', ...env }
    this.#child = spawn(binary, args, { env: own, stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#complaints = (this.#complaints + text.toString()).slice(-2_000)
    })
  }

  /** What `ask` answers once it does; until then it answers undefined, or throws. A server that ends or takes longer is stopped, and the error has what it wrote. */
  async answer<T>(ms: number, ask: () => Promise<T | undefined>): Promise<T> {
    const last = Date.now() + ms
    while (this.#child.exitCode === null && Date.now() < last) {
      const answer = await ask().catch(() => undefined)
      if (answer !== undefined) return answer
      await new Promise(resolve => setTimeout(resolve, pollMs))
    }
    const how = this.#child.exitCode === null ? `did not answer within ${ms} ms` : `ended with ${this.#child.exitCode}`
    await this.stop()
    throw new Error(`${this.#child.spawnfile} ${how}: ${this.#complaints}`)
  }

  /** Politely, and by force when that takes too long. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), stopMs)
    await ended
    clearTimeout(kill)
  }
}
