import { createHmac } from 'node:crypto'
import { BrokerError } from '@keyturn/core'
import type { Broker } from './broker.ts'
import { type Exchange, type HttpContext, json } from './exchange.ts'

/** What is answered, and answered again for the same key. It must hold nothing secret: the ledger keeps it as it is. */
export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Record<string, string>
}

const form = /^[!-~]{1,128}$/

/**
 * Does a thing once for an `Idempotency-Key`, principal and route, and gives later requests the same answer for 24 hours. An act that failed
 * may be sent again. Without the header it is simply done.
 */
export async function once(
  broker: Broker,
  context: HttpContext,
  asked: Exchange,
  body: Uint8Array,
  act: () => Promise<Answer>,
  headersOf: (body: string) => Record<string, string> = () => ({}),
): Promise<Response> {
  const given = context.env.incoming.headers['idempotency-key']
  if (given === undefined) return respond(await act(), asked)
  if (typeof given !== 'string' || !form.test(given)) {
    throw new BrokerError('invalid_argument', 'an Idempotency-Key is 1 to 128 visible ASCII characters', { hint: 'send a UUID' })
  }
  const at = asked.target.indexOf('?')
  const route = `${context.env.incoming.method} ${at === -1 ? asked.target : asked.target.slice(0, at)}`
  const key = { principal: asked.session.principal.id, route, key: given }
  // a body may hold a value that could be guessed from a plain hash
  const bodyHash = createHmac('sha256', broker.keys.idempotency.key).update(body).digest()
  const former = await broker.ledger.idempotency.begin({ ...key, bodyHash })
  if (former !== null)
    return json(JSON.parse(former.body), asked, former.status, { 'Idempotent-Replayed': 'true', ...headersOf(former.body) })
  try {
    const answer = await act()
    await broker.ledger.idempotency.end(key, { status: answer.status, body: JSON.stringify(answer.body) })
    return respond(answer, asked)
  } catch (error) {
    await broker.ledger.idempotency.end(key, null)
    throw error
  }
}

function respond(answer: Answer, asked: Exchange): Response {
  return json(answer.body, asked, answer.status, answer.headers)
}
