import { createSecretKey } from 'node:crypto'
import type { OpenContext } from '@keyturn/core'
import { wallClock } from './clock.ts'
import { seededRandom } from './memory-harness.ts'

/** What a broker gives an adapter, for its tests: the machine's clock, randomness that repeats, a key that is no secret, and no data folder. */
export function testContext(seed: string, other: Partial<OpenContext> = {}): OpenContext {
  return { clock: wallClock, random: seededRandom(seed), etagKey: createSecretKey(Buffer.alloc(32, 7)), data: '/nonexistent', ...other }
}
