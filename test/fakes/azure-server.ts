import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { testCertificates } from './tls/certificates.ts'

/** What a fake does instead of its work, to requests whose method and path fit. */
export type AzureKnob =
  | { readonly do: 'hang' }
  /** Acts, then cuts the connection. */
  | { readonly do: 'cut' }
  /** Acts, then cuts in the middle of the answer. */
  | { readonly do: 'tear' }
  /** Cuts before acting. */
  | { readonly do: 'drop' }
  /** Acts, then answers late. */
  | { readonly do: 'slow'; readonly ms: number }
  /** Waits before acting. */
  | { readonly do: 'late'; readonly ms: number }
  | { readonly do: 'redirect'; readonly to: string }
  | { readonly do: 'page'; readonly status?: number }
  /** Begins an answer that never ends, `bytes` at a time. */
  | { readonly do: 'endless'; readonly bytes: number }
  /** Answers this. */
  | { readonly do: 'say'; readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> }

export interface AzureSeen {
  readonly method: string
  /** As it stood on the wire. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface AzureReply {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** What a fake answers, as a function of the request. */
export type AzureWork = (seen: AzureSeen) => AzureReply

/** An HTTPS server on the loopback that records what it is asked and can be turned wrong. */
export class AzureServer {
  readonly #server: Server
  readonly #sockets = new Set<TLSSocket>()
  #knobs: { readonly fits: RegExp; readonly knob: AzureKnob; left: number }[] = []
  readonly seen: AzureSeen[] = []
  /** What went wrong in the fake itself: a test that sees any fails. */
  readonly broken: unknown[] = []
  connections = 0
  /** Requests that are being answered, and the most of them at once. */
  busy = 0
  busiest = 0

  private constructor(work: AzureWork, tls: { readonly cert: string; readonly key: string }) {
    this.#server = createServer(tls, (request, response) => {
      this.#serve(work, request, response).catch((error: unknown) => {
        this.broken.push(error)
        response.destroy()
      })
    })
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      this.connections += 1
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => undefined)
    })
    // a client that does not trust the certificate hangs up
    this.#server.on('tlsClientError', () => undefined)
  }

  static async start(
    work: AzureWork,
    tls: { readonly cert: string; readonly key: string } = testCertificates.server,
  ): Promise<AzureServer> {
    const server = new AzureServer(work, tls)
    await new Promise<void>(resolve => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get port(): number {
    // listen() on a port gives an AddressInfo
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `https://localhost:${this.port}`
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size
  }

  /** Turns a knob for requests whose "METHOD /path" fits, `times` of them. */
  turn(fits: RegExp, knob: AzureKnob, times = Number.POSITIVE_INFINITY): void {
    this.#knobs.push({ fits, knob, left: times })
  }

  turnBack(): void {
    this.#knobs = []
  }

  /** Cuts the connections that rest, as a server does that is tired of waiting. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.hangUp()
    await new Promise(resolve => this.#server.close(resolve))
  }

  async #serve(work: AzureWork, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    this.busy += 1
    this.busiest = Math.max(this.busiest, this.busy)
    response.on('close', () => (this.busy -= 1))
    const seen = { method, path: url, headers: request.headers, body: await bodyOf(request) }
    this.seen.push(seen)
    const knob = this.#knob(`${method} ${url}`)
    if (knob !== undefined && instead(knob, request, response)) return
    if (knob?.do === 'late') await new Promise(resolve => setTimeout(resolve, knob.ms))
    const reply = work(seen)
    if (knob?.do === 'cut') return void request.socket.destroy()
    if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
    if (knob?.do === 'tear') return tear(reply, response)
    answer(reply, response)
  }

  #knob(line: string): AzureKnob | undefined {
    const found = this.#knobs.find(({ fits, left }) => left > 0 && fits.test(line))
    if (found !== undefined) found.left -= 1
    return found?.knob
  }
}

function answer({ status, body, headers = {} }: AzureReply, response: ServerResponse): void {
  const text = body === undefined ? '' : JSON.stringify(body)
  response.writeHead(status, { ...(text === '' ? {} : { 'content-type': 'application/json; charset=utf-8' }), ...headers }).end(text)
}

function tear({ status, body }: AzureReply, response: ServerResponse): void {
  const text = JSON.stringify(body ?? {})
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) })
  response.write(text.slice(0, text.length / 2), () => response.destroy())
}

/** Answers in place of the work; false where the work is done first. */
function instead(knob: AzureKnob, request: IncomingMessage, response: ServerResponse): boolean {
  if (knob.do === 'cut' || knob.do === 'slow' || knob.do === 'tear' || knob.do === 'late') return false
  if (knob.do === 'drop') request.socket.destroy()
  if (knob.do === 'redirect') response.writeHead(307, { location: knob.to }).end()
  if (knob.do === 'page') {
    response.writeHead(knob.status ?? 200, { 'content-type': 'text/html' }).end('<html><form action="/login"></form></html>')
  }
  if (knob.do === 'say') response.writeHead(knob.status, { 'content-type': 'application/json', ...knob.headers }).end(knob.body)
  if (knob.do === 'endless') {
    response.writeHead(200, { 'content-type': 'application/json' })
    const more = setInterval(() => response.write(' '.repeat(knob.bytes)), 10)
    response.on('close', () => clearInterval(more))
  }
  return true
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}
