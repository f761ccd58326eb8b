import { readFile } from 'node:fs/promises'
import { BrokerError, type ErrorCode } from '@keyturn/core'
import type { Answer } from './answer.ts'
import { classify, hasStatus, isApiError } from './classify.ts'
import type { Client } from './client.ts'
import { membersOf, parsed } from './json-source.ts'
import type { VaultAuth } from './options.ts'

/** A token and what the server said of it. */
export interface Grant {
  readonly token: string
  /** 0: it does not end. */
  readonly ttlMs: number
  readonly renewable: boolean
  /** We made it by logging in, so it is ours to revoke. */
  readonly ours: boolean
  /** It was seen to have the right to look itself up, so that a refused look-up means that it ended. */
  readonly looksUp: boolean
}

/** The environment, as far as a login reads it. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A way to a token. */
export interface Credential {
  /** For messages: `the kubernetes login as role app at auth/kubernetes`. */
  readonly title: string
  /** Whether asking again can give another token. */
  readonly again: boolean
  login(client: Client, signal: AbortSignal): Promise<Grant>
}

const podTokenFile = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/** The way to a token that a section names; without `auth` the token of `VAULT_TOKEN`. Files are read at each login, because others replace them. */
export function credentialOf(auth: VaultAuth = { method: 'token' }, env: Environment): Credential {
  if (auth.method === 'token') return tokenCredential(auth, env)
  const place = `auth/${auth.mount}`
  if (auth.method === 'jwt') return jwtCredential(auth, place)
  if (auth.method === 'approle') {
    const { roleId, secretId, secretIdFile } = auth
    return loginCredential(`the approle login at ${place}`, `${place}/login`, async signal => ({
      role_id: roleId,
      ...(secretIdFile === undefined ? {} : { secret_id: await contentOf(secretIdFile, 'the secret id', signal) }),
      ...(secretId === undefined ? {} : { secret_id: secretId }),
    }))
  }
  const file = auth.tokenFile ?? env.KEYTURN_SERVICE_ACCOUNT_TOKEN_FILE ?? podTokenFile
  return loginCredential(`the kubernetes login as role ${auth.role} at ${place}`, `${place}/login`, async signal => ({
    role: auth.role,
    jwt: await contentOf(file, 'the service account token', signal),
  }))
}

function loginCredential(title: string, path: string, body: (signal: AbortSignal) => Promise<Record<string, string>>): Credential {
  return {
    title,
    again: true,
    async login(client, signal) {
      return grantOf(await client.write(path, JSON.stringify(await body(signal)), { token: undefined, signal }))
    },
  }
}

function jwtCredential({ role, token, tokenFile }: Extract<VaultAuth, { method: 'jwt' }>, place: string): Credential {
  const as = role === undefined ? '' : ` as role ${role}`
  return loginCredential(`the jwt login${as} at ${place}`, `${place}/login`, async signal => ({
    ...(role === undefined ? {} : { role }),
    // the schema lets one of the two through
    jwt: tokenFile === undefined ? (token ?? '') : await contentOf(tokenFile, 'the JWT', signal),
  }))
}

function tokenCredential(
  { token, tokenFile }: { token?: string | undefined; tokenFile?: string | undefined },
  env: Environment,
): Credential {
  return {
    title: tokenFile === undefined ? 'the token' : `the token of ${tokenFile}`,
    again: tokenFile !== undefined,
    async login(client, signal) {
      const given = token ?? (tokenFile === undefined ? env.VAULT_TOKEN : await contentOf(tokenFile, 'the token', signal))
      if (given === undefined || given === '') {
        throw new BrokerError('unauthenticated', 'vault: there is no token', { hint: 'set VAULT_TOKEN, or give the section auth' })
      }
      return lookedUp(client, given, signal)
    },
  }
}

/** A token without the policy `default` may not look itself up; it is used as one that does not end. */
async function lookedUp(client: Client, token: string, signal: AbortSignal): Promise<Grant> {
  const grant = { token, ttlMs: 0, renewable: false, ours: false, looksUp: false }
  try {
    const answer = await client.read('auth/token/lookup-self', { token, signal })
    const data = membersOf(answer?.member('data') ?? '')
    return { ...grant, looksUp: true, ttlMs: milliseconds(data.get('ttl')), renewable: data.get('renewable') === 'true' }
  } catch (error) {
    if (hasStatus(error, 403)) return grant
    throw error
  }
}

/** Reads the `auth` of a login or a renewal. */
export function grantOf(answer: Answer | undefined): Grant {
  const auth = membersOf(answer?.member('auth') ?? '')
  const token = parsed(auth.get('client_token') ?? 'null')
  if (typeof token !== 'string' || token === '') throw new BrokerError('corrupt', 'vault: a login was answered without a token')
  return { token, ttlMs: milliseconds(auth.get('lease_duration')), renewable: auth.get('renewable') === 'true', ours: true, looksUp: false }
}

function milliseconds(source: string | undefined): number {
  const seconds = Number(source ?? 0)
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : 0
}

async function contentOf(file: string, what: string, signal: AbortSignal): Promise<string> {
  const text = await readFile(file, { encoding: 'utf8', signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new BrokerError('unauthenticated', `vault: ${what} cannot be read from ${file} (${why})`, {
      hint: 'correct the path, or let this process read the file',
    })
  })
  const content = text.trim()
  if (content === '') throw new BrokerError('unauthenticated', `vault: ${file} is empty and should hold ${what}`, { hint: 'fill the file' })
  return content
}

/** What a failed login means: the call that wanted it never went out, so that nothing is unknown. */
export function loginFailed(error: unknown, credential: Credential, address: string): BrokerError {
  if (error instanceof BrokerError) return error
  const { code, retryAfterMs } = classify(error)
  const refused: readonly ErrorCode[] = ['invalid_argument', 'permission_denied', 'not_found', 'unsupported']
  const meant = code === 'outcome_unknown' ? 'unavailable' : refused.includes(code) ? 'unauthenticated' : code
  const why = isApiError(error)
    ? (error.response.body.errors[0] ?? `status ${error.response.statusCode}`)
    : error instanceof Error
      ? error.message
      : ''
  return new BrokerError(meant, `vault: ${credential.title} of ${address} failed: ${why.trim()}`, {
    cause: error,
    ...(meant === 'unauthenticated'
      ? { hint: 'check method, mount, namespace, role and credential; the server’s audit log says which it was' }
      : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}
