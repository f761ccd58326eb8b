/** What a request may weigh at most. A body beyond them is refused before it is parsed. */
export const limits = {
  /** Bytes of a request body. Compressed bodies are refused with 415: what they unfold to cannot be known. */
  bodyBytesMax: 1024 * 1024,
  /** Objects and arrays inside one another. */
  jsonDepthMax: 32,
  /** Strings in a JSON body, names of members among them. */
  jsonStringsMax: 1000,
  /** Bytes of one field of a value, before any encoding. */
  valueBytesMax: 64 * 1024,
  /** Bytes of a request target: a name of 512 bytes, each of them percent-encoded, and room for a query. */
  targetBytesMax: 4096,
  batchItemsMax: 100,
  listLimitMax: 1000,
  listLimitDefault: 100,
  /** Milliseconds for all headers, for a whole request, and between two requests on one connection. */
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 65_000,
} as const
