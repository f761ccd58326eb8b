import type { Clock } from '@keyturn/core'

/** The longest pause that `setTimeout` keeps; a longer one would run at once. */
const pauseMaxMs = 2_147_483_647

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => new Date(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), pauseMaxMs))
    return () => clearTimeout(timer)
  },
}
