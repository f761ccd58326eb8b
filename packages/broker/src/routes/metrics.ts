import { BrokerError } from '@keyturn/core'
import { grantBroker } from '../access.ts'
import type { Broker } from '../broker.ts'
import { type HttpContext, named, plainHeaders, problem, unauthenticated } from '../exchange.ts'
import { metricsType } from '../metrics/metrics-door.ts'

/**
 * `GET /metrics`: for whoever asks from this machine itself, and for a token with `admin` from elsewhere. A request that a proxy passed on comes from
 * elsewhere. With `metrics.listen` it is served there alone. It is not recorded: it tells counts and states, and is asked all the time.
 */
export async function getMetrics(broker: Broker, context: HttpContext): Promise<Response> {
  try {
    const { enabled = true, listen } = broker.config.metrics
    if (!enabled || listen !== undefined) {
      throw new BrokerError('not_found', 'no metrics are served here', {
        hint: enabled ? 'ask the address of metrics.listen' : 'metrics.enabled is false',
      })
    }
    if (!isOwn(context)) await mustBeAdmin(broker, context)
    return new Response(await broker.metrics.text(), {
      headers: { 'Content-Type': metricsType, 'Cache-Control': 'no-store', ...plainHeaders },
    })
  } catch (error) {
    return problem(named(error), broker.requestId())
  }
}

async function mustBeAdmin(broker: Broker, context: HttpContext): Promise<void> {
  const session = await broker.sessions.find(context.env.incoming.headers.authorization)
  if (session === null) throw unauthenticated()
  grantBroker(broker, session.principal, 'admin')
}

/** From the loopback, and by nobody else's order. */
function isOwn({ env: { incoming } }: HttpContext): boolean {
  const { headers, socket } = incoming
  if (['forwarded', 'via', 'x-forwarded-for', 'x-real-ip'].some(header => headers[header] !== undefined)) return false
  return /^(::ffff:)?127\.|^::1$/.test(socket.remoteAddress ?? '')
}
