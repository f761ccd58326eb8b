import { createServer, type IncomingMessage, request as plainRequest, type ServerResponse } from 'node:http'
import { createServer as createSecureServer, request as secureRequest } from 'node:https'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import type { Carry, Exchange } from '../wire.ts'

/** An address on the loopback that stands for a server, for one process. */
export interface Line {
  readonly url: string
  /** Nothing gets through any more. */
  kill(): Promise<void>
}

/** Listens in place of an HTTP/1.1 server, in TLS where that one does, and hands each whole request to `carry`. */
export async function httpLine(upstream: string, carry: Carry): Promise<Line> {
  const { protocol } = new URL(upstream)
  const server = protocol === 'https:' ? createSecureServer(testCertificates.server) : createServer()
  const kill = endOf(server)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    bodyOf(request).then(
      body => carry(exchangeOf(request, response, { upstream, body }), kill),
      // whoever sent it went away in the middle: there is no request
      () => undefined,
    )
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  // listen() on a port gives an AddressInfo
  return { url: `${protocol}//127.0.0.1:${(server.address() as AddressInfo).port}`, kill }
}

/** Ends a server with every connection to it. */
export function endOf(server: NetServer): () => Promise<void> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  }
}

interface Onward {
  readonly upstream: string
  readonly body: Buffer
}

function exchangeOf(request: IncomingMessage, response: ServerResponse, onward: Onward): Exchange {
  return {
    title: titleOf(request),
    async act() {
      const answer = await send(request, onward)
      const body = await bodyOf(answer)
      // of this connection, not of that one
      const { 'transfer-encoding': _, connection: __, ...headers } = answer.headers
      return () => void response.writeHead(answer.statusCode ?? 0, { ...headers, 'content-length': body.byteLength }).end(body)
    },
    refuse: () => void response.writeHead(503, { 'content-type': 'text/html' }).end('<html>no backend is there</html>'),
    cut: () => void request.socket.destroy(),
  }
}

/** Where a service has one URL, a header says the operation. */
function titleOf({ method, url = '', headers }: IncomingMessage): string {
  const { 'x-amz-target': operation } = headers
  return operation === undefined ? `${method} ${url.replace(/\?.*/, '').replace(/[0-9a-f]{32}/, 'VERSION')}` : String(operation)
}

function send({ method = 'GET', url = '/', headers }: IncomingMessage, { upstream, body }: Onward): Promise<IncomingMessage> {
  const isSecure = upstream.startsWith('https:')
  return new Promise((resolve, reject) => {
    const options = { method, headers, ca: testCertificates.ca }
    const onward = (isSecure ? secureRequest : plainRequest)(new URL(url, upstream), options, resolve)
    onward.on('error', reject)
    onward.end(body)
  })
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of message) parts.push(part as Buffer)
  return Buffer.concat(parts)
}
