import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

/** What any fake can do instead of its work, or with its answer. */
export type AnyKnob =
  | { readonly do: 'hang' }
  /** Acts, then cuts the connection. */
  | { readonly do: 'cut' }
  /** Cuts before acting. */
  | { readonly do: 'drop' }
  /** Acts, then answers late. */
  | { readonly do: 'slow'; readonly ms: number }
  | { readonly do: 'redirect'; readonly to: string; readonly status?: number }
  | { readonly do: 'page'; readonly status?: number; readonly headers?: Readonly<Record<string, string>> }

/** An HTTP server on a free port of the loopback that can be turned wrong. With a certificate it speaks TLS. */
export abstract class TurnableServer<Knob> {
  readonly #server: Server
  readonly #scheme: string
  readonly #sockets = new Set<Socket>()
  #knobs: { readonly fits: RegExp; readonly knob: Knob; left: number }[] = []
  /** What went wrong in the fake itself, and what no client of the service would send: a test that sees any fails. */
  readonly broken: unknown[] = []
  connections = 0

  protected constructor(tls?: ServerOptions) {
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      this.serve(request, response).catch((error: unknown) => {
        // who hangs up in the midst of a request breaks nothing
        if (!(error instanceof Error && 'code' in error && error.code === 'ECONNRESET')) this.broken.push(error)
        response.destroy()
      })
    }
    this.#scheme = tls === undefined ? 'http' : 'https'
    this.#server = tls === undefined ? createServer(serve) : createSecureServer(tls, serve)
    this.#server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.connections += 1
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => undefined)
    })
  }

  protected abstract serve(request: IncomingMessage, response: ServerResponse): Promise<void>

  protected async listen(): Promise<this> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return this
  }

  get port(): number {
    // listen() on a port gives an AddressInfo
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size
  }

  /** Turns a knob for requests whose line fits ("METHOD /path", or what the fake calls an operation), `times` of them. */
  turn(fits: RegExp, knob: Knob, times = Number.POSITIVE_INFINITY): void {
    this.#knobs.push({ fits, knob, left: times })
  }

  turnBack(): void {
    this.#knobs = []
  }

  /** The knob that is turned for this request, used once more by asking. */
  protected knobFor(line: string): Knob | undefined {
    const found = this.#knobs.find(({ fits, left }) => left > 0 && fits.test(line))
    if (found !== undefined) found.left -= 1
    return found?.knob
  }

  /** Cuts the connections, as a server does that is tired of waiting. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.hangUp()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

/** Answers in place of the work; false where the work is done first. */
export function instead(knob: AnyKnob, request: IncomingMessage, response: ServerResponse): boolean {
  if (knob.do === 'cut' || knob.do === 'slow') return false
  if (knob.do === 'drop') request.socket.destroy()
  if (knob.do === 'redirect') response.writeHead(knob.status ?? 307, { location: knob.to }).end()
  if (knob.do === 'page') {
    const head = { 'content-type': 'text/html', ...knob.headers }
    response.writeHead(knob.status ?? 200, head).end('<html><form action="/login"></form></html>')
  }
  return true
}

/** Begins an answer that never ends: `first`, then `more` again and again. */
export function endless(response: ServerResponse, type: string, more: string, first = ''): void {
  response.writeHead(200, { 'content-type': type })
  if (first !== '') response.write(first)
  const timer = setInterval(() => response.write(more), 10)
  response.on('close', () => clearInterval(timer))
}

/** All that was sent. */
export async function bodyOf(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await request.toArray()).toString()
}
