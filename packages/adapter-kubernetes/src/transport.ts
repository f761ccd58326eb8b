import { neverSent, TransportError } from '@keyturn/core'
import { type Dispatcher, Pool, ProxyAgent } from 'undici'

export { TransportError }

const connectMs = 5_000
/** Below the shortest wait after which balancers drop a silent connection, and what a Go server keeps. */
const idleMs = 30_000
/** A Secret of 1 MiB is 1.4 MiB of base64, and has labels, annotations and managers; etcd holds no larger object. */
const answerBytesMax = 4_194_304

/** Where a server is and how it is met; a change of any of these is another pool of connections. */
export interface Endpoint {
  readonly address: string
  /** PEM text of the authorities to trust instead of the machine's. */
  readonly ca: string | undefined
  /** The name in the server's certificate, where it is not that of the address. */
  readonly serverName: string | undefined
  readonly proxy: string | undefined
  /** PEM text of a client certificate and its key. */
  readonly cert: string | undefined
  readonly key: string | undefined
}

export interface TransportSettings extends Endpoint {
  readonly connections: number
  /** The longest wait for the head of an answer, and for each piece of its body. */
  readonly answerMs: number
}

export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** From `/api` on, of characters that no URL escapes. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly signal: AbortSignal
}

/** An answer in JSON, whatever its status. */
export interface TransportResponse {
  readonly status: number
  readonly body: unknown
  readonly retryAfterMs: number | undefined
}

/** The way to one server: one pool of kept-alive connections, one TLS handshake for many requests. No redirect is followed. */
export class Transport {
  readonly #base: string
  readonly #origin: string
  readonly #dispatcher: Dispatcher
  readonly #answerMs: number

  constructor({ address, ca, serverName, proxy, cert, key, connections, answerMs }: TransportSettings) {
    const url = new URL(address)
    this.#origin = url.origin
    this.#base = url.pathname.replace(/\/+$/, '')
    this.#answerMs = answerMs
    const tls = {
      // whatever NODE_TLS_REJECT_UNAUTHORIZED says
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    }
    // HTTP/1.1 alone: one request to a connection, so that a cut concerns one call
    const pool = { connections, allowH2: false, maxResponseSize: answerBytesMax, keepAliveTimeout: idleMs }
    this.#dispatcher =
      proxy === undefined
        ? new Pool(this.#origin, { ...pool, connect: { timeout: connectMs, ...tls } })
        : new ProxyAgent({ uri: proxy, ...pool, proxyTunnel: true, connectTimeout: connectMs, requestTls: { timeout: connectMs, ...tls } })
  }

  /** Sends once. Errors are `TransportError`, or the signal's reason. */
  async send(request: TransportRequest): Promise<TransportResponse> {
    try {
      return await read(await this.#open(request, this.#answerMs))
    } catch (error) {
      request.signal.throwIfAborted()
      throw error instanceof TransportError ? error : named(error)
    }
  }

  /** Lets calls that are under way end. */
  async close(): Promise<void> {
    await this.#dispatcher.close()
  }

  /** Ends what is under way. */
  async destroy(): Promise<void> {
    await this.#dispatcher.destroy()
  }

  #open({ method, path, query, headers, body, signal }: TransportRequest, bodyMs: number): Promise<Dispatcher.ResponseData> {
    const search = query === undefined ? '' : `?${new URLSearchParams(query)}`
    return this.#dispatcher.request({
      origin: this.#origin,
      path: `${this.#base}${path}${search}`,
      method,
      headers: { accept: 'application/json', ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body ?? null,
      signal,
      headersTimeout: this.#answerMs,
      bodyTimeout: bodyMs,
    })
  }
}

async function read({ statusCode: status, headers, body }: Dispatcher.ResponseData): Promise<TransportResponse> {
  const retryAfterMs = waitOf(headers['retry-after'])
  if (status >= 300 && status < 400) {
    await body.dump({ limit: 0 }).catch(() => undefined)
    throw new TransportError('redirect', `the server redirects (${status}), and redirects are not followed`, { status })
  }
  const source = await body.text()
  const parsed = /^application\/json\b/i.test(String(headers['content-type'] ?? '')) ? json(source) : undefined
  if (parsed === undefined)
    throw new TransportError('foreign', `the answer is not the API server’s JSON (${status})`, { status, retryAfterMs })
  return { status, body: parsed, retryAfterMs }
}

/** Undefined for what is no JSON: the parser's own complaint quotes the text, which may hold a value. */
function json(source: string): unknown {
  try {
    return JSON.parse(source) as unknown
  } catch {
    return undefined
  }
}

/** An error of undici by its code alone: the rest may hold what was sent. */
function named(error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return new TransportError('too_large', `the answer is larger than ${answerBytesMax} bytes`)
  if (neverSent(error) || code === 'UND_ERR_CLOSED') return new TransportError('connect', `no connection to the server (${code})`)
  return new TransportError('cut', `no whole answer came (${code === '' ? 'no code' : code})`)
}

/** `Retry-After` in seconds, as the server sends it; undefined when it says something else. RFC 9110, 10.2.3. */
function waitOf(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header
  if (text === undefined || !/^\d{1,6}$/.test(text)) return undefined
  return Number(text) * 1_000
}
