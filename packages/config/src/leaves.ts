import { z } from 'zod'
import { cronRemedy, isCron, isTimeZone, timeZoneRemedy } from './calendar-syntax.ts'
import { durationMs, durationRemedy } from './duration.ts'
import { sizeBytes, sizeRemedy } from './size.ts'

/** What a leaf's complaint may add: what to write, given the text as it stands in the file (left out where it holds a variable). */
export interface LeafParams {
  readonly remedy: (source?: string) => string
}

/** A leaf that is read from text by a function; what the function refuses is answered with `message` and `remedy`. */
function leaf<T>(
  read: (text: string) => T | undefined,
  message: string | ((text: string) => string),
  params: LeafParams,
  meta: { description: string; examples: string[]; pattern?: string },
) {
  return z
    .string()
    .transform((text, context): T => {
      const value = read(text)
      if (value !== undefined) return value
      const said = typeof message === 'string' ? message : message(text)
      context.issues.push({ code: 'custom', input: text, message: said, params: { ...params } })
      return z.NEVER
    })
    .meta(meta)
}

const durationPattern = '^(?=.)(\\d+d)?(\\d+h)?(\\d+m)?(\\d+s)?$'
const checked = (test: (text: string) => boolean) => (text: string) => (test(text) ? text : undefined)
const fixed = (remedy: string): LeafParams => ({ remedy: () => remedy })

/** `90d`, `24h`, `1h30m`, `10s`; milliseconds. Zero is a duration. */
export const duration = () =>
  leaf(
    durationMs,
    'not a duration',
    { remedy: durationRemedy },
    { description: 'a duration: whole numbers with d, h, m or s', examples: ['30d', '1h30m'], pattern: durationPattern },
  )

/** A duration of at least a second. */
export const period = () =>
  leaf(
    text => durationMs(text) || undefined,
    text => (durationMs(text) === 0 ? 'not above zero' : 'not a duration'),
    { remedy: source => (source !== undefined && durationMs(source) === 0 ? 'write at least 1s' : durationRemedy(source)) },
    { description: 'a duration of at least a second', examples: ['30d', '1h30m'], pattern: durationPattern },
  )

/** `64KiB`; bytes. */
export const size = () =>
  leaf(
    sizeBytes,
    'not a size',
    { remedy: sizeRemedy },
    { description: 'a size: a whole number with B, KiB, MiB or GiB', examples: ['64KiB'], pattern: '^\\d+(B|KiB|MiB|GiB)$' },
  )

/** An IANA name, `Europe/Berlin` or `UTC`. */
export const timeZone = () =>
  leaf(
    checked(isTimeZone),
    'not a time zone',
    { remedy: timeZoneRemedy },
    { description: 'an IANA time zone', examples: ['Europe/Berlin', 'UTC'] },
  )

/** Five fields of cron. */
export const cron = () =>
  leaf(
    checked(isCron),
    'not a cron expression',
    { remedy: cronRemedy },
    { description: 'cron: minute hour day month weekday', examples: ['0 2 * * 1-5'] },
  )

/** `YYYY-MM-DD`, a day that exists. */
export const day = () =>
  leaf(
    checked(text => /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true),
    'not a day of the calendar',
    fixed('write year, month and day, such as 2026-12-20'),
    { description: 'a day, YYYY-MM-DD', examples: ['2026-12-20'], pattern: '^\\d{4}-\\d{2}-\\d{2}$' },
  )

/** Text that is not empty. */
export const text = (description: string, ...examples: string[]) =>
  z
    .string()
    .min(1)
    .meta(examples.length === 0 ? { description } : { description, examples })

/** The path of a file or folder; relative ones start from the file they stand in. */
export const path = (description: string, ...examples: string[]) => text(`${description}; relative paths start from this file`, ...examples)

/** `host:port`; the port may be 0. */
export const address = () =>
  leaf(readAddress, 'not an address to listen on', fixed('write host:port, such as 127.0.0.1:8320 or [::1]:8320'), {
    description: 'host:port',
    examples: ['127.0.0.1:8320'],
  })

/** Where the broker listens; port 0: any that is free. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Reads `host:port`, an IPv6 host in brackets; undefined for anything else. */
export function readAddress(text: string): ListenAddress | undefined {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  return match?.[1] === undefined || port > 65_535 ? undefined : { host: match[1].replace(/^\[|\]$/g, ''), port }
}

/** A URL of one of the schemes. */
export const url = (...schemes: string[]) =>
  leaf(
    checked(text => schemes.some(scheme => text.startsWith(`${scheme}://`)) && URL.canParse(text)),
    'not a URL that can be used here',
    fixed(`write ${schemes.map(scheme => `${scheme}://...`).join(' or ')}`),
    { description: `a URL, ${schemes.join(' or ')}`, examples: [`${schemes[0]}://example.com`] },
  )

/** A word of letters, digits and `-`, as kinds, groups and sections are called. */
export const word = (description: string) =>
  leaf(
    checked(text => /^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(text)),
    'not a name of this sort',
    fixed('write letters, digits, - and _, starting with a letter'),
    { description, examples: [] },
  )
