import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/** An HTTP proxy that tunnels: it leads the names that it knows to places on the loopback, and says 502 to all others. */
export class AzureTunnel {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** What was asked for, as `host:port`. */
  readonly asked: string[] = []
  /** Where a name leads. */
  readonly places = new Map<string, number>()

  private constructor() {
    this.#server = createServer((_, response) => response.writeHead(501).end())
    this.#server.on('connect', (request: IncomingMessage, client: Socket) => this.#tunnel(request.url ?? '', client))
  }

  static async start(): Promise<AzureTunnel> {
    const tunnel = new AzureTunnel()
    await new Promise<void>(resolve => tunnel.#server.listen(0, '127.0.0.1', resolve))
    return tunnel
  }

  get url(): string {
    // listen() on a port gives an AddressInfo
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #tunnel(target: string, client: Socket): void {
    this.asked.push(target)
    this.#keep(client)
    const port = this.places.get(target)
    if (port === undefined) return void client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    const server = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      server.pipe(client).pipe(server)
    })
    this.#keep(server)
    server.on('close', () => client.destroy())
    client.on('close', () => server.destroy())
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
