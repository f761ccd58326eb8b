import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse, request as send } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { SimulatedClock } from '../simulation/clock.ts'

/**
 * How one request goes wrong on its way. `dropped`: the connection is cut before the server has it. `refused`: a balancer answers in the
 * server's place. `cut`: the server acted, and the connection is cut before the answer. `dies`: the same, and the broker dies of it. `hangs`: no answer until the
 * deadline, and the server never has it. `silent`: the server acted, and no answer until the deadline. `late`: no answer until the deadline; the
 * server has it after the request that comes next. `twice`: the server has it two times, and the second answer comes back.
 */
export const wireModes = ['dropped', 'refused', 'cut', 'dies', 'hangs', 'silent', 'late', 'twice'] as const
export type WireMode = (typeof wireModes)[number]

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

interface WirePorts {
  readonly clock: SimulatedClock
  /** Longer than any deadline of a call. */
  readonly deadlineMs: number
  /** The broker dies of the request that is under way. */
  readonly die: () => void
  /** Awaited after everything that the server has done, with the number of the request. */
  readonly onEffect: (number: number) => Promise<void>
}

/** Every request between brokers and one server, counted from 1, and what becomes of some of them. */
export class Wire {
  readonly requests: string[] = []
  /** What went wrong in the relay itself: a test that sees any fails. */
  readonly broken: unknown[] = []
  // of no process: what is on its way to the server arrives, whoever dies meanwhile
  readonly #agent = new Agent({ keepAlive: true })
  readonly #faults: ReadonlyMap<number, WireMode>
  readonly #ports: WirePorts
  readonly #upstream: URL
  #late: (() => Promise<unknown>)[] = []

  constructor(upstream: string, faults: ReadonlyMap<number, WireMode>, ports: WirePorts) {
    this.#upstream = new URL(upstream)
    this.#faults = faults
    this.#ports = ports
  }

  /** The way of one process, with an address of its own. */
  connect(): Promise<Line> {
    return Line.open((line, request, response) => {
      exchangeOf(request, response, this.#upstream, this.#agent)
        .then(exchange => this.#carry(line, exchange))
        .catch((error: unknown) => this.broken.push(error))
    })
  }

  /** Ends the connections to the server. */
  close(): void {
    this.#agent.destroy()
  }

  async #carry(line: Line, { title, forward, reply, cut }: Exchange): Promise<void> {
    const number = this.requests.push(title)
    const mode = this.#faults.get(number)
    const delayed = this.#late
    this.#late = []
    if (mode === 'dropped') cut()
    else if (mode === 'refused')
      reply({ status: 503, headers: { 'content-type': 'text/html' }, body: Buffer.from('<html>no backend</html>') })
    else if (mode === 'hangs') this.#letHang(cut)
    else if (mode === 'late') {
      this.#late = [forward]
      this.#letHang(cut)
    } else {
      const answer = await forward()
      const last = mode === 'twice' ? await forward() : answer
      await this.#ports.onEffect(number)
      if (mode === 'dies') {
        this.#ports.die()
        await line.close()
      } else if (mode === 'cut') cut()
      else if (mode === 'silent') this.#letHang(cut)
      else reply(last)
    }
    for (const send of delayed) await send()
    if (delayed.length > 0) await this.#ports.onEffect(number)
  }

  /** Nothing comes until the caller has given up; then the connection ends, as it does in the end. */
  #letHang(cut: () => void): void {
    this.#ports.clock.advance(this.#ports.deadlineMs)
    setImmediate(cut)
  }
}

/** One request, held by the way. */
interface Exchange {
  /** Method and path, without what differs from run to run. */
  readonly title: string
  /** Has the server act on it, as often as it is called. */
  forward(): Promise<Answer>
  reply(answer: Answer): void
  cut(): void
}

type Serve = (line: Line, request: IncomingMessage, response: ServerResponse) => void

/** An address on the loopback that stands for the server; it ends with its process. */
export class Line {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(serve: Serve) {
    this.#server = createServer((request, response) => serve(this, request, response))
    this.#server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  static async open(serve: Serve): Promise<Line> {
    const line = new Line(serve)
    await new Promise<void>(resolve => line.#server.listen(0, '127.0.0.1', resolve))
    return line
  }

  get address(): string {
    // listen() on a port gives an AddressInfo
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Nothing of the process gets through any more. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

async function exchangeOf(request: IncomingMessage, response: ServerResponse, upstream: URL, agent: Agent): Promise<Exchange> {
  const { method = '', url = '', headers } = request
  const body = await bodyOf(request)
  return {
    title: `${method} ${url.replace(/\?.*/, '')}`,
    forward: () =>
      new Promise((resolve, reject) => {
        const onward = send(new URL(url, upstream), { method, headers, agent }, answer => {
          bodyOf(answer).then(whole => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: whole }), reject)
        })
        onward.on('error', reject)
        onward.end(body)
      }),
    reply({ status, headers: { 'transfer-encoding': _, connection: __, ...rest }, body: whole }) {
      response.writeHead(status, { ...rest, 'content-length': whole.byteLength }).end(whole)
    },
    cut: () => void request.socket.destroy(),
  }
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of message) parts.push(part as Buffer)
  return Buffer.concat(parts)
}
