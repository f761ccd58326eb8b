import type { Random } from '@keyturn/core'

/** Ids of requests: a random head for this run and a count, which costs no randomness for each. */
export function requestIds(random: Random): () => string {
  const head = `req_${Buffer.from(random.bytes(9)).toString('base64url')}`
  let count = 0
  return () => `${head}${(++count).toString(36).padStart(6, '0')}`
}
