import type { Random } from '../ports.ts'

const baseMs = 1_000
/** The longest pause between two attempts. */
export const backoffMaxMs = 900_000

/** How long to wait after the nth failure in a row (1 is the first): full jitter over a span that doubles from 1 s to 15 minutes. */
export function backoffMs(failures: number, random: Random): number {
  const span = Math.min(backoffMaxMs, baseMs * 2 ** Math.min(failures - 1, 20))
  return Math.max(1, Math.ceil(fraction(random) * span))
}

function fraction(random: Random): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4)
  return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) / 2 ** 32
}
