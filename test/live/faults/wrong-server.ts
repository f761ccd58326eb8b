import { once } from 'node:events'
import { createServer as createHttp, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

/** What every request is answered with. `broken`: JSON with a value where none may be, which parsers quote. `endless`: a body that goes on for ever. */
export type Wrong = 'throttled' | 'unavailable' | 'page' | 'broken' | 'endless'

/** Stands where a backend should: a gateway, a login page, something broken. It acts on nothing. */
export interface WrongServer {
  readonly port: number
  stop(): Promise<void>
}

const pieceEveryMs = 10
const piece = Buffer.alloc(16_384, 'x')

/** On a free port of the loopback; with a certificate it speaks TLS. `value` is what `broken` shows. */
export async function startWrongServer(
  wrong: Wrong,
  value: string,
  tls: { readonly cert: string; readonly key: string } | undefined,
): Promise<WrongServer> {
  const answer: RequestListener = (request, response) => {
    request.resume()
    answers[wrong](response, value)
  }
  const server = tls === undefined ? createHttp(answer) : createHttps(tls, answer)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
  })
  // who speaks TLS to a plain server, or does not trust this one, hangs up
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    // listen() on a port gives an AddressInfo
    port: (server.address() as AddressInfo).port,
    async stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const answers: Readonly<Record<Wrong, (response: ServerResponse, value: string) => void>> = {
  throttled: response => response.writeHead(429, { 'content-type': 'text/plain', 'retry-after': '2' }).end('slow down'),
  unavailable: response => response.writeHead(503, { 'content-type': 'text/plain' }).end('no backend'),
  page: response => response.writeHead(200, { 'content-type': 'text/html' }).end('<html><form action="/login"></form></html>'),
  broken: (response, value) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(`{"value":"${value}"${value}`)
  },
  endless: response => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"data":"')
    const timer = setInterval(() => response.write(piece), pieceEveryMs)
    response.on('close', () => clearInterval(timer)).on('error', () => clearInterval(timer))
  },
}
