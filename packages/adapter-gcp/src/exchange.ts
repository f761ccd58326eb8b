import { BrokerError } from '@keyturn/core'
import type { TokenHttp, TokenRequest } from './token-http.ts'
import type { Grant } from './tokens.ts'

/** What a token is for; rights come from IAM. */
export const scope = 'https://www.googleapis.com/auth/cloud-platform'

/** What an exchange needs. */
export interface ExchangeMeans {
  readonly http: TokenHttp
  readonly now: () => Date
}

/** An access token of an OAuth authority. RFC 6749, 5.1. */
export async function exchanged(request: TokenRequest, { http, now }: ExchangeMeans, signal: AbortSignal): Promise<Grant> {
  const asked = now().getTime()
  return grantOf(await http.members(request, signal), asked)
}

/** Reads an access token and its life in seconds. */
export function grantOf({ access_token: token, expires_in: seconds }: Readonly<Record<string, unknown>>, asked: number): Grant {
  const life = Number(seconds)
  if (typeof token !== 'string' || token === '' || !(life > 0))
    throw new BrokerError('corrupt', 'gcp: a login was answered without a token or its life')
  return { token, endsAt: asked + life * 1_000 }
}

/** A token of another account, by one that may impersonate it. https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken */
export async function impersonated(
  { url, delegates, seconds }: { readonly url: string; readonly delegates: readonly string[]; readonly seconds: number },
  by: Grant,
  { http }: ExchangeMeans,
  signal: AbortSignal,
): Promise<Grant> {
  const json = { delegates: delegates.map(fullName), scope: [scope], lifetime: `${seconds}s` }
  const { accessToken: token, expireTime } = await http.members({ url, headers: { authorization: `Bearer ${by.token}` }, json }, signal)
  const endsAt = Date.parse(String(expireTime))
  if (typeof token !== 'string' || Number.isNaN(endsAt))
    throw new BrokerError('corrupt', 'gcp: an impersonation was answered without a token or its end')
  return { token, endsAt }
}

/** Where to ask for the token of a service account. */
export function impersonationUrl(serviceAccount: string): string {
  return `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${serviceAccount}:generateAccessToken`
}

function fullName(delegate: string): string {
  return delegate.startsWith('projects/') ? delegate : `projects/-/serviceAccounts/${delegate}`
}
