import { BrokerError } from '@keyturn/core'

/** How long an answer is kept. */
export const answerKeptMs = 24 * 3_600_000
/** After this no request is running any more, whatever became of its broker: longer than any deadline of a request. */
export const requestRunsMs = 600_000

interface Begun {
  readonly bodyHash: Uint8Array
  readonly answer: { readonly status: number; readonly body: string } | null
}

/** The answer that a repeated request gets; `conflict` when it is not the same request or the first has no answer yet. */
export function repeated(begun: Begun, bodyHash: Uint8Array): { readonly status: number; readonly body: string } {
  if (Buffer.compare(begun.bodyHash, bodyHash) !== 0) {
    throw new BrokerError('conflict', 'the idempotency key was used for another request', { hint: 'use a new key for each request' })
  }
  if (begun.answer === null) {
    throw new BrokerError('conflict', 'the first request with this idempotency key is still running', { retryAfterMs: 1_000 })
  }
  return begun.answer
}
