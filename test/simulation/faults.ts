import { MemoryError } from '@keyturn/conformance'
import { BrokerError } from '@keyturn/core'
import type { SimulatedClock } from './clock.ts'
import { TargetError } from './target.ts'

/**
 * How one outside call goes wrong. `fails`: before anything happened. `dies`: it happened, and the caller dies before the answer.
 * `reply-lost`: it happened, and the caller is told nothing. `hangs`: until the deadline, without happening. `twice`: it happened
 * two times, one after the other.
 */
export const modes = ['fails', 'dies', 'reply-lost', 'hangs', 'twice'] as const
export type Mode = (typeof modes)[number]

/** What the caller's death looks like from inside: every call of a dead process fails so, and nothing happens. */
export class Death extends Error {}

type Call = (...args: readonly unknown[]) => unknown
/** Which error a kind of port throws, by what it means. */
export type Failure = (code: 'unavailable' | 'outcome_unknown') => Error

export const failures = {
  store: code => new MemoryError(code, 'a planted fault'),
  issuer: code => new TargetError(code, 'a planted fault'),
  journal: code => new BrokerError(code, 'a planted fault'),
} satisfies Record<string, Failure>

/** Counts every outside call of a run and makes some of them go wrong, by number from 1. */
export class FaultLine {
  readonly calls: string[] = []
  /** Awaited after every call that happened. */
  onCall: () => Promise<void> = async () => {}
  readonly #faults: ReadonlyMap<number, Mode>
  readonly #clock: SimulatedClock
  #process = 0

  constructor(clock: SimulatedClock, faults: ReadonlyMap<number, Mode> = new Map()) {
    this.#clock = clock
    this.#faults = faults
  }

  /** From here on, what was wrapped before belongs to a dead process. */
  die(): void {
    this.#process += 1
  }

  /** The same object, its named methods counted and exposed to faults, for the process of this moment. */
  wrap<T extends object>(name: string, object: T, methods: readonly string[], failure: Failure): T {
    const process = this.#process
    return new Proxy(object, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target)
        if (key === 'stages' && member !== undefined) return this.wrap(name, member as object, ['stage', 'promote'], failure)
        if (typeof member !== 'function') return member
        const call = (member as Call).bind(target)
        if (!methods.includes(String(key))) return call
        const site = `${name}.${String(key)}`
        if (key === 'versions' && name === 'store') return (...args: readonly unknown[]) => this.#each(process, site, failure, call, args)
        return (...args: readonly unknown[]) => this.#call(process, site, failure, call, args)
      },
    })
  }

  async *#each(process: number, site: string, failure: Failure, call: Call, args: readonly unknown[]) {
    const collect = async (...inner: readonly unknown[]) => {
      const items: unknown[] = []
      for await (const item of call(...inner) as AsyncIterable<unknown>) items.push(item)
      return items
    }
    yield* (await this.#call(process, site, failure, collect, args)) as unknown[]
  }

  async #call(process: number, site: string, failure: Failure, call: Call, args: readonly unknown[]): Promise<unknown> {
    if (process !== this.#process) throw new Death()
    const mode = this.#faults.get(this.calls.push(site))
    if (mode === 'fails') throw failure('unavailable')
    if (mode === 'hangs') return this.#hang(args, failure)
    const once = () => Promise.resolve(call(...args))
    if (mode === undefined) {
      const answer = await once()
      await this.onCall()
      return answer
    }
    if (mode === 'twice') {
      const [first, second] = [await settled(once), await settled(once)]
      await this.onCall()
      return (second.ok || !first.ok ? second : first).take()
    }
    const happened = await settled(once)
    await this.onCall()
    if (mode === 'dies') {
      this.die()
      throw new Death()
    }
    if (!happened.ok) happened.take()
    throw failure('outcome_unknown')
  }

  #hang(args: readonly unknown[], failure: Failure): Promise<never> {
    const signal = args.map(arg => (arg as { signal?: AbortSignal } | null)?.signal).find(found => found instanceof AbortSignal)
    return new Promise((_, reject) => {
      if (signal === undefined) reject(failure('unavailable'))
      else signal.addEventListener('abort', () => reject(signal.reason))
      queueMicrotask(() => this.#clock.advance(30_000))
    })
  }
}

interface Settled {
  readonly ok: boolean
  take(): unknown
}

async function settled(run: () => Promise<unknown>): Promise<Settled> {
  try {
    const value = await run()
    return { ok: true, take: () => value }
  } catch (error) {
    return {
      ok: false,
      take: () => {
        throw error
      },
    }
  }
}
