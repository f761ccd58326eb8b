import type { Clock } from '@keyturn/core'

/** A clock that stands still until it is moved, and then runs what became due, in order. */
export class SimulatedClock implements Clock {
  #now: number
  #timers: { readonly at: number; readonly run: () => void }[] = []

  constructor(start = Date.UTC(2026, 0, 15, 3)) {
    this.#now = start
  }

  now(): Date {
    return new Date(this.#now)
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Moves on by some milliseconds. */
  advance(ms: number): void {
    this.#now += ms
    for (;;) {
      const due = this.#timers.filter(timer => timer.at <= this.#now).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) return
      this.#timers = this.#timers.filter(other => other !== due)
      due.run()
    }
  }

  /** Moves time for the world, but not for a process that is stopped: what it was waiting for stays away until it goes on. */
  pause(move: () => void): void {
    const asleep = this.#timers
    this.#timers = []
    move()
    this.#timers = [...asleep, ...this.#timers]
  }

  /** Moves on to a time, never back. */
  advanceTo(at: Date): void {
    this.advance(Math.max(0, at.getTime() - this.#now))
  }
}
