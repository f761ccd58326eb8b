import type { Clock } from '@keyturn/core'

/** A clock that stands still until it is moved. */
export class StillClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 15)
  #timers: { readonly atMs: number; readonly run: () => void }[] = []

  now(): Date {
    return new Date(this.#nowMs)
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Moves to the next timer, no further than to a time; whether it went anywhere. */
  next(untilMs: number): boolean {
    const due = [...this.#timers].sort((a, b) => a.atMs - b.atMs)[0]
    if (due === undefined || due.atMs > untilMs) return false
    this.#timers = this.#timers.filter(other => other !== due)
    this.#nowMs = Math.max(this.#nowMs, due.atMs)
    due.run()
    return true
  }

  skipTo(ms: number): void {
    this.#nowMs = Math.max(this.#nowMs, ms)
  }

  /** Lets time pass, second by second, and everything that follows from it settle. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      this.#nowMs += 1_000
      const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs)
      this.#timers = this.#timers.filter(timer => !due.includes(timer))
      for (const { run } of due) run()
      await new Promise(resolve => setImmediate(resolve))
    }
  }
}
