import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { BrokerError } from '@keyturn/core'
import type { PoolConfig } from 'pg'

/**
 * Reads a PostgreSQL URL. Without `sslmode` a connection is encrypted and verified, but for this machine and sockets. The modes
 * mean what libpq says (https://www.postgresql.org/docs/current/libpq-ssl.html); `prefer` and `allow`, which promise nothing, are
 * refused with `invalid_argument`. No message has the URL in it: it may carry a password.
 * `what` names the setting that the URL stands in.
 */
export function postgresAddress(text: string, what: string): PoolConfig {
  const url = parsed(text, what)
  const get = (name: string) => url.searchParams.get(name) ?? undefined
  const host = get('host') ?? (decodeURIComponent(url.hostname).replace(/^\[|\]$/g, '') || 'localhost')
  return {
    host,
    port: Number(get('port') ?? (url.port || 5432)),
    database: decodeURIComponent(url.pathname.slice(1)) || get('dbname') || 'postgres',
    ...(url.username === '' ? {} : { user: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ssl: tls(get('sslmode') ?? (isHere(host) ? 'disable' : 'verify-full'), get('sslrootcert'), what),
    application_name: get('application_name') ?? 'keyturn',
  }
}

function parsed(text: string, what: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new BrokerError('invalid_argument', `${what} is no PostgreSQL URL`, {
      hint: 'write postgres://user:password@host:5432/database',
    })
  }
  return url
}

const isHere = (host: string): boolean =>
  host.startsWith('/') || host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

function tls(mode: string, rootFile: string | undefined, what: string): PoolConfig['ssl'] {
  const ca = rootFile === undefined || rootFile === 'system' ? {} : { ca: certificate(rootFile, what) }
  switch (mode) {
    case 'disable':
      return false
    case 'require':
      return { ...ca, rejectUnauthorized: rootFile !== undefined, checkServerIdentity: () => undefined }
    case 'verify-ca':
      return { ...ca, rejectUnauthorized: true, checkServerIdentity: () => undefined }
    case 'verify-full':
      return { ...ca, rejectUnauthorized: true }
    default:
      throw new BrokerError('invalid_argument', `sslmode ${JSON.stringify(mode)} of ${what} promises nothing`, {
        hint: 'write disable, require, verify-ca or verify-full (the default)',
      })
  }
}

function certificate(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new BrokerError('invalid_argument', `sslrootcert of ${what}: ${file} cannot be read (${code})`, { cause: error })
  }
}
