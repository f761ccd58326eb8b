import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Passes bytes between a client and a server that speaks TLS, and can lose the answer to a large request: the server has acted, the client never learns it. */
export class Relay {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Bytes since the last answer from which on a request counts as large; 0: nothing is lost. */
  #largeFrom = 0
  lost = 0

  private constructor(to: { readonly host: string; readonly port: number }) {
    this.#server = createServer(client => {
      const server = connect(to)
      let asked = 0
      for (const socket of [client, server]) {
        this.#sockets.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => {
          this.#sockets.delete(socket)
          client.destroy()
          server.destroy()
        })
      }
      client.on('data', part => {
        asked += part.length
        server.write(part)
      })
      server.on('data', part => {
        if (this.#largeFrom > 0 && asked >= this.#largeFrom) {
          this.#largeFrom = 0
          this.lost += 1
          client.destroy()
          return
        }
        asked = 0
        client.write(part)
      })
    })
  }

  static async start(to: { readonly host: string; readonly port: number }): Promise<Relay> {
    const relay = new Relay(to)
    await new Promise<void>(resolve => relay.#server.listen(0, '127.0.0.1', resolve))
    return relay
  }

  get port(): number {
    // listen() on a port gives an AddressInfo
    return (this.#server.address() as AddressInfo).port
  }

  /** Loses the answer to the next request of at least so many bytes. */
  loseNext(bytes: number): void {
    this.#largeFrom = bytes
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }
}
