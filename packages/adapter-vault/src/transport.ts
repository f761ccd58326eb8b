import { TransportError as AnyTransportError, neverSent, type TransportFailure } from '@keyturn/core'
import { type Dispatcher, Pool, ProxyAgent } from 'undici'
import { Answer } from './answer.ts'

const connectMs = 5_000
const answerBytesMax = 1_048_576

export interface TransportSettings {
  readonly address: string
  /** PEM text of the authorities to trust instead of the machine's. */
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
  readonly connections: number
  /** The longest wait for the head of an answer, and for each piece of its body. */
  readonly answerMs: number
}

/** `path`: the request was not sent, because it would have reached another place than its path names. */
export type Failure = TransportFailure | 'path'

/** What a request ends with that got no answer of Vault's kind. */
export class TransportError extends AnyTransportError<Failure> {}

/** What node-vault hands to its transport: of the many options of `request` only these reach it from us. */
export interface TransportRequest {
  readonly method: string
  readonly uri: string
  readonly headers?: Readonly<Record<string, string>>
  /** The body, already JSON. */
  readonly json?: string
  readonly signal?: AbortSignal
}

/** What node-vault expects back. */
export interface TransportResponse {
  readonly statusCode: number
  readonly body: Answer | undefined
  readonly request: { readonly path: string }
}

/**
 * The way to one server, in place of node-vault's own, which follows redirects with the token, lets `../` through, waits for ever
 * and puts token and value into its errors. One pool of kept-alive connections; no redirect is followed.
 */
export class Transport {
  readonly #origin: string
  readonly #dispatcher: Dispatcher
  readonly #answerMs: number

  constructor({ address, ca, proxy, connections, answerMs }: TransportSettings) {
    this.#origin = new URL(address).origin
    this.#answerMs = answerMs
    // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    const tls = { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
    // HTTP/1.1 alone: one request to a connection, so that a cut concerns one call
    const pool = { connections, allowH2: false, maxResponseSize: answerBytesMax }
    this.#dispatcher =
      proxy === undefined
        ? new Pool(this.#origin, { ...pool, connect: { timeout: connectMs, ...tls } })
        : // a tunnel in any case: a proxy that forwards could normalise the path that was checked
          new ProxyAgent({ uri: proxy, ...pool, proxyTunnel: true, connectTimeout: connectMs, requestTls: { timeout: connectMs, ...tls } })
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    const path = guardedPath(this.#origin, request.uri)
    const answer = await this.#dispatch(request, path)
    // node-vault takes a failed call for a good one when this path holds sys/health, so it never learns it
    return { statusCode: answer.status, body: answer.body, request: { path: '' } }
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy()
  }

  async #dispatch(
    { method, headers, json, signal }: TransportRequest,
    path: string,
  ): Promise<{ status: number; body: Answer | undefined }> {
    try {
      const response = await this.#dispatcher.request({
        origin: this.#origin,
        path,
        // undici types methods as a union; node-vault sends four of them
        method: method as Dispatcher.HttpMethod,
        headers: {
          ...headers,
          accept: 'application/json',
          // agents and proxies of Vault may insist on it, against forged requests from browsers
          'x-vault-request': 'true',
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: json ?? null,
        signal: signal ?? null,
        headersTimeout: this.#answerMs,
        bodyTimeout: this.#answerMs,
      })
      return await read(response, [headers?.['X-Vault-Token'] ?? '', json ?? ''])
    } catch (error) {
      signal?.throwIfAborted()
      throw error instanceof TransportError ? error : named(error)
    }
  }
}

async function read(response: Dispatcher.ResponseData, sent: readonly string[]): Promise<{ status: number; body: Answer | undefined }> {
  const { statusCode: status, headers, body } = response
  const retryAfterMs = waitOf(headers['retry-after'])
  if (status >= 300 && status < 400) {
    await body.dump({ limit: 0 }).catch(() => undefined)
    throw new TransportError('redirect', `the server redirects (${status}), and redirects are not followed`, { status })
  }
  const source = await body.text()
  if (status === 204 || (source === '' && status < 300)) return { status, body: undefined }
  const answer = /^application\/json\b/i.test(String(headers['content-type'] ?? '')) ? Answer.read(source, sent, retryAfterMs) : undefined
  if (answer === undefined) throw new TransportError('foreign', `the answer is not Vault’s JSON (${status})`, { status, retryAfterMs })
  return { status, body: answer }
}

/** The path of a URI as it may stand on the wire, checked before anything can normalise it: no dot segment, plain or encoded, no second encoding, no fragment, no unknown query. */
function guardedPath(origin: string, uri: string): string {
  const target = uri.slice(origin.length)
  const [path = '', query, ...more] = target.split('?')
  const sound =
    uri.startsWith(`${origin}/`) &&
    more.length === 0 &&
    (query === undefined || knownQuery.test(query)) &&
    path.slice(1).split('/').every(soundSegment)
  if (!sound) throw new TransportError('path', 'the path would reach another place than it names')
  return target
}

const knownQuery = /^(?:version=\d{1,16}|depth=1|list=true&after=[\w.~!'()*%-]*&limit=\d{1,4})$/
const plainSegment = /^(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-F]{2})+$/

function soundSegment(segment: string): boolean {
  if (!plainSegment.test(segment)) return false
  try {
    const text = decodeURIComponent(segment)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    return text !== '.' && text !== '..' && !/[/\\%\u0000-\u001f\u007f]/.test(text)
  } catch {
    return false
  }
}

/** An error of undici by its code alone: the rest may hold what was sent. */
function named(error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return new TransportError('too_large', `the answer is larger than ${answerBytesMax} bytes`)
  if (neverSent(error)) return new TransportError('connect', `no connection to the server (${code})`)
  return new TransportError('cut', `no whole answer came (${code === '' ? 'no code' : code})`)
}

/** `Retry-After` in seconds, as the server sends it; undefined when it says something else. RFC 9110, 10.2.3. */
function waitOf(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header
  if (text === undefined || !/^\d{1,6}$/.test(text)) return undefined
  return Number(text) * 1_000
}
