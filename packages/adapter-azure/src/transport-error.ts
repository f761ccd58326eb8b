import { TransportError as AnyTransportError, neverSent, type TransportFailure } from '@keyturn/core'

/**
 * `stale`: a cut on a connection that was kept from an earlier call. `elsewhere`: the request was about to go where it must not. `closed`: the store was
 * closed under it.
 */
export type Failure = TransportFailure | 'stale' | 'elsewhere' | 'closed'

/** What a request ends with that got no answer of the vault's kind, or of the authority's. */
export class TransportError extends AnyTransportError<Failure> {}

/** An error of Node's by its code alone: the rest may hold what was sent. */
export function cutOf(error: unknown, reused: boolean): Error {
  if (error instanceof TransportError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (neverSent(error)) return new TransportError('connect', `no connection to the server (${code})`)
  const isClosed = code === 'ECONNRESET' || code === 'EPIPE'
  return new TransportError(reused && isClosed ? 'stale' : 'cut', `no whole answer came (${code === '' ? 'no code' : code})`)
}
