import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { BrokerError } from '@keyturn/core'
import type { PoolConfig } from 'pg'
import { type Host, type Hosts, hostsOf } from './hosts.ts'

/** How a database is reached: at the first of its hosts that takes writes. */
export interface PostgresAddress extends PoolConfig {
  readonly hosts: Hosts
}

/**
 * Reads a PostgreSQL URL, which may name several hosts, as libpq's does (`postgres://h1:5432,h2:5433/db`). Without `sslmode` a connection is
 * encrypted and verified, but for this machine and sockets. The modes mean what libpq says
 * (https://www.postgresql.org/docs/current/libpq-ssl.html); `prefer` and `allow`, which promise nothing, are refused with
 * `invalid_argument`. So is a `target_session_attrs` but `read-write` and `primary`, the default: on a standby nothing can be kept.
 * No message has the URL in it: it may carry a password. `what` names the setting that the URL stands in, `ca` is the text of the
 * authorities where the URL names no `sslrootcert`.
 */
export function postgresAddress(text: string, what: string, ca?: string): PostgresAddress {
  try {
    return read(text, what, ca)
  } catch (error) {
    // of `decodeURIComponent`
    throw error instanceof URIError ? noAddress(what) : error
  }
}

function read(text: string, what: string, ca: string | undefined): PostgresAddress {
  const { url, authority } = parsed(text, what)
  const get = (name: string) => url.searchParams.get(name) ?? undefined
  mustWantWrites(get('target_session_attrs') ?? 'read-write', what)
  const hosts = hostsOf(authority, get('host'), get('port'))
  if (hosts === undefined) throw noAddress(what)
  const rootFile = get('sslrootcert')
  const roots = rootFile === undefined ? ca : rootFile === 'system' ? undefined : certificate(rootFile, what)
  return {
    hosts,
    ...hosts[0],
    database: decodeURIComponent(url.pathname.slice(1)) || get('dbname') || 'postgres',
    ...(url.username === '' ? {} : { user: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ssl: tls(get('sslmode') ?? (hosts.every(isHere) ? 'disable' : 'verify-full'), roots, rootFile, what),
    application_name: get('application_name') ?? 'keyturn',
  }
}

/** The URL, its hosts apart: no parser of URLs takes several. */
function parsed(text: string, what: string): { readonly url: URL; readonly authority: string } {
  const [, start, authority, rest] = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^/?#]*)(.*)$/s.exec(text) ?? []
  // a host for the parser, which knows no user at none
  const url = start === undefined || authority === undefined ? null : URL.parse(`${start}host${rest}`)
  if (url === null || authority === undefined) throw noAddress(what)
  return { url, authority }
}

function noAddress(what: string): BrokerError {
  return new BrokerError('invalid_argument', `${what} is no PostgreSQL URL`, {
    hint: 'write postgres://user:password@host:5432/database, with %25 for a percent sign and so on',
  })
}

function mustWantWrites(wanted: string, what: string): void {
  if (wanted === 'read-write' || wanted === 'primary') return
  throw new BrokerError(
    'invalid_argument',
    `target_session_attrs ${JSON.stringify(wanted)} of ${what} does not find the server that takes writes`,
    {
      hint: 'write read-write (the default) or primary',
    },
  )
}

const isHere = ({ host }: Host): boolean =>
  host.startsWith('/') || host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

function tls(mode: string, roots: string | undefined, rootFile: string | undefined, what: string): PoolConfig['ssl'] {
  const ca = roots === undefined ? {} : { ca: roots }
  switch (mode) {
    case 'disable':
      return false
    case 'require':
      return { ...ca, rejectUnauthorized: roots !== undefined || rootFile !== undefined, checkServerIdentity: () => undefined }
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
