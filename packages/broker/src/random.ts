import { randomFillSync, randomUUID } from 'node:crypto'
import type { Random } from '@keyturn/core'

const poolBytes = 8_192

/** Strong randomness in small pieces from a pool, because one call to the system for each piece costs more than the piece. No byte is given out twice. */
export function pooledRandom(): Random {
  const pool = Buffer.allocUnsafeSlow(poolBytes)
  let at = poolBytes
  const bytes = (count: number): Uint8Array => {
    if (count > poolBytes / 4) return randomFillSync(Buffer.allocUnsafeSlow(count))
    if (at + count > poolBytes) {
      randomFillSync(pool)
      at = 0
    }
    const piece = Buffer.allocUnsafeSlow(count)
    pool.copy(piece, 0, at, at + count)
    // what was given out must not wait here to be read again
    pool.fill(0, at, at + count)
    at += count
    return piece
  }
  return { bytes, uuid: () => randomUUID() }
}
