import { reasoned } from '@keyturn/api'
import { grantBroker } from '../access.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { exchange, type HttpContext } from '../exchange.ts'
import { once } from '../idempotency.ts'
import { accepted } from './rotate.ts'
import { mustBeRecordable } from './write-secret.ts'

/** `POST /admin/v1/secrets/rotate-all`: closes every envelope under the current KEK. */
export const rotateAll = (broker: Broker, context: HttpContext): Promise<Response> => begin(broker, context, 'rewrap')

/** `POST /admin/v1/secrets/reencrypt-all`: new DEKs and new payloads for every envelope. */
export const reencryptAll = (broker: Broker, context: HttpContext): Promise<Response> => begin(broker, context, 'reencrypt')

function begin(broker: Broker, context: HttpContext, kind: 'rewrap' | 'reencrypt'): Promise<Response> {
  return exchange(broker, context, 'admin', async asked => {
    const { principal } = asked.session
    grantBroker(broker, principal, 'admin')
    const { bytes, content } = await jsonBody(context, reasoned, true)
    mustBeRecordable(broker)
    return once(broker, context, asked, bytes, async () => {
      const { id } = await broker.campaigns.begin({ kind, principal: principal.id, reason: content.reason })
      return accepted(id)
    })
  })
}
