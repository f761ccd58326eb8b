import { openApiDocument, routes } from '@keyturn/api/routes'
import type { Broker } from '../broker.ts'
import { type HttpContext, plainHeaders } from '../exchange.ts'

/** `GET /healthz`: whoever gets this answer knows that the event loop turns. */
export function getHealth(): Response {
  return plain({ status: 'ok' })
}

/** `GET /readyz`: red only for what this broker itself needs. A store that is down is shown, and another broker would not reach it either. */
export async function getReadiness(broker: Broker): Promise<Response> {
  const ledger = await broker.ledger.check().then(
    () => true,
    () => false,
  )
  const checks = { config: true, ledger, audit: broker.audit.healthy(), kek: broker.kekLoaded() }
  const ready = Object.values(checks).every(Boolean)
  const words = Object.fromEntries(Object.entries(checks).map(([name, good]) => [name, good ? 'ok' : 'unavailable']))
  return plain({ ready, checks: words, stores: broker.storeStates() }, ready ? 200 : 503)
}

const documents = new WeakMap<Broker, string>()

/** `GET /openapi.json` */
export function getOpenApi(broker: Broker, _context: HttpContext): Response {
  const document = documents.get(broker) ?? JSON.stringify(openApiDocument(routes, { version: broker.version }))
  documents.set(broker, document)
  return new Response(document, { headers: { 'Content-Type': 'application/json', ...plainHeaders } })
}

function plain(body: object, status = 200): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...plainHeaders },
  })
}
