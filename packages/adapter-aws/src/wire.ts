import { AsyncLocalStorage } from 'node:async_hooks'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Readable } from 'node:stream'
import { BrokerError, InFlight, neverSent, TransportError } from '@keyturn/core'
import { NodeHttpHandler } from '@smithy/node-http-handler'

const connectMs = 5_000
/** A connection that nobody used for so long is closed here: sooner than AWS would close it under a request. */
const idleMs = 5_000
const answerBytesMax = 4 * 1_048_576

export interface WireSettings {
  /** PEM text of the authorities to trust instead of the machine's. */
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
  readonly maxInFlight: number
  /** The longest wait for a whole answer. */
  readonly answerMs: number
}

/** What a request ends with that got no answer of AWS's kind. */
export class WireError extends TransportError {
  override readonly name = 'WireError'
}

type Handle = NodeHttpHandler['handle']

/**
 * The SDK's way to its servers, over its own handler: one pool of kept-alive connections, a wait for a place where none is free, whole answers
 * of a bounded size within a bounded time, no redirect.
 */
export class Wire {
  readonly metadata = { handlerProtocol: 'http/1.1' }
  readonly #handler: NodeHttpHandler
  readonly #inFlight: InFlight
  readonly #answerMs: number
  readonly #signal = new AsyncLocalStorage<AbortSignal>()
  #isClosed = false

  constructor({ ca, proxy, maxInFlight, answerMs }: WireSettings) {
    const pool = {
      keepAlive: true,
      maxSockets: maxInFlight,
      timeout: idleMs,
      ...(proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
    }
    this.#inFlight = new InFlight(maxInFlight)
    this.#answerMs = answerMs
    this.#handler = new NodeHttpHandler({
      httpAgent: new HttpAgent(pool),
      // whatever NODE_TLS_REJECT_UNAUTHORIZED says
      httpsAgent: new HttpsAgent({ ...pool, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }),
      connectionTimeout: connectMs,
      // it would print warnings
      logger: { debug: silent, info: silent, warn: silent, error: silent, trace: silent },
    })
  }

  /** Ends with `signal` what is sent within `send`. It goes past the SDK, which puts every call together anew where it is given a signal. */
  until<T>(signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    return this.#signal.run(signal, send)
  }

  /** What the SDK calls. */
  handle: Handle = async request => {
    const own = new AbortController()
    const late = setTimeout(() => own.abort(new WireError('cut', `no whole answer came within ${this.#answerMs} ms`)), this.#answerMs)
    const caller = this.#signal.getStore()
    // AbortSignal.any would cost more than the rest of this
    const stop = () => own.abort(caller?.reason)
    caller?.addEventListener('abort', stop, { once: true })
    try {
      caller?.throwIfAborted()
      return await this.#inFlight.run(own.signal, () => this.#send(request, own.signal))
    } finally {
      clearTimeout(late)
      caller?.removeEventListener('abort', stop)
    }
  }

  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): object {
    return {}
  }

  destroy(): void {
    this.#isClosed = true
    this.#handler.destroy()
  }

  async #send(request: Parameters<Handle>[0], signal: AbortSignal): ReturnType<Handle> {
    // an agent of node that was destroyed opens new connections for whoever waited
    if (this.#isClosed) throw new BrokerError('cancelled', 'aws: the store was closed')
    try {
      const answer = await this.#handler.handle(request, { abortSignal: signal })
      const { response } = answer
      // the handler answers with the stream of node:http
      const body = response.body as Readable
      if (response.statusCode >= 300 && response.statusCode < 400) {
        body.destroy()
        throw new WireError('redirect', `the server redirects (${response.statusCode}), and redirects are not followed`, {
          status: response.statusCode,
        })
      }
      response.body = await wholeBody(body)
      return answer
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof WireError ? error : named(error)
    }
  }
}

function silent(): void {}

/** By events: a loop over a stream costs several times as much. */
function wholeBody(stream: Readable): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let bytes = 0
    stream.on('data', (part: Buffer) => {
      bytes += part.byteLength
      parts.push(part)
      if (bytes > answerBytesMax) stream.destroy(new WireError('too_large', `the answer is larger than ${answerBytesMax} bytes`))
    })
    stream.on('end', () => resolve(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)))
    stream.on('error', reject)
    stream.on('close', () => {
      if (!stream.readableEnded) reject(new WireError('cut', 'the answer was cut off'))
    })
  })
}

/** An error of node by its code alone: the rest may hold what was sent. */
function named(error: unknown): WireError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  // the SDK's handler has no code for its wait for a connection
  const isWaiting = error instanceof Error && error.message.includes('did not establish a connection')
  if (isWaiting || neverSent(error)) return new WireError('connect', `no connection to the server (${code === '' ? 'no answer' : code})`)
  return new WireError('cut', `no whole answer came (${code === '' ? 'no code' : code})`)
}
