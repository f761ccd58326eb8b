import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

const patienceMs = 20_000
const retryMs = 20

/**
 * One address before several brokers, as a load balancer has it: a connection goes to the next one that accepts it, and waits while none does. What was
 * asked goes to another one when it was cut before the first byte of an answer.
 */
export class Balancer {
  readonly address: string
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server
    this.#sockets = sockets
    // a server that listens on a port
    this.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async start(ports: readonly number[]): Promise<Balancer> {
    const sockets = new Set<Socket>()
    let turn = 0
    const server = createServer({ allowHalfOpen: true }, client => {
      hold(sockets, client)
      turn += 1
      void forward(client, [...ports.slice(turn % ports.length), ...ports.slice(0, turn % ports.length)], sockets)
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    return new Balancer(server, sockets)
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(done => this.#server.close(done))
  }
}

function hold(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket))
}

async function forward(client: Socket, ports: readonly number[], sockets: Set<Socket>): Promise<void> {
  const asked: Buffer[] = []
  let upstream: Socket | undefined
  client.on('data', chunk => {
    asked.push(chunk)
    upstream?.write(chunk)
  })
  client.on('close', () => upstream?.destroy())
  const end = performance.now() + patienceMs
  while (performance.now() < end && !client.destroyed) {
    for (const port of ports) {
      upstream = await reached(port)
      if (upstream === undefined) continue
      hold(sockets, upstream)
      for (const chunk of asked) upstream.write(chunk)
      if (await answers(upstream, client)) return
      upstream = undefined
    }
    await new Promise(resolve => setTimeout(resolve, retryMs))
  }
  client.destroy()
}

/** Passes the answer on; false when it ended before its first byte. */
function answers(upstream: Socket, client: Socket): Promise<boolean> {
  return new Promise(resolve => {
    let begun = false
    upstream.on('data', chunk => {
      begun = true
      client.write(chunk)
    })
    upstream.on('close', () => {
      if (begun) client.end()
      resolve(begun)
    })
  })
}

function reached(port: number): Promise<Socket | undefined> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(socket)).once('error', () => resolve(undefined))
  })
}
