import type { Clock, Envelopes } from '@keyturn/core'
import type { Pace } from './pass-run.ts'

const hourMs = 3_600_000
/**
 * How often a scrub begins. A row may be the first of one scrub and the last of the next: both times together are less than a day, and an hour is left
 * for what comes in between, so that every stored value is opened at least once in any day.
 */
export const scrubEveryMs = 18 * hourMs
/** How long one takes. */
export const scrubSpanMs = 5 * hourMs
const rowsPerSecondMax = 2_000
const rowsMax = 500
const waitMaxMs = 60_000
const waitMinMs = 1_000

/** The pace of a scrub: its rows spread evenly over its time, whichever brokers open them, and never faster than a rate that readers do not feel. */
export function scrubPace(id: string, startedAt: Date, clock: Clock): Pace {
  let notBeforeMs = 0
  return async envelopes => {
    const nowMs = clock.now().getTime()
    if (nowMs < notBeforeMs) return { waitMs: notBeforeMs - nowMs }
    const { due, waitMs } = await share(envelopes, id, nowMs - startedAt.getTime())
    if (due < 1) return { waitMs }
    const rows = Math.min(due, rowsMax)
    notBeforeMs = nowMs + Math.ceil((rows / rowsPerSecondMax) * 1_000)
    return { rows }
  }
}

/** How many rows should be seen by now and are not, and when the next one should. */
async function share(envelopes: Envelopes, id: string, elapsedMs: number): Promise<{ readonly due: number; readonly waitMs: number }> {
  const { total = 0, done = 0, skipped = 0, failed = 0 } = (await envelopes.progress(id)) ?? {}
  const seen = done + skipped + failed
  // nothing is left, or time is up: only a step finds out that it is over
  if (seen >= total || elapsedMs >= scrubSpanMs) return { due: rowsMax, waitMs: 0 }
  const due = Math.floor((total * Math.max(0, elapsedMs)) / scrubSpanMs) - seen
  const waitMs = ((seen + 1) / total) * scrubSpanMs - elapsedMs
  return { due, waitMs: Math.min(waitMaxMs, Math.max(waitMinMs, waitMs)) }
}
