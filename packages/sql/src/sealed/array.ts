const types = { text: 25, bytes: 17, integer: 20 } as const

/** What a PostgreSQL array can be made of. */
export type ArrayType = keyof typeof types

/**
 * An array in PostgreSQL's own binary form (src/backend/utils/adt/arrayfuncs.c, array_send), for a parameter cast to `bytea[]`, `text[]` or `bigint[]`: as
 * text every byte would be written as two, and read again.
 */
export function binaryArray(type: ArrayType, values: readonly (string | number | Uint8Array | null)[]): Buffer {
  const parts = values.map(value => (typeof value === 'string' ? Buffer.from(value) : value))
  const size = parts.reduce<number>((sum, part) => sum + 4 + lengthOf(part), 20)
  const array = Buffer.allocUnsafe(size)
  array.writeInt32BE(1, 0)
  array.writeInt32BE(parts.includes(null) ? 1 : 0, 4)
  array.writeInt32BE(types[type], 8)
  array.writeInt32BE(parts.length, 12)
  array.writeInt32BE(1, 16)
  let at = 20
  for (const part of parts) {
    at = array.writeInt32BE(part === null ? -1 : lengthOf(part), at)
    if (part === null) continue
    if (typeof part === 'number') array.writeBigInt64BE(BigInt(part), at)
    else array.set(part, at)
    at += lengthOf(part)
  }
  return array
}

const lengthOf = (part: number | Uint8Array | null): number => (part === null ? 0 : typeof part === 'number' ? 8 : part.length)
