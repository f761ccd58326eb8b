import { neverSent } from '@keyturn/core'

/**
 * Why a request got no usable answer. `connect`: it was never sent. `cut`: it may have been acted on; `stale` is a cut on a connection that was kept
 * from an earlier call. `elsewhere`: it was about to go where it must not.
 */
export type Failure = 'connect' | 'cut' | 'stale' | 'redirect' | 'foreign' | 'too_large' | 'elsewhere' | 'closed'

/** A request that got no answer of the server's kind. It carries neither what was sent nor what came back. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly failure: Failure
  readonly status: number | undefined
  readonly retryAfterMs: number | undefined

  constructor(failure: Failure, message: string, more: { readonly status?: number; readonly retryAfterMs?: number | undefined } = {}) {
    super(message)
    this.failure = failure
    this.status = more.status
    this.retryAfterMs = more.retryAfterMs
  }
}

/** An error of Node's by its code alone: the rest may hold what was sent. */
export function cutOf(error: unknown, reused: boolean): Error {
  if (error instanceof TransportError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (neverSent(error)) return new TransportError('connect', `no connection to the server (${code})`)
  const isClosed = code === 'ECONNRESET' || code === 'EPIPE'
  return new TransportError(reused && isClosed ? 'stale' : 'cut', `no whole answer came (${code === '' ? 'no code' : code})`)
}
