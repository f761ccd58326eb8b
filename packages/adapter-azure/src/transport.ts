import { AsyncLocalStorage } from 'node:async_hooks'
import { createHttpHeaders, type HttpClient, type PipelineRequest, type PipelineResponse } from '@azure/core-rest-pipeline'
import { Agent, type Dispatcher, ProxyAgent } from 'undici'
import { waitOf } from './retry-after.ts'
import { cutOf, TransportError } from './transport-error.ts'

const connectMs = 5_000
/** A connection that rested this long may be closed at the other end. */
const restMs = 30_000
const answerBytesMax = 1_048_576

export interface TransportSettings {
  /** The one origin that may be asked; left out: any over TLS. */
  readonly origin?: string
  /** Plain HTTP too: a managed identity's endpoint is on the machine itself. */
  readonly plain?: boolean
  /** PEM text of the authorities to trust instead of the machine's. */
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
  readonly connections: number
  /** The longest wait for the head of an answer, and for each piece of its body. */
  readonly answerMs: number
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/**
 * The SDK's way to a server, in place of its own, which hangs when a compressed answer breaks off, follows proxies of the environment, sends the
 * token wherever a link to the next page points, and puts an answer that is no JSON into its error. One pool of kept-alive connections; no redirect.
 */
export class Transport implements HttpClient {
  readonly #settings: TransportSettings
  readonly #secure: Dispatcher
  readonly #plain: Dispatcher
  readonly #signals = new AsyncLocalStorage<AbortSignal>()
  #isClosed = false
  #onAuthorised: (() => void) | undefined
  /** Why the last request got no usable answer, or an answer that says the server fails. */
  failure: TransportError | undefined
  /** How many requests it was given. */
  asked = 0

  constructor(settings: TransportSettings) {
    const { ca, proxy, connections } = settings
    // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    const tls = { timeout: connectMs, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
    // HTTP/1.1 alone: one request to a connection, so that a cut concerns one call
    const pool = { connections, allowH2: false, maxResponseSize: answerBytesMax, keepAliveTimeout: restMs }
    this.#settings = settings
    this.#plain = new Agent({ ...pool, connect: { timeout: connectMs } })
    this.#secure =
      proxy === undefined
        ? new Agent({ ...pool, connect: tls })
        : new ProxyAgent({ uri: proxy, ...pool, proxyTunnel: true, connectTimeout: connectMs, requestTls: tls })
  }

  /** Runs calls of the SDK with a signal for those of its requests that it gives none: all pages of a list but the first. */
  within<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    return this.#signals.run(signal, run)
  }

  /** Calls back once, when the first request with a token goes out. */
  whenAuthorised(run: () => void): void {
    this.#onAuthorised = run
  }

  async sendRequest(request: PipelineRequest): Promise<PipelineResponse> {
    this.asked += 1
    const target = this.#target(request)
    if (request.headers.has('authorization')) this.#onAuthorised?.()
    const signal = request.abortSignal instanceof AbortSignal ? request.abortSignal : this.#signals.getStore()
    try {
      const answer = await this.#ask(request, target, signal).catch(error => this.#again(error, request, target, signal))
      if (answer.status === 429 || answer.status >= 500) this.failure = failing(answer)
      return usable(answer, request)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof TransportError) this.failure = error
      throw error
    }
  }

  close(): void {
    this.#isClosed = true
    for (const each of [this.#secure, this.#plain]) void each.destroy()
  }

  #target({ url }: PipelineRequest): URL {
    const target = new URL(url)
    const { origin, plain = false } = this.#settings
    if (origin === undefined ? target.protocol === 'https:' || plain : target.origin === origin) return target
    throw new TransportError('elsewhere', `the SDK would send a request to ${target.origin}`)
  }

  /** A connection that ended before the answer, most often a kept one that the server had closed meanwhile: only a read is sent again, once. */
  #again(error: unknown, request: PipelineRequest, target: URL, signal: AbortSignal | undefined): Promise<Answer> {
    if (request.method !== 'GET' || !(error instanceof TransportError) || error.failure !== 'stale') throw error
    return this.#ask(request, target, signal)
  }

  async #ask({ method, headers, body }: PipelineRequest, target: URL, signal: AbortSignal | undefined): Promise<Answer> {
    signal?.throwIfAborted()
    if (this.#isClosed) throw closed()
    if (typeof body !== 'string' && body !== undefined && body !== null)
      throw new TransportError('elsewhere', 'the SDK would send a stream')
    const { answerMs } = this.#settings
    let response: Dispatcher.ResponseData | undefined
    try {
      response = await (target.protocol === 'https:' ? this.#secure : this.#plain).request({
        origin: target.origin,
        path: `${target.pathname}${target.search}`,
        // the SDK's methods are a union of their own
        method: method as Dispatcher.HttpMethod,
        headers: { ...headers.toJSON(), 'accept-encoding': 'identity' },
        body: body ?? null,
        signal: signal ?? null,
        headersTimeout: answerMs,
        bodyTimeout: answerMs,
      })
      return { status: response.statusCode, headers: textsOf(response.headers), text: await response.body.text() }
    } catch (error) {
      throw this.#isClosed ? closed() : cutOf(error, response !== undefined)
    }
  }
}

function closed(): TransportError {
  return new TransportError('closed', 'the store was closed')
}

function textsOf(headers: Dispatcher.ResponseData['headers']): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) texts[name] = Array.isArray(value) ? value.join(', ') : value
  return texts
}

function failing({ status, headers }: Answer): TransportError {
  return new TransportError('foreign', `the server answered ${status}`, { status, retryAfterMs: waitOf(headers) })
}

/** The answer as the SDK takes it. What is neither JSON nor empty is not the server's: its text would end up in an error of the SDK. */
function usable({ status, headers, text }: Answer, request: PipelineRequest): PipelineResponse {
  const retryAfterMs = waitOf(headers)
  if (status >= 300 && status < 400)
    throw new TransportError('redirect', `the server redirects (${status}), and redirects are not followed`, { status })
  const isJson = /^application\/(?:[\w.+-]+\+)?json\b/i.test(headers['content-type'] ?? '') && parses(text)
  // a challenge is in the head
  if (text !== '' && !isJson && !(status === 401 && headers['www-authenticate'] !== undefined)) {
    throw new TransportError('foreign', `the answer is no JSON (${status})`, { status, retryAfterMs })
  }
  return { request, status, headers: createHttpHeaders(headers), bodyAsText: isJson ? text : '' }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
