import { readFile } from 'node:fs/promises'
import { BrokerError, type Clock } from '@keyturn/core'
import type { Endpoint } from './transport.ts'

/** What a credential says now: where the server is, and who we are there. */
export interface Login {
  readonly endpoint: Endpoint
  /** Of each request: `authorization`, and whom to stand for. */
  readonly headers: Readonly<Record<string, string>>
}

/** The environment, as far as a login reads it. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A way to a login. */
export interface Credential {
  /** For messages: `the service account of the pod`. */
  readonly title: string
  /** Reads what there is now. `anew`: what was remembered has been refused. Errors: `unauthenticated`, `invalid_argument`. */
  login(signal: AbortSignal, anew: boolean): Promise<Login>
}

export interface CredentialPorts {
  readonly env: Environment
  readonly clock: Clock
}

/** An endpoint of what is known of it. */
export function endpointOf(known: Partial<Endpoint> & { readonly address: string }): Endpoint {
  return { ca: undefined, serverName: undefined, proxy: undefined, cert: undefined, key: undefined, ...known }
}

/** The header of a token. `unauthenticated` for what is no token, which must not get into a message. */
export function bearer(token: string): { authorization: string } {
  if (/^[\x21-\x7e]+$/.test(token)) return { authorization: `Bearer ${token}` }
  throw new BrokerError('unauthenticated', 'kubernetes: the token is not one: it holds white space or other characters that no token has', {
    hint: 'look at where it comes from',
  })
}

/** A file with a credential, without white space around it. `unauthenticated` when it cannot be read or is empty. */
export async function secretText(file: string, what: string, signal: AbortSignal): Promise<string> {
  const text = await readFile(file, { encoding: 'utf8', signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new BrokerError('unauthenticated', `kubernetes: ${what} cannot be read from ${file} (${why})`, {
      hint: 'correct the path, or let this process read the file',
    })
  })
  if (text.trim() !== '') return text.trim()
  throw new BrokerError('unauthenticated', `kubernetes: ${file} is empty and should hold ${what}`, { hint: 'fill the file' })
}
