import type { Clock } from '@keyturn/core'

/** The machine's clock: checks run against real backends, whose deadlines are real. */
export const wallClock: Clock = {
  now: () => new Date(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
