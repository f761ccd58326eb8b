import { connect, createServer, type Socket } from 'node:net'

/** A way to a server that breaks when it is told to. */
export interface Cutting {
  readonly port: number
  /** The next time that the text goes by, the connection is cut. */
  arm(): void
  close(): Promise<void>
}

/** Passes connections on to a server until it is armed and this text goes by: then it cuts, with the text passed on or not. */
export async function cutting(target: number, text: string, passesOn: boolean): Promise<Cutting> {
  let armed = false
  const sockets = new Set<Socket>()
  const proxy = createServer(client => {
    const upstream = connect(target, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    upstream.pipe(client)
    client.on('end', () => upstream.end())
    client.on('data', chunk => {
      if (!armed || !chunk.includes(text)) {
        upstream.write(chunk)
        return
      }
      armed = false
      upstream.unpipe(client)
      client.destroy()
      if (passesOn) upstream.end(chunk)
      else upstream.destroy()
    })
  })
  await new Promise<void>(done => proxy.listen(0, '127.0.0.1', done))
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('no port for the proxy')
  return {
    port: address.port,
    arm: () => {
      armed = true
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise(done => proxy.close(done))
    },
  }
}
