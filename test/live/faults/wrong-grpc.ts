import { once } from 'node:events'
import { createSecureServer, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { Wrong, WrongServer } from './wrong-server.ts'

const pieceEveryMs = 10
const piece = Buffer.alloc(16_384, 'x')
/** Below what a client of gRPC takes for a message, and never reached. */
const announced = 4_000_000

/** As `startWrongServer`, for gRPC: statuses come as trailers, and a page as what a gateway sends. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
export async function startWrongGrpc(
  wrong: Wrong,
  value: string,
  tls: { readonly cert: string; readonly key: string } | undefined,
): Promise<WrongServer> {
  const sessions = new Set<ServerHttp2Session>()
  const server = tls === undefined ? createServer() : createSecureServer(tls)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
  })
  server.on('session', session => {
    sessions.add(session)
    session.on('error', () => undefined).on('close', () => sessions.delete(session))
  })
  server.on('stream', stream => {
    stream.on('error', () => undefined)
    answers[wrong](stream, value)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    // listen() on a port gives an AddressInfo
    port: (server.address() as AddressInfo).port,
    async stop() {
      for (const session of sessions) session.destroy()
      // those that never came to speak
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const grpc = { ':status': 200, 'content-type': 'application/grpc' }

const answers: Readonly<Record<Wrong, (stream: ServerHttp2Stream, value: string) => void>> = {
  throttled: stream => stream.respond({ ...grpc, 'grpc-status': '8', 'grpc-message': 'Quota exceeded' }, { endStream: true }),
  unavailable: stream => stream.respond({ ...grpc, 'grpc-status': '14', 'grpc-message': 'unavailable' }, { endStream: true }),
  page: stream => {
    stream.respond({ ':status': 200, 'content-type': 'text/html' })
    stream.end('<html><form action="/login"></form></html>')
  },
  broken: (stream, value) => {
    stream.respond(grpc, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(message(Buffer.from(value), value.length))
  },
  endless: stream => {
    stream.respond(grpc)
    stream.write(message(piece, announced))
    const timer = setInterval(() => stream.write(piece), pieceEveryMs)
    stream.on('close', () => clearInterval(timer))
  },
}

/** Its first byte says that it is not compressed, the next four how long it is. */
function message(bytes: Buffer, length: number): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, bytes])
}
