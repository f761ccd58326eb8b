import { setTimeout as pause } from 'node:timers/promises'
import type { Deployment } from './deployment.ts'

const at = 4
const pauseMs = 5

/** Services that read all the time, each value compared with what was written. */
export class Readers {
  readonly #deployment: Deployment
  /** What must be read, by name; names are read in turn. */
  readonly expected: Map<string, string>
  readonly failures: string[] = []
  reads = 0
  #stopped = false
  #running: Promise<unknown> = Promise.resolve()
  /** Names whose value is changed right now: either value is right. */
  readonly moving = new Set<string>()

  constructor(deployment: Deployment, expected: Map<string, string>) {
    this.#deployment = deployment
    this.expected = expected
  }

  start(): void {
    this.#running = Promise.all(Array.from({ length: at }, (_, index) => this.#read(index)))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #read(offset: number): Promise<void> {
    for (let turn = offset; !this.#stopped; turn += at) {
      const names = [...this.expected.keys()]
      const name = names[turn % names.length] ?? ''
      const expected = this.expected.get(name)
      const wasMoving = this.moving.has(name)
      try {
        const { status, body, text } = await this.#deployment.ask('GET', `/v1/secrets/${name}`)
        this.reads += 1
        const changed = wasMoving || this.moving.has(name) || this.expected.get(name) !== expected
        if (status !== 200 || (body.value !== expected && !changed)) this.failures.push(`${name}: ${status} ${text}`)
      } catch (error) {
        this.failures.push(`${name}: ${error instanceof Error ? `${error.message} ${String(error.cause)}` : 'failed'}`)
      }
      await pause(pauseMs)
    }
  }
}
