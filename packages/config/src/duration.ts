import { BrokerError } from '@keyturn/core'

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const
const grammar = /^(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?$/
/** A hundred years: more is a slip of the finger, and a timer far beyond it would overflow. */
const longestMs = 36_525 * 86_400_000

/** Reads `90d`, `24h`, `1h30m`, `10s`, `0s`: whole numbers, largest unit first. Answers milliseconds; anything else is `invalid_argument` with the right form as its hint. */
export function parseDuration(text: string): number {
  const ms = durationMs(text)
  if (ms === undefined) throw new BrokerError('invalid_argument', 'not a duration', { hint: durationRemedy(text) })
  return ms
}

/** Milliseconds, or undefined where the text is no duration. */
export function durationMs(text: string): number | undefined {
  const match = grammar.exec(text)
  if (match === null || text === '') return undefined
  const ms = units.reduce((sum, [, unitMs], index) => sum + Number(match[index + 1] ?? 0) * unitMs, 0)
  return ms <= longestMs ? ms : undefined
}

/** Writes milliseconds as `parseDuration` reads them, in days only from two days up: 86400000 is `24h`, 90 minutes `1h30m`. Below a second it rounds up. */
export function formatDuration(ms: number): string {
  let rest = Math.ceil(ms / 1000) * 1000
  if (rest === 0) return '0s'
  const parts: string[] = []
  for (const [name, unitMs] of units) {
    if (name === 'd' && rest % unitMs !== 0 && rest < 2 * unitMs) continue
    if (name === 'd' && rest === unitMs) continue
    const count = Math.floor(rest / unitMs)
    rest -= count * unitMs
    if (count > 0) parts.push(`${count}${name}`)
  }
  return parts.join('')
}

const general = 'write whole numbers with d, h, m or s, largest first, such as 30d, 24h, 1h30m or 10s'
const words: Readonly<Record<string, string>> = { day: 'd', hour: 'h', hr: 'h', minute: 'm', min: 'm', second: 's', sec: 's' }

/** What to write in place of a wrong form; without the text, the general rule. */
export function durationRemedy(text?: string): string {
  // longer than any slip of the pen
  if (text === undefined || text.length > 40) return general
  if (/^\d+$/.test(text)) return `a unit is missing: write ${text}s, ${text}m, ${text}h or ${text}d`
  const meant = repaired(text)
  const ms = meant === undefined ? undefined : durationMs(meant)
  if (ms !== undefined) return `write ${meant}`
  if (/^\d+ms$/.test(text)) return 'whole seconds are the smallest unit: write 1s'
  if (/^-/.test(text)) return 'a duration is never negative: write 10s'
  if (grammar.test(text)) return `at most ${formatDuration(longestMs)}: write 365d`
  return general
}

function repaired(text: string): string | undefined {
  const plain = text
    .trim()
    .toLowerCase()
    .replace(/^pt?(?=\d)/, '')
    .replace(/t/, t => (/^p/i.test(text.trim()) ? '' : t))
  const weeks = /^(\d{1,6})\s*(?:w|weeks?)$/.exec(plain)
  if (weeks !== null) return `${Number(weeks[1]) * 7}d`
  const half = /^(\d{1,6})[.,]5\s*h(?:ours?)?$/.exec(plain)
  if (half !== null) return `${half[1]}h30m`.replace(/^0h/, '')
  const spelt = plain.replace(/\s*([a-z]+?)s?(?=[\s\d]|$)/g, (whole, word: string) => words[word] ?? whole.trim()).replace(/[\s,]+/g, '')
  if (spelt !== text && durationMs(spelt) !== undefined) return spelt
  const parts = [...spelt.matchAll(/(\d{1,9})([dhms])/g)]
  if (parts.map(part => part[0]).join('') !== spelt) return undefined
  const total = parts.reduce((sum, part) => sum + Number(part[1]) * (units.find(([name]) => name === part[2])?.[1] ?? 0), 0)
  return total > 0 && total <= longestMs ? formatDuration(total) : undefined
}
