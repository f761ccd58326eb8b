import { grantBroker } from '../access.ts'
import type { Broker } from '../broker.ts'
import { exchange, type HttpContext, json } from '../exchange.ts'
import { kekFacts } from '../keys/kek-facts.ts'
import { kekStatus } from '../keys/kek-status.ts'

/** `GET /admin/v1/secrets/kek-status` */
export function getKekStatus(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'admin', async asked => {
    grantBroker(broker, asked.session.principal, 'admin')
    const { keyring, keys, copies } = broker.life
    const { kekThresholdMs: thresholdMs } = broker.config.rotation
    const [facts, damaged] = await Promise.all([kekFacts(broker), broker.campaigns.damaged()])
    const refusal = keys.health.error?.message ?? null
    const { wanted, currentId: using, ids: loaded } = keyring
    return json(kekStatus(facts, { wanted, using, loaded, thresholdMs, refusal, left: copies.left, damaged }), asked)
  })
}
