import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { limits } from '@keyturn/api'
import type { ListenAddress } from '@keyturn/config'
import { BrokerError } from '@keyturn/core'
import type { App } from './app.ts'
import type { Broker } from './broker.ts'
import { refuseRaw, turnedAway } from './exchange.ts'

/** A server that listens. */
export interface Listening {
  /** `http://host:port`, with the port that was really taken. */
  readonly address: string
  /** Takes no new requests; resolves when the running ones are answered. */
  stop(): Promise<void>
}

/** Serves an app over plain HTTP, with the limits of the contract. `conflict` when the address is taken. */
export async function listen(broker: Broker, app: App, { host, port }: ListenAddress): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    // its many forms are for HTTP/2 and TLS; this one is plain HTTP/1.1
    createServer: ((options: ServerOptions, listener: RequestListener) =>
      createServer(options, (incoming, outgoing) => {
        const error = turnedAway(incoming)
        if (error === undefined) return listener(incoming, outgoing)
        return void refuseRaw(broker, incoming, error).then(response => send(response, outgoing))
      })) as typeof createServer,
    serverOptions: {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      connectionsCheckingInterval: 2_000,
      maxHeaderSize: 16 * 1024,
    },
  }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(refused(error, host, port)))
    server.listen(port, host, resolve)
  })
  const bound = server.address()
  const taken = typeof bound === 'object' && bound !== null ? bound.port : port
  return { address: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`, stop: () => stop(server) }
}

async function send(response: Response, outgoing: ServerResponse<IncomingMessage>): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.end(await response.text())
}

/** A connection that was busy when the server closed would stay open for the client's next request, which nobody answers. */
const closeIdleMs = 50

function stop(server: Server): Promise<void> {
  return new Promise(resolve => {
    const closing = setInterval(() => server.closeIdleConnections(), closeIdleMs)
    server.close(() => {
      clearInterval(closing)
      resolve()
    })
    server.closeIdleConnections()
  })
}

function refused(error: Error, host: string, port: number): BrokerError {
  const code = 'code' in error ? String(error.code) : error.name
  const why = code === 'EADDRINUSE' ? 'another process has it' : code
  return new BrokerError('conflict', `cannot listen on ${host}:${port}: ${why}`, {
    hint: 'stop the other process, or choose another address with KEYTURN_LISTEN',
    cause: error,
  })
}
