import type { Clock } from '@keyturn/core'

/** The time in milliseconds, read once a turn of the event loop: what happens in one turn happens at one time, and costs one look. */
export class TurnClock {
  readonly #clock: Clock
  #nowMs: number | undefined
  readonly #forget = () => {
    this.#nowMs = undefined
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  nowMs(): number {
    if (this.#nowMs !== undefined) return this.#nowMs
    setImmediate(this.#forget)
    this.#nowMs = this.#clock.now().getTime()
    return this.#nowMs
  }
}
