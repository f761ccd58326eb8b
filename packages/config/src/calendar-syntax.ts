import { Cron } from 'croner'
import { nearest } from './suggestion.ts'

// what five-field cron has everywhere; croner alone would also take seconds, nicknames and its own letters
const cronFields = /^[\dA-Za-z*,/-]+( [\dA-Za-z*,/-]+){4}$/
const cronWords = /[A-Za-z]+/g
const cronNames = /^(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)$/i

// any day will do: an expression that ever ticks does so within some years of it
const anyDay = new Date('2026-01-01T00:00:00Z')

/** Whether the text is a cron expression of five fields, minute hour day month weekday, that ticks at all: the 30th of February is none. */
export function isCron(text: string): boolean {
  if (text.length > 200 || !cronFields.test(text)) return false
  if ((text.match(cronWords) ?? []).some(word => !cronNames.test(word))) return false
  try {
    return new Cron(text, { mode: '5-part', paused: true, timezone: 'UTC' }).nextRun(anyDay) !== null
  } catch {
    return false
  }
}

/** What to write in place of a wrong expression. */
export function cronRemedy(source?: string): string {
  const fields = source?.trim().split(/\s+/).length
  if (source?.startsWith('@')) return 'write the five fields: @daily is 0 0 * * *'
  if (fields === 6) return 'write five fields, without seconds: minute hour day month weekday, such as 0 2 * * 1-5'
  return 'write minute hour day month weekday, such as 0 2 * * 1-5'
}

/** Whether the text is an IANA name that this runtime knows; offsets such as +01:00 are not, because they have no summer time. */
export function isTimeZone(text: string): boolean {
  if (text.length > 64 || !/^[A-Za-z]/.test(text)) return false
  try {
    const resolved = new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
    return resolved === text || resolved.toLowerCase() !== text.toLowerCase()
  } catch {
    return false
  }
}

/** What to write in place of a wrong zone. */
export function timeZoneRemedy(source?: string): string {
  const near = source === undefined || source.length > 64 ? undefined : nearest(source, [...Intl.supportedValuesOf('timeZone'), 'UTC'])
  return near === undefined ? 'write an IANA name, such as Europe/Berlin or UTC' : `did you mean ${near}?`
}
