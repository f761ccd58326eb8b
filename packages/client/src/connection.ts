import { readFile } from 'node:fs/promises'
import { errorOf, limits } from '@keyturn/api'

/** What every failed call throws: `code`, `message`, `hint`, `retryAfterMs` and `detail` as the broker gave them; never a value. */
export type KeyturnError = ReturnType<typeof errorOf>

/** Which broker, and as whom. */
export interface ConnectionOptions {
  /** `http://127.0.0.1:8320`; a path is a prefix. */
  readonly address: string
  /** The bearer token, or the file that holds it. The file is read for each call, so that a new token needs no restart. */
  readonly token?: string
  readonly tokenFile?: string
  readonly fetch?: typeof globalThis.fetch
  /** The longest a call may take: 30 s. */
  readonly timeoutMs?: number
  /** Ends every call. */
  readonly signal?: AbortSignal
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call. */
  readonly signal?: AbortSignal
}

export interface Request extends CallOptions {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Path and query, encoded. */
  readonly target: string
  readonly body?: object
  readonly headers?: Readonly<Record<string, string>>
  /** Statuses beside 2xx that are answers, not failures. */
  readonly answers?: readonly number[]
  /** The longest this call may take, where that is not what the connection says. */
  readonly timeoutMs?: number
}

/** Reads what an answer holds. Zod's schemas have this shape. */
export interface Reader<T> {
  safeParse(body: unknown): { readonly success: true; readonly data: T } | { readonly success: false }
}

// an answer is at most a batch of full secrets; what is longer comes from something else
const answerBytesMax = limits.batchItemsMax * limits.bodyBytesMax

/** Calls to one broker: one deadline, no redirects, every failure as the same kind of error. */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #base: string

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#base = baseOf(options.address)
  }

  /** The answer's JSON, checked. */
  async json<T>(request: Request, reader: Reader<T>): Promise<{ readonly data: T; readonly status: number; readonly headers: Headers }> {
    const { bytes, status, headers } = await this.bytes(request)
    const parsed = reader.safeParse(parse(bytes))
    if (parsed.success) return { data: parsed.data, status, headers }
    // what the answer held may be a value: the error shows nothing of it
    throw failure('internal', `the answer to ${request.method} ${pathOf(request)} has another shape than this client knows`, {
      hint: 'check that the address is that of a broker, and that client and broker are of one version',
    })
  }

  async bytes(request: Request): Promise<{ readonly bytes: Buffer; readonly status: number; readonly headers: Headers }> {
    const answer = await this.#send(request)
    const bytes = await this.#read(request, answer)
    if (!answer.ok && request.answers?.includes(answer.status) !== true) {
      throw errorOf({ status: answer.status, body: parse(bytes), effect: effectOf(request) })
    }
    return { bytes, status: answer.status, headers: answer.headers }
  }

  async #send(request: Request): Promise<Response> {
    const { fetch = globalThis.fetch, timeoutMs = 30_000 } = this.#options
    const token = await this.#token()
    const timeout = AbortSignal.timeout(request.timeoutMs ?? timeoutMs)
    const signal = AbortSignal.any([timeout, ...this.#callers(request)])
    const headers = {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...request.headers,
    }
    const body = request.body === undefined ? {} : { body: JSON.stringify(request.body) }
    try {
      // a redirect would carry the token and the answer elsewhere
      return await fetch(this.#base + request.target, { method: request.method, headers, ...body, signal, redirect: 'manual' })
    } catch (error) {
      throw this.#unanswered(request, error, timeout.aborted)
    }
  }

  async #read(request: Request, answer: Response): Promise<Buffer> {
    const chunks: Uint8Array[] = []
    let size = 0
    try {
      for await (const chunk of answer.body ?? []) {
        size += chunk.length
        if (size > answerBytesMax)
          throw failure('internal', `the answer to ${request.method} ${pathOf(request)} is too large to be a broker's`)
        chunks.push(chunk)
      }
    } catch (error) {
      throw isFailure(error) ? error : this.#unanswered(request, error, false)
    }
    return Buffer.concat(chunks)
  }

  #callers(request: Request): readonly AbortSignal[] {
    return [request.signal, this.#options.signal].filter(signal => signal !== undefined)
  }

  async #token(): Promise<string | undefined> {
    const { token, tokenFile } = this.#options
    if (tokenFile === undefined) return token
    try {
      return (await readFile(tokenFile, 'utf8')).trim()
    } catch (error) {
      throw failure('unauthenticated', `the token file ${tokenFile} cannot be read (${systemCode(error) ?? 'unknown error'})`, {
        hint: 'name a file that holds a token and that you may read',
      })
    }
  }

  #unanswered(request: Request, error: unknown, late: boolean): KeyturnError {
    if (this.#callers(request).some(signal => signal.aborted))
      return failure('cancelled', `${request.method} ${pathOf(request)} was cancelled`)
    const why = late ? 'no answer in time' : (systemCode(error) ?? 'the connection broke')
    const neverSent = refusals.has(why)
    if (effectOf(request) === 'read' || neverSent) {
      return failure('unavailable', `no answer from the broker at ${this.#base}: ${why}`, {
        hint: 'check the address, and that the broker runs there',
      })
    }
    return failure('outcome_unknown', `${request.method} ${pathOf(request)} was sent, and no answer came: ${why}`, {
      hint: 'look before you send it again',
    })
  }
}

/** Errors of the system that come before anything was sent. */
const refusals = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'bad port'])

function baseOf(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '' && url.username === ''
  if (isPlain && url.password === '') return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
  throw failure('invalid_argument', 'the address of the broker is no http or https URL', { hint: 'write it as http://127.0.0.1:8320' })
}

/** An error of this side, made as those of the broker are; what is in `particulars` is in its `detail`. */
export function failure(
  code: KeyturnError['code'],
  detail: string,
  more: { readonly hint?: string; readonly particulars?: object } = {},
): KeyturnError {
  return errorOf({ status: 0, body: { code, detail, ...more }, effect: 'read' })
}

function isFailure(error: unknown): boolean {
  return error instanceof Error && error.name === 'BrokerError'
}

function effectOf(request: Request): 'read' | 'write' {
  return request.method === 'GET' || request.target === '/v1/secrets:batch' ? 'read' : 'write'
}

const pathOf = (request: Request) => request.target.replace(/\?.*/, '')

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

/** The code that the system gave, through the wrapping that fetch adds. */
function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code
    if (at.message === 'bad port') return at.message
    if (at instanceof AggregateError && at.errors.length > 0) return systemCode(at.errors[0])
  }
  return undefined
}
