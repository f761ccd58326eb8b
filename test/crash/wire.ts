import type { SimulatedClock } from '../simulation/clock.ts'

/**
 * How one request goes wrong on its way. `dropped`: the connection is cut before the server has it. `refused`: somebody in between answers that the
 * server is not there. `cut`: the server acted, and the connection is cut before the answer. `dies`: the same, and the broker dies of it. `hangs`: no
 * answer until the deadline, and the server never has it. `silent`: the server acted, and no answer until the deadline. `late`: no answer until the
 * deadline; the server has it after the request that comes next. `twice`: the server has it two times, and the second answer comes back.
 */
export const wireModes = ['dropped', 'refused', 'cut', 'dies', 'hangs', 'silent', 'late', 'twice'] as const
export type WireMode = (typeof wireModes)[number]

/** One request, held on its way. */
export interface Exchange {
  /** What is asked of whom, without what differs from run to run. */
  readonly title: string
  /** Has the server act on it, as often as it is called. Answers with how to give its answer back. */
  act(): Promise<() => void>
  refuse(): void
  cut(): void
}

/** Takes a request along; `kill` ends the process that sent it, and nothing that it sends gets through any more. */
export type Carry = (exchange: Exchange, kill: () => Promise<void>) => void

interface WirePorts {
  readonly clock: SimulatedClock
  /** Longer than any deadline of a call. */
  readonly deadlineMs: number
  /** The broker dies of the request that is under way. */
  readonly die: () => void
  /** Awaited after everything that the server has done, with the number of the request. */
  readonly onEffect: (number: number) => Promise<void>
}

/** Every request between brokers and one backend, counted from 1, and what becomes of some of them. */
export class Wire {
  readonly requests: string[] = []
  /** What went wrong in between by itself: a test that sees any fails. */
  readonly broken: unknown[] = []
  readonly #faults: ReadonlyMap<number, WireMode>
  readonly #ports: WirePorts
  #late: Exchange[] = []

  constructor(faults: ReadonlyMap<number, WireMode>, ports: WirePorts) {
    this.#faults = faults
    this.#ports = ports
  }

  readonly carry: Carry = (exchange, kill) => {
    const number = this.requests.push(exchange.title)
    const delayed = this.#late
    this.#late = []
    this.#become(this.#faults.get(number), exchange, number, kill)
      .then(() => this.#arrive(delayed, number))
      .catch((error: unknown) => this.broken.push(error))
  }

  async #become(mode: WireMode | undefined, exchange: Exchange, number: number, kill: () => Promise<void>): Promise<void> {
    if (mode === 'dropped') return exchange.cut()
    if (mode === 'refused') return exchange.refuse()
    if (mode === 'late') this.#late = [exchange]
    if (mode === 'late' || mode === 'hangs') return this.#letHang(exchange)
    let answer = await exchange.act()
    if (mode === 'twice') answer = await exchange.act()
    await this.#ports.onEffect(number)
    if (mode === 'cut') return exchange.cut()
    if (mode === 'silent') return this.#letHang(exchange)
    if (mode !== 'dies') return answer()
    this.#ports.die()
    await kill()
    exchange.cut()
  }

  /** Nothing comes until the caller has given up; then the connection ends, as it does in the end. */
  #letHang(exchange: Exchange): void {
    this.#ports.clock.advance(this.#ports.deadlineMs)
    setImmediate(() => exchange.cut())
  }

  async #arrive(delayed: readonly Exchange[], number: number): Promise<void> {
    for (const exchange of delayed) await exchange.act()
    if (delayed.length > 0) await this.#ports.onEffect(number)
  }
}
