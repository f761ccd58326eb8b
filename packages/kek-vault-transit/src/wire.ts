import { BrokerError, neverSent } from '@keyturn/core'
import { type Dispatcher, Pool } from 'undici'
import type { Answer } from './classify.ts'

const connectMs = 3_000
const answerMs = 10_000
const answerBytesMax = 65_536

export interface Request {
  readonly method: 'GET' | 'POST'
  /** Below `/v1/`, by segments; each is escaped. */
  readonly path: readonly string[]
  readonly body?: object
  readonly token?: string | undefined
  readonly signal: AbortSignal
}

/** The way to one server: a few kept-alive connections, no redirect followed, certificates checked, small JSON answers. */
export class Wire {
  readonly #pool: Pool
  readonly #namespace: string | undefined
  readonly #base: string

  constructor({
    address,
    namespace,
    ca,
  }: { readonly address: string; readonly namespace?: string | undefined; readonly ca?: string | undefined }) {
    const url = new URL(address)
    this.#base = `${url.pathname.replace(/\/+$/, '')}/v1`
    this.#namespace = namespace
    // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    const tls = { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
    this.#pool = new Pool(url.origin, {
      connections: 4,
      allowH2: false,
      maxResponseSize: answerBytesMax,
      connect: { timeout: connectMs, ...tls },
    })
  }

  /** `unavailable` where no answer of the server's kind came: asking twice does no harm here. */
  async send({ method, path, body, token, signal }: Request): Promise<Answer> {
    signal.throwIfAborted()
    try {
      const response = await this.#pool.request({
        method,
        path: [this.#base, ...path.map(encodeURIComponent)].join('/'),
        headers: {
          accept: 'application/json',
          'x-vault-request': 'true',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { 'x-vault-token': token }),
          ...(this.#namespace === undefined ? {} : { 'x-vault-namespace': this.#namespace }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal,
        headersTimeout: answerMs,
        bodyTimeout: answerMs,
      })
      return await answered(response)
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof BrokerError ? error : silence(error)
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

async function answered({ statusCode: status, headers, body }: Dispatcher.ResponseData): Promise<Answer> {
  const text = await body.text()
  const wait = headers['retry-after']
  const retryAfterMs = typeof wait === 'string' && /^\d{1,6}$/.test(wait) ? Number(wait) * 1_000 : undefined
  if (text === '') return { status, body: undefined, retryAfterMs }
  try {
    return { status, body: JSON.parse(text), retryAfterMs }
  } catch {
    // not kept as a cause: it quotes what came
    throw new BrokerError('unavailable', `vault-transit: the answer is none of this kind of server (status ${status})`, {
      hint: 'look whether the address is that of the server, and what stands between',
    })
  }
}

function silence(error: unknown): BrokerError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code'
  const what = neverSent(error) ? 'no connection to the server' : 'no whole answer came'
  return new BrokerError('unavailable', `vault-transit: ${what} (${code})`, {
    hint: 'look whether it runs and can be reached from here',
    cause: error,
  })
}
