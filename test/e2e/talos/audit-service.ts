import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A service that takes audit records by webhook, and may be away: what it does not answer with 204 it has not. */
export class AuditService {
  readonly url: string
  readonly lines: string[] = []
  /** How many posts were turned away. */
  refused = 0
  away = false
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    // a server that listens on a port
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/records`
  }

  static async start(): Promise<AuditService> {
    const server = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', chunk => (body += chunk))
      request.on('end', () => {
        if (service.away) service.refused += 1
        else service.lines.push(...body.split('\n').filter(line => line !== ''))
        response.writeHead(service.away ? 503 : 204).end()
      })
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const service = new AuditService(server)
    return service
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(done => this.#server.close(done))
  }
}
