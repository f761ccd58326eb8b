import { TransportError as AnyTransportError, neverSent, type TransportFailure } from '@keyturn/core'

/**
 * `stale`: a cut before any of the answer came, as of a kept connection that the server closed in the same moment. `elsewhere`: the request was about to go where it must not. `closed`: the store was
 * closed under it.
 */
export type Failure = TransportFailure | 'stale' | 'elsewhere' | 'closed'

/** What a request ends with that got no answer of the vault's kind, or of the authority's. */
export class TransportError extends AnyTransportError<Failure> {}

/** An error of undici by its code alone: the rest may hold what was sent. `hasHead`: the answer had begun. */
export function cutOf(error: unknown, hasHead: boolean): TransportError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (neverSent(error)) return new TransportError('connect', `no connection to the server (${code})`)
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return new TransportError('too_large', 'the answer is larger than any of a vault')
  const isStale = !hasHead && (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE')
  return new TransportError(isStale ? 'stale' : 'cut', `no whole answer came (${code === '' ? 'no code' : code})`)
}
