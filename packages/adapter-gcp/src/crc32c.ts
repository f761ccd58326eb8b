/** CRC-32C (Castagnoli), as `dataCrc32c` has it: an unsigned number of 32 bits. RFC 3720, B.4. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  // the index is a byte, so the table has it
  for (const byte of bytes) crc = (table[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc >>> 0
})
