/** Codes of the phase before a request: looking a name up, connecting, agreeing on TLS, and every verdict on a certificate. */
const codes =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|EPROTO|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_|ERR_SSL_|ERR_OSSL_|ERR_PROXY_|CERT_|CRL_|ERROR_IN_C|INVALID_(?:CA|PURPOSE)|PATH_LENGTH_EXCEEDED|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/
/** TLS that breaks later: a request may have gone out before. */
const later = /bad.record.mac|decryption.failed/i
/** A handshake that the other side ended has no code of its own. */
const early = /before secure TLS connection was established/

/**
 * Whether an error of Node's sockets or of undici says that no request went out, so that nothing can have happened. Anything else is in doubt. Pure.
 * https://nodejs.org/api/errors.html, https://nodejs.org/api/tls.html#x509-certificate-error-codes, https://undici.nodejs.org/#/docs/api/Errors.md
 */
export function neverSent(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  if (later.test(`${code} ${error.message}`)) return false
  const isConnecting = 'syscall' in error && (error.syscall === 'connect' || error.syscall === 'getaddrinfo')
  return isConnecting || codes.test(code) || early.test(error.message)
}
