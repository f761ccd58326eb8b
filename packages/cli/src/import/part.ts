import { limits } from '@keyturn/api'

/** Where a piece of a stream begins: its line, and in an array which item it is; both from 1. */
export interface Spot {
  readonly line: number
  readonly item?: number
}

/** A piece of a stream that is read by itself, or why it cannot be. Neither a name nor a value is in a fault. */
export type Part<T> = Spot & ({ readonly content: T } | { readonly fault: string })

/** Cuts a stream of bytes into parts as they come, in bounded memory. */
export interface Splitter<T> {
  push(chunk: Uint8Array): readonly Part<T>[]
  /** What was left open when the stream ended. */
  end(): readonly Part<T>[]
}

/** Bytes of one part at most: what is longer has a quote or a bracket that never ends, or no place in a request. */
export const partBytesMax = limits.bodyBytesMax

/** Bytes that grow by one, up to a limit; beyond it they are counted and dropped. */
export class ByteBuffer {
  #bytes = Buffer.alloc(256)
  #length = 0

  get length(): number {
    return this.#length
  }

  push(byte: number): void {
    if (this.#length < partBytesMax) {
      if (this.#length === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2)
      this.#bytes[this.#length] = byte
    }
    this.#length += 1
  }

  /** A copy of what was pushed, and begins anew. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, Math.min(this.#length, partBytesMax)))
    this.#length = 0
    return taken
  }
}

/** The bytes of a stream without a byte order mark at its start. */
export function withoutMark(chunk: Uint8Array): Uint8Array {
  return chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf ? chunk.subarray(3) : chunk
}
