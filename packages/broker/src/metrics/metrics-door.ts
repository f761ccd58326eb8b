import { createServer, type ServerResponse } from 'node:http'
import type { ListenAddress } from '@keyturn/config'
import { BrokerError } from '@keyturn/core'
import type { Registry } from './registry.ts'

const type = 'text/plain; version=0.0.4; charset=utf-8'
const deadlineMs = 10_000

/** The media type of the text format of Prometheus. */
export const metricsType = type

/** A listener for `/metrics` alone, without a login: its address says who can reach it. Answers with how to end it. `conflict` when the address is taken. */
export async function openMetricsDoor(
  { host, port }: ListenAddress,
  registry: Registry,
): Promise<{ readonly address: string; close(): Promise<void> }> {
  const server = createServer({ requestTimeout: deadlineMs, headersTimeout: deadlineMs }, (request, response) => {
    const isAsked = (request.method === 'GET' || request.method === 'HEAD') && request.url?.split('?')[0] === '/metrics'
    if (!isAsked) return end(response, 404, '')
    registry.text().then(
      text => end(response, 200, request.method === 'HEAD' ? '' : text),
      () => end(response, 503, ''),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', cause => reject(taken(host, port, cause)))
    server.listen(port, host, resolve)
  })
  const bound = server.address()
  const taking = typeof bound === 'object' && bound !== null ? bound.port : port
  return {
    address: `http://${host.includes(':') ? `[${host}]` : host}:${taking}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
  response.end(text)
}

function taken(host: string, port: number, cause: Error): BrokerError {
  return new BrokerError('conflict', `cannot listen for metrics on ${host}:${port}`, {
    hint: 'choose another address as metrics.listen',
    cause,
  })
}
