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

/** Errors of the phase in which nothing was sent yet. https://nodejs.org/api/errors.html, https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const unsent =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|ERR_TLS_|ERR_SSL_|ERR_PROXY_|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/

/** An error of Node's by its code alone: the rest may hold what was sent. */
export function cutOf(error: unknown, reused: boolean): Error {
  if (error instanceof TransportError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const isConnecting = error instanceof Error && 'syscall' in error && (error.syscall === 'connect' || error.syscall === 'getaddrinfo')
  if (isConnecting || unsent.test(code)) return new TransportError('connect', `no connection to the server (${code})`)
  const isClosed = code === 'ECONNRESET' || code === 'EPIPE'
  return new TransportError(reused && isClosed ? 'stale' : 'cut', `no whole answer came (${code === '' ? 'no code' : code})`)
}
