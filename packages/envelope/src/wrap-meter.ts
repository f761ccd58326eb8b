import { BrokerError } from '@keyturn/core'

/** Wraps under one KEK after which it is due for replacement. */
export const wrapsSoft = 2 ** 30
/**
 * Wraps under one KEK after which it closes nothing more: in a database by itself, and in all databases together when they are next added up. NIST SP
 * 800-38D 8.3 allows 2^32 random vectors under one key, so that what is closed before they are added up does no harm.
 */
export const wrapsHard = 2 ** 31

/** Where the number of wraps under each KEK is kept. */
export interface WrapTally {
  /** Adds to the count and answers the sum, durable when it resolves. Several processes may share one. */
  add(kekId: string, count: number): Promise<number>
}

/**
 * Counts wraps per KEK by reserving them in blocks ahead of use, so that the count in the tally never lags behind what was used,
 * whenever the process dies. A block that was not used up is lost, which only errs to the safe side.
 */
export class WrapMeter {
  readonly #tally: WrapTally
  readonly #block: number
  readonly #left = new Map<string, number>()
  readonly #reserving = new Map<string, Promise<void>>()
  /** Why the last reservation failed, by KEK. */
  readonly #failures = new Map<string, unknown>()

  constructor(tally: WrapTally, block = 4096) {
    this.#tally = tally
    this.#block = block
  }

  /** Resolves when at least `count` wraps are reserved. Await it before work that seals, and before a KEK becomes current. */
  async ready(kekId: string, count = 1): Promise<void> {
    while (this.#leftOf(kekId) < count) await this.#reserve(kekId, Math.max(count, this.#block))
  }

  /** Uses one reserved wrap, and reserves the next block in time. `precondition_failed` at the hard limit, `unavailable` when none is reserved. */
  take(kekId: string): void {
    const left = this.#leftOf(kekId)
    // a failure is kept, and told when the last reserved wrap is used
    if (left <= this.#block / 2) this.#reserve(kekId, this.#block).catch(() => undefined)
    if (left === 0) throw this.#unreserved(kekId)
    this.#left.set(kekId, left - 1)
  }

  #unreserved(kekId: string): BrokerError {
    const cause = this.#failures.get(kekId)
    if (cause instanceof BrokerError) return cause
    return new BrokerError('unavailable', `no use of KEK ${kekId} is reserved yet`, {
      hint: 'send it again in a moment; if it lasts, look whether the count of its use can be written',
      detail: { kekId },
      cause,
    })
  }

  #leftOf(kekId: string): number {
    return this.#left.get(kekId) ?? 0
  }

  #reserve(kekId: string, count: number): Promise<void> {
    const running = this.#reserving.get(kekId)
    if (running !== undefined) return running
    const reserving = this.#add(kekId, count)
      .then(
        () => void this.#failures.delete(kekId),
        (error: unknown) => {
          this.#failures.set(kekId, error)
          throw error
        },
      )
      .finally(() => this.#reserving.delete(kekId))
    this.#reserving.set(kekId, reserving)
    return reserving
  }

  async #add(kekId: string, count: number): Promise<void> {
    const sum = await this.#tally.add(kekId, count)
    if (sum > wrapsHard) throw usedUp(kekId, sum)
    this.#left.set(kekId, this.#leftOf(kekId) + count)
  }
}

/** What whoever would close with a KEK at its hard limit is told. */
export function usedUp(kekId: string, wraps: number): BrokerError {
  return new BrokerError('precondition_failed', `KEK ${kekId} has closed as many values as one key may (2^31)`, {
    hint: 'make a new KEK and promote it; what is closed stays readable',
    detail: { kekId, wraps },
  })
}
