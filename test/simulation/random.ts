import { createHash } from 'node:crypto'
import type { Random } from '@keyturn/core'

/** Random bytes that repeat with the seed. */
export class SeededRandom implements Random {
  readonly #seed: string
  #count = 0

  constructor(seed: string | number) {
    this.#seed = String(seed)
  }

  bytes(count: number): Uint8Array {
    const parts: Buffer[] = []
    for (let length = 0; length < count; length += 32) {
      this.#count += 1
      parts.push(createHash('sha256').update(`${this.#seed}/${this.#count}`).digest())
    }
    return Buffer.concat(parts).subarray(0, count)
  }

  /** From 0, below 1. */
  fraction(): number {
    return Buffer.from(this.bytes(4)).readUInt32BE() / 2 ** 32
  }

  uuid(): string {
    const hex = Buffer.from(this.bytes(16)).toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
  }
}
