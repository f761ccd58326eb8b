import type { IncomingHttpHeaders } from 'node:http'

/** How long the server wants to be left alone: seconds, or a date, counted from the answer's own. RFC 9110, 10.2.3. Undefined when it says neither. */
export function waitOf(headers: Pick<IncomingHttpHeaders, 'retry-after' | 'date'>): number | undefined {
  const text = headers['retry-after']
  if (text === undefined) return undefined
  if (/^\d{1,6}$/.test(text)) return Number(text) * 1_000
  const wait = Date.parse(text) - Date.parse(headers.date ?? '')
  return Number.isNaN(wait) || wait < 0 ? undefined : wait
}
