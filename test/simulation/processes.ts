import type { Clock } from '@keyturn/core'
import type { SimulatedClock } from './clock.ts'
import type { Failure } from './faults.ts'

/** What changes nothing. */
export const questions = new Set(
  'journal.versions journal.revocations journal.undelivered store.read store.examine store.versions issuer.preflight issuer.draft issuer.probe issuer.verify issuer.prove'.split(
    ' ',
  ),
)

type Call = (...args: readonly unknown[]) => unknown

/** A broker process of the simulation: it may be stopped, go on, and die. What a dead one waits for never comes. */
export class Process implements Clock {
  readonly name: string
  alive = true
  asleep = false
  busy = false
  readonly #clock: SimulatedClock
  #late: (() => void)[] = []

  constructor(name: string, clock: SimulatedClock) {
    this.name = name
    this.#clock = clock
  }

  now(): Date {
    return this.#clock.now()
  }

  after(ms: number, run: () => void): () => void {
    return this.#clock.after(ms, () => {
      if (this.asleep) this.#late.push(run)
      else if (this.alive) run()
    })
  }

  wake(): void {
    this.asleep = false
    const late = this.#late
    this.#late = []
    for (const run of late) if (this.alive) run()
  }
}

/** An outside call that has not been answered yet. */
export interface OutsideCall {
  readonly process: Process
  readonly site: string
  readonly failure: Failure
  /** Makes it happen, and keeps the outcome for `answer`. */
  happen(): Promise<void>
  readonly happened: boolean
  answer(): void
  fail(code: 'unavailable' | 'outcome_unknown'): void
}

/** Holds back every outside call of every process until the simulation says what becomes of it. */
export class Switchboard {
  /** After everything that may have changed something. */
  onEffect: () => Promise<void> = async () => {}
  #calls: Waiting[] = []

  /** Calls of processes that could go on, oldest first. */
  waiting(): readonly OutsideCall[] {
    this.#calls = this.#calls.filter(call => !call.over && call.process.alive)
    return this.#calls.filter(call => !call.process.asleep)
  }

  /** The same object, its named methods held back, for one process. */
  wrap<T extends object>(process: Process, name: string, object: T, methods: readonly string[], failure: Failure): T {
    return new Proxy(object, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target)
        if (key === 'stages' && member !== undefined) return this.wrap(process, name, member as object, ['stage', 'promote'], failure)
        if (typeof member !== 'function') return member
        const call = (member as Call).bind(target)
        if (!methods.includes(String(key))) return call
        return (...args: readonly unknown[]) => this.#hold(process, `${name}.${String(key)}`, failure, () => call(...args), args)
      },
    })
  }

  #hold(process: Process, site: string, failure: Failure, run: () => unknown, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = new Waiting(process, site, failure, run, this, { resolve, reject })
      this.#calls.push(call)
      const signal = args.map(arg => (arg as { signal?: AbortSignal } | null)?.signal).find(found => found instanceof AbortSignal)
      signal?.addEventListener('abort', () => call.end(() => reject(signal.reason)))
    })
  }
}

interface Reply {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

class Waiting implements OutsideCall {
  readonly process: Process
  readonly site: string
  readonly failure: Failure
  over = false
  readonly #run: () => unknown
  readonly #board: Switchboard
  readonly #reply: Reply
  #outcome: (() => void) | undefined

  constructor(process: Process, site: string, failure: Failure, run: () => unknown, board: Switchboard, reply: Reply) {
    this.process = process
    this.site = site
    this.failure = failure
    this.#run = run
    this.#board = board
    this.#reply = reply
  }

  get happened(): boolean {
    return this.#outcome !== undefined
  }

  async happen(): Promise<void> {
    try {
      const value = await this.#run()
      this.#outcome = () => this.#reply.resolve(value)
    } catch (error) {
      this.#outcome = () => this.#reply.reject(error)
    }
    if (!questions.has(this.site)) await this.#board.onEffect()
  }

  answer(): void {
    this.end(this.#outcome ?? (() => {}))
  }

  fail(code: 'unavailable' | 'outcome_unknown'): void {
    this.end(() => this.#reply.reject(this.failure(code)))
  }

  end(how: () => void): void {
    if (this.over) return
    this.over = true
    how()
  }
}
