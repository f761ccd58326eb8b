import { setTimeout as pause } from 'node:timers/promises'
import type { Fleet } from './fleet.ts'

/** What a writer knows of one secret: the value that was acknowledged last, and those of which nobody knows whether they came after it. */
interface Known {
  acknowledged: string
  possible: string[]
}

/** Clients that write and read all the time, and know what they may find. */
export class Traffic {
  readonly #fleet: Fleet
  readonly #hot = new Map<string, Known>()
  readonly #cold: (index: number) => { readonly path: string; readonly value: string }
  readonly #coldCount: number
  readonly #running: Promise<void>[] = []
  #stopped = false
  writes = 0
  reads = 0
  unclear = 0
  readonly wrong: string[] = []

  constructor(
    fleet: Fleet,
    hot: readonly string[],
    cold: { readonly count: number; readonly of: (index: number) => { readonly path: string; readonly value: string } },
  ) {
    this.#fleet = fleet
    this.#cold = cold.of
    this.#coldCount = cold.count
    for (const path of hot) this.#hot.set(path, { acknowledged: '', possible: [] })
  }

  /** Gives every secret that is written its first value. */
  async begin(): Promise<void> {
    for (const path of this.#hot.keys()) await this.#write(path, 0, `${path} first`)
  }

  start(writers: number, readers: number): void {
    const hot = [...this.#hot.keys()]
    for (let index = 0; index < writers; index += 1) {
      // one writer for each secret: else nobody knows which value came last
      const own = hot.filter((_, order) => order % writers === index)
      this.#running.push(this.#loop(turn => this.#write(own[turn % own.length] ?? '', turn, `${own[turn % own.length]} ${turn}`)))
    }
    for (let index = 0; index < readers; index += 1) this.#running.push(this.#loop(turn => this.#read(turn * readers + index)))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  /** Whether this may be the current value of a secret now that nobody writes any more; undefined: it is not one of these clients'. */
  allows(path: string, value: string): boolean | undefined {
    const known = this.#hot.get(path)
    return known === undefined ? undefined : known.acknowledged === value || known.possible.includes(value)
  }

  async #loop(act: (turn: number) => Promise<void>): Promise<void> {
    for (let turn = 0; !this.#stopped; turn += 1) {
      await act(turn)
      await pause(5)
    }
  }

  async #write(path: string, first: number, value: string): Promise<void> {
    const known = this.#hot.get(path)
    if (known === undefined) return
    known.possible.push(value)
    const answer = await this.#fleet.ask(first, 'PUT', `/v1/secrets/${path}`, { body: { value } })
    this.writes += 1
    if (answer?.status === 200 || answer?.status === 201) {
      known.acknowledged = value
      known.possible = []
      return
    }
    // cut off, or another broker's write of this secret is not settled yet
    this.unclear += 1
    if (answer !== null && ![409, 503, 504].includes(answer.status)) this.wrong.push(`PUT ${path}: ${answer.status} ${answer.text}`)
  }

  async #read(turn: number): Promise<void> {
    const isHot = turn % 3 === 0
    const hot = [...this.#hot.keys()][turn % this.#hot.size] ?? ''
    const cold = this.#cold((turn * 7_919) % this.#coldCount)
    const path = isHot ? hot : cold.path
    const answer = await this.#fleet.ask(turn, 'GET', `/v1/secrets/${path}`)
    // a client of several brokers asks the next one when a connection is cut
    if (answer === null) return
    this.reads += 1
    const value: unknown = answer.body?.value
    const fits = isHot ? String(value).startsWith(`${path} `) : value === cold.value
    if (answer.status !== 200 || !fits) this.wrong.push(`GET ${path}: ${answer.status} ${answer.text.slice(0, 300)}`)
  }
}
