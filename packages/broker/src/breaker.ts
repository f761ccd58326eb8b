import type { Clock } from '@keyturn/core'

/** How many failures in a row open it, and how long it stays open: the first time, and at most. */
export const breakerLimits = { failuresMax: 5, pauseMs: 2_000, pauseMaxMs: 30_000 }

/** Leave to ask: `probe` when one caller alone finds out whether the store is back. */
export interface Pass {
  readonly probe: boolean
}

/**
 * Keeps callers from waiting for a store that does not answer: after some failures in a row nobody asks it for a pause, then one caller does, and
 * the rest when that one was answered. The pause doubles with every probe that fails.
 */
export class Breaker {
  readonly #clock: Clock
  #failures = 0
  #pauseMs = 0
  #untilMs = 0
  #probing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get open(): boolean {
    return this.#pauseMs > 0
  }

  /** Leave to ask, or the milliseconds after which to try again. */
  enter(): Pass | number {
    if (this.#pauseMs === 0) return { probe: false }
    const waitMs = this.#untilMs - this.#clock.now().getTime()
    if (waitMs > 0) return waitMs
    if (this.#probing) return breakerLimits.pauseMs
    this.#probing = true
    return { probe: true }
  }

  /** An answer came, of any kind: a refusal is one. True when it had been open. */
  answered(): boolean {
    const wasOpen = this.open
    this.#failures = 0
    this.#pauseMs = 0
    this.#probing = false
    return wasOpen
  }

  /** None came. True when this opened it. */
  failed({ probe }: Pass): boolean {
    if (probe) this.#probing = false
    this.#failures += 1
    // what was asked before it opened, and fails after, says nothing new
    if (this.open ? !probe : this.#failures < breakerLimits.failuresMax) return false
    const opens = !this.open
    this.#pauseMs = opens ? breakerLimits.pauseMs : Math.min(this.#pauseMs * 2, breakerLimits.pauseMaxMs)
    this.#untilMs = this.#clock.now().getTime() + this.#pauseMs
    return opens
  }

  /** The caller went away, or something else failed: nothing is known. */
  left({ probe }: Pass): void {
    if (probe) this.#probing = false
  }
}
