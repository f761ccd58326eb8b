const hourMs = 3_600_000

/** The first instant, in epoch milliseconds, at which the calendar in a time zone shows `day` (`YYYY-MM-DD`) or a later one. */
export function dayStart(day: string, timeZone: string): number {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit', calendar: 'iso8601' })
  const midnight = Date.parse(`${day}T00:00:00Z`)
  // local time is at most 14 hours ahead of UTC and 12 behind; days only go forward, so halving finds the edge
  let before = midnight - 26 * hourMs
  let after = midnight + 26 * hourMs
  while (before + 1 < after) {
    const middle = Math.floor((before + after) / 2)
    if (localDay(format, middle) >= day) after = middle
    else before = middle
  }
  return after
}

/** The day after, as `YYYY-MM-DD`. */
export function nextDay(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + 24 * hourMs).toISOString().slice(0, 10)
}

function localDay(format: Intl.DateTimeFormat, at: number): string {
  const parts = new Map(format.formatToParts(at).map(part => [part.type, part.value]))
  return `${parts.get('year')}-${parts.get('month')}-${parts.get('day')}`
}
