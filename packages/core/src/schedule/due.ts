import { createHash } from 'node:crypto'
import type { SecretId } from '../name.ts'

const hourMs = 3_600_000
const withoutJitterBelowMs = 600_000

/**
 * When a secret is due: its last promotion, plus the period, plus a jitter that is fixed for the secret and spread evenly over a
 * tenth of the period or an hour, whichever is less. A period below ten minutes has none.
 */
export function dueTime(promotedAt: Date, everyMs: number, secretId: SecretId): Date {
  return new Date(promotedAt.getTime() + everyMs + jitterMs(everyMs, secretId))
}

function jitterMs(everyMs: number, secretId: SecretId): number {
  if (everyMs < withoutJitterBelowMs) return 0
  const spread = Math.min(everyMs / 10, hourMs)
  const fraction = createHash('sha256').update(secretId).digest().readUInt32BE() / 2 ** 32
  return Math.floor(spread * fraction)
}
