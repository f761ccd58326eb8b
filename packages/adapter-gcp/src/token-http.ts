import { request as requestHttp } from 'node:http'
import { Agent, request as requestHttps } from 'node:https'
import { BrokerError } from '@keyturn/core'

const answerBytesMax = 1_048_576

/** A request to an authority. */
export interface TokenRequest {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as a form by `POST`. */
  readonly form?: Readonly<Record<string, string>>
  /** Sent as JSON by `POST`. */
  readonly json?: object
}

/** What came back of status 2xx: the text, and one header. */
export interface TokenAnswer {
  readonly text: string
  readonly flavor: string | undefined
}

/**
 * HTTP to whoever gives tokens. Google's own library goes past the section's `ca` and `proxy` here, follows redirects with the credential, retries, and
 * has no deadline. Errors are named, and hold neither what was sent nor what came back but its OAuth code.
 */
export class TokenHttp {
  readonly #agent: Agent

  constructor({ ca, proxy }: { readonly ca?: string | undefined; readonly proxy?: string | undefined }) {
    // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    this.#agent = new Agent({
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
      ...(proxy === undefined ? {} : { proxyEnv: { HTTPS_PROXY: proxy } }),
    })
  }

  /** The members of a JSON answer. */
  async members(request: TokenRequest, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const { text } = await this.send(request, signal)
    return (
      membersOf(text) ?? fail('corrupt', request.url, 'answered with no JSON', 'check that nothing between answers in the place of Google')
    )
  }

  async send(request: TokenRequest, signal: AbortSignal): Promise<TokenAnswer> {
    const url = checked(request)
    const body = request.form === undefined ? request.json && JSON.stringify(request.json) : new URLSearchParams(request.form).toString()
    const { status, text, flavor, retryAfter } = await this.#exchange(url, request, body, signal)
    if (status >= 200 && status < 300) return { text, flavor }
    const why = `answered ${status}${oauthCode(text)}`
    if (status === 429) throw named('throttled', url.href, why, 'try again later', retryAfter)
    if (status >= 500) throw named('unavailable', url.href, why, 'try again later', retryAfter)
    if (status < 400)
      throw named('unavailable', url.href, `${why}, a redirect, and none is followed`, 'check the address, and what stands between')
    throw named(
      'unauthenticated',
      url.href,
      why,
      'check the credential, whether it has ended or was revoked, and the rights of its account',
    )
  }

  async #exchange(
    url: URL,
    { headers, form }: TokenRequest,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string; flavor: string | undefined; retryAfter: number | undefined }> {
    const type = form === undefined ? 'application/json' : 'application/x-www-form-urlencoded'
    const settings = {
      method: body === undefined ? 'GET' : 'POST',
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': type }), ...headers },
      signal,
    }
    return new Promise((resolve, reject) => {
      const failed = (error: Error) => {
        if (signal.aborted) return reject(signal.reason)
        const code = 'code' in error ? String(error.code) : 'no code'
        reject(named('unavailable', url.href, `gave no answer (${code})`, 'check whether it can be reached from here, proxy and ca'))
      }
      const sent = url.protocol === 'https:' ? requestHttps(url, { ...settings, agent: this.#agent }) : requestHttp(url, settings)
      sent.on('error', failed)
      sent.on('response', response => {
        const parts: Buffer[] = []
        let bytes = 0
        response.on('data', (part: Buffer) => {
          bytes += part.length
          parts.push(part)
          if (bytes > answerBytesMax) sent.destroy(Object.assign(new Error('too large'), { code: 'too large' }))
        })
        response.on('error', failed)
        response.on('end', () => {
          const flavor = response.headers['metadata-flavor']
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(parts).toString(),
            flavor: typeof flavor === 'string' ? flavor : undefined,
            retryAfter: waitOf(response.headers['retry-after']),
          })
        })
      })
      sent.end(body)
    })
  }
}

/** The members of a JSON object; undefined when the text is none. */
export function membersOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Credentials go over TLS, or to this machine; a document of a local metadata service may be got in plaintext. */
function checked({ url, form, json, headers }: TokenRequest): URL {
  const parsed = URL.parse(url)
  const isSecret =
    form !== undefined || json !== undefined || Object.keys(headers ?? {}).some(name => name.toLowerCase() === 'authorization')
  const isLocal = parsed !== null && (parsed.hostname === 'localhost' || parsed.hostname === '[::1]' || /^127\./.test(parsed.hostname))
  if (parsed !== null && (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && (isLocal || !isSecret)))) return parsed
  throw new BrokerError('unauthenticated', 'gcp: a credential names an address that is no https URL', {
    hint: 'make the credential file anew',
  })
}

function oauthCode(text: string): string {
  const { error } = membersOf(text) ?? {}
  const code = typeof error === 'object' && error !== null && 'status' in error ? error.status : error
  return typeof code === 'string' && /^[A-Za-z_]{1,60}$/.test(code) ? ` ${code}` : ''
}

function named(
  code: 'throttled' | 'unavailable' | 'unauthenticated' | 'corrupt',
  url: string,
  why: string,
  hint: string,
  retryAfterMs?: number,
): BrokerError {
  return new BrokerError(code, `gcp: ${new URL(url).host} ${why}`, { hint, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
}

function fail(...[code, url, why, hint]: Parameters<typeof named>): never {
  throw named(code, url, why, hint)
}

/** `Retry-After` in seconds. RFC 9110, 10.2.3. */
function waitOf(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined
}
