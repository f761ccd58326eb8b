import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Carry, Exchange } from '../wire.ts'
import { endOf, type Line } from './http.ts'

/** Listens in place of a gRPC server in plaintext and hands each whole call to `carry`. Calls have one message each way. */
export async function grpcLine(upstream: string, carry: Carry): Promise<Line> {
  const server = createServer()
  const kill = endOf(server)
  server.on('stream', (stream, headers) => {
    // a caller that has given up resets its stream
    stream.on('error', () => undefined)
    bodyOf(stream).then(
      body => carry(exchangeOf(stream, headers, { upstream, body }), kill),
      () => undefined,
    )
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  // listen() on a port gives an AddressInfo
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, kill }
}

interface Onward {
  readonly upstream: string
  readonly body: Buffer
}

function exchangeOf(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, onward: Onward): Exchange {
  return {
    title: String(headers[':path']).replace(/^.*\//, ''),
    async act() {
      const answer = await send(headers, onward)
      return () => {
        if (stream.closed) return
        const { trailers } = answer
        if (trailers === undefined) return stream.respond(answer.headers, { endStream: true })
        stream.respond(answer.headers, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers(trailers))
        stream.end(answer.body)
      }
    },
    refuse() {
      stream.respond({ ':status': 503, 'content-type': 'text/html' })
      stream.end('<html>no backend is there</html>')
    },
    cut: () => stream.session?.destroy(),
  }
}

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Absent where the status stands in the headers, with nothing behind them. */
  readonly trailers: IncomingHttpHeaders | undefined
}

async function send(headers: IncomingHttpHeaders, { upstream, body }: Onward): Promise<Answer> {
  const session = connect(upstream)
  try {
    return await new Promise<Answer>((resolve, reject) => {
      session.on('error', reject)
      const stream = session.request(headers)
      let [head, trailers]: (IncomingHttpHeaders | undefined)[] = []
      stream.on('response', found => (head = found))
      stream.on('trailers', found => (trailers = found))
      stream.on('error', reject)
      bodyOf(stream).then(whole => resolve({ headers: head ?? {}, body: whole, trailers }), reject)
      stream.end(body)
    })
  } finally {
    session.destroy()
  }
}

async function bodyOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}
