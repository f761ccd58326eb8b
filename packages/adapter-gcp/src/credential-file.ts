import { createPrivateKey, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { BrokerError } from '@keyturn/core'
import { exchanged, impersonated, scope } from './exchange.ts'
import { subjectToken } from './subject-token.ts'
import { membersOf, type TokenHttp } from './token-http.ts'
import type { Grant } from './tokens.ts'

/** What turns a credential file into a token. */
export interface FileMeans {
  readonly http: TokenHttp
  readonly now: () => Date
}

type Members = Readonly<Record<string, unknown>>
type Kind = (file: Members, means: FileMeans, signal: AbortSignal) => Promise<Grant>

const tokenUrl = 'https://oauth2.googleapis.com/token'

/** The kinds of credential files that Google's tools write. https://google.aip.dev/auth/4110 */
const kinds: Readonly<Record<string, Kind>> = {
  async service_account(file, { now }) {
    // signed here, so that no authority is asked: https://google.aip.dev/auth/4111
    const endsAt = now().getTime() + 3_600_000
    return { token: assertion(file, { scope }, now()), endsAt }
  },
  async authorized_user(file, means, signal) {
    const form = { grant_type: 'refresh_token', client_id: text(file, 'client_id'), client_secret: text(file, 'client_secret') }
    return exchanged(
      { url: optional(file, 'token_uri') ?? tokenUrl, form: { ...form, refresh_token: text(file, 'refresh_token') } },
      means,
      signal,
    )
  },
  async external_account(file, means, signal) {
    const grant = await exchanged({ url: text(file, 'token_url'), ...(await federation(file, means, signal)) }, means, signal)
    const url = optional(file, 'service_account_impersonation_url')
    if (url === undefined) return grant
    const { token_lifetime_seconds: seconds } = membersAt(file, 'service_account_impersonation')
    return impersonated({ url, delegates: [], seconds: typeof seconds === 'number' ? seconds : 3_600 }, grant, means, signal)
  },
  async external_account_authorized_user(file, means, signal) {
    const form = { grant_type: 'refresh_token', refresh_token: text(file, 'refresh_token') }
    return exchanged({ url: text(file, 'token_url'), headers: basic(file), form }, means, signal)
  },
  async impersonated_service_account(file, means, signal) {
    const source = await ofMembers(membersAt(file, 'source_credentials'), means, signal, 'asked')
    const { delegates } = file
    const names = Array.isArray(delegates) ? delegates.filter(each => typeof each === 'string') : []
    return impersonated({ url: text(file, 'service_account_impersonation_url'), delegates: names, seconds: 3_600 }, source, means, signal)
  },
}

/**
 * A token by a credential file, which is read each time: others replace it. `only` names the one kind that it may be. `asked`: of an authority, as
 * other services of Google may want it. `unauthenticated` when the file is not there or no such credential.
 */
export async function fromFile(
  path: string,
  means: FileMeans,
  signal: AbortSignal,
  { only, token = 'signed' }: { readonly only?: string; readonly token?: 'signed' | 'asked' } = {},
): Promise<Grant> {
  const content = await readFile(path, { encoding: 'utf8', signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw refused(`the credential file ${path} cannot be read (${why})`, 'correct the path, or let this process read the file')
  })
  const file = membersOf(content)
  if (file === undefined) throw refused(`${path} is no JSON`, 'make the file anew')
  if (only !== undefined && file.type !== only) {
    throw refused(`${path} is a credential of another type than ${only}`, 'name the method that fits it, or application-default')
  }
  return ofMembers(file, means, signal, token)
}

async function ofMembers(file: Members, means: FileMeans, signal: AbortSignal, token: 'signed' | 'asked'): Promise<Grant> {
  const universe = optional(file, 'universe_domain')
  if (universe !== undefined && universe !== 'googleapis.com') {
    throw refused('the credential is of another universe than googleapis.com', 'take a credential of the public cloud')
  }
  const type = optional(file, 'type') ?? ''
  const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined
  if (kind === undefined) throw refused('the credential file is of no type that is known', 'make it with gcloud')
  const grant = type === 'service_account' && token === 'asked' ? await asked(file, means, signal) : await kind(file, means, signal)
  const quotaProject = optional(file, 'quota_project_id')
  return quotaProject === undefined ? grant : { ...grant, quotaProject }
}

/** A service account's token as its authority gives it. RFC 7523. */
async function asked(file: Members, means: FileMeans, signal: AbortSignal): Promise<Grant> {
  const url = optional(file, 'token_uri') ?? tokenUrl
  const form = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: assertion(file, { scope, aud: url }, means.now()) }
  return exchanged({ url, form }, means, signal)
}

function assertion(file: Members, claims: object, now: Date): string {
  const iss = text(file, 'client_email')
  const iat = Math.floor(now.getTime() / 1_000)
  const kid = optional(file, 'private_key_id')
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'RS256', typ: 'JWT', kid })}.${part({ iss, sub: iss, ...claims, iat, exp: iat + 3_600 })}`
  try {
    return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), createPrivateKey(text(file, 'private_key'))).toString('base64url')}`
  } catch {
    // the error of the parser may show what it read
    throw refused('the private key of the credential file is no RSA key in PEM', 'make the key file anew')
  }
}

/** RFC 8693, as Google's STS takes it. https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token */
async function federation(file: Members, { http }: FileMeans, signal: AbortSignal) {
  const userProject = optional(file, 'workforce_pool_user_project')
  return {
    headers: basic(file),
    form: {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: text(file, 'audience'),
      scope,
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      subject_token_type: text(file, 'subject_token_type'),
      subject_token: await subjectToken(file, http, signal),
      ...(userProject === undefined ? {} : { options: JSON.stringify({ userProject }) }),
    },
  }
}

function basic(file: Members): Readonly<Record<string, string>> {
  const [id, secret] = [optional(file, 'client_id'), optional(file, 'client_secret')]
  if (id === undefined || secret === undefined) return {}
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
}

function text(file: Members, member: string): string {
  const value = optional(file, member)
  if (value === undefined) throw refused(`the credential file has no ${member}`, 'make the file anew')
  return value
}

function optional(file: Members, member: string): string | undefined {
  const value = file[member]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function membersAt(file: Members, member: string): Members {
  const value = file[member]
  return typeof value === 'object' && value !== null ? (value as Members) : {}
}

function refused(why: string, hint: string): BrokerError {
  return new BrokerError('unauthenticated', `gcp: ${why}`, { hint })
}
