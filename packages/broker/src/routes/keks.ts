import { kekCreate, kekDestroy, kekMove } from '@keyturn/api'
import { BrokerError } from '@keyturn/core'
import { isKekId } from '@keyturn/envelope'
import type { KekRecord } from '@keyturn/ledger'
import type { z } from 'zod'
import { grantBroker } from '../access.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { type Exchange, exchange, type HttpContext } from '../exchange.ts'
import { type Answer, once } from '../idempotency.ts'
import { compromiseKek as compromise, destroyKek as destroy, makeKek as make, retireKek as retire } from '../keys/kek-acts.ts'
import { mustBeRecordable } from './write-secret.ts'

const keksPath = '/admin/v1/keks/'

/** `POST /admin/v1/keks` */
export function makeKek(broker: Broker, context: HttpContext): Promise<Response> {
  return act(broker, context, { action: 'kek.make', schema: kekCreate, optional: false }, async (asked, { id }) => {
    asked.field = id
    return { status: 201, body: shown(await make(broker, id)) }
  })
}

/** `POST /admin/v1/keks/{kek_id}/retire` */
export function retireKek(broker: Broker, context: HttpContext): Promise<Response> {
  return act(broker, context, { action: 'kek.retire', schema: kekMove, optional: true }, async asked => {
    return { status: 200, body: shown(await retire(broker, kekOf(asked))) }
  })
}

/** `POST /admin/v1/keks/{kek_id}/compromise` */
export function compromiseKek(broker: Broker, context: HttpContext): Promise<Response> {
  return act(broker, context, { action: 'kek.compromise', schema: kekMove, optional: true }, async asked => {
    return { status: 200, body: shown(await compromise(broker, kekOf(asked))) }
  })
}

/** `POST /admin/v1/keks/{kek_id}/destroy` */
export function destroyKek(broker: Broker, context: HttpContext): Promise<Response> {
  return act(broker, context, { action: 'kek.destroy', schema: kekDestroy, optional: true }, async (asked, wish) => {
    const { confirm, confirmation, loses } = wish
    const principal = asked.session.principal.id
    const destroyed = await destroy(broker, kekOf(asked), { principal, confirm, confirmation, loses })
    return { status: 200, body: { ...shown(destroyed), next: destroyed.next } }
  })
}

interface Kind<T> {
  /** As the record calls it. */
  readonly action: string
  readonly schema: T
  /** Whether the body may be left out. */
  readonly optional: boolean
}

/** What all acts on a KEK have in common. */
function act<T extends z.ZodType>(
  broker: Broker,
  context: HttpContext,
  { action, schema, optional }: Kind<T>,
  run: (asked: Exchange, content: z.output<T>) => Promise<Answer>,
): Promise<Response> {
  return exchange(broker, context, action, async asked => {
    grantBroker(broker, asked.session.principal, 'admin')
    const { bytes, content } = await jsonBody(context, schema, optional)
    mustBeRecordable(broker)
    return once(broker, context, asked, bytes, () => run(asked, content))
  })
}

/** The id in the path, also for the record. */
function kekOf(asked: Exchange): string {
  const [id = ''] = asked.target.slice(keksPath.length).split('/')
  if (!isKekId(id)) throw new BrokerError('not_found', 'no KEK has such an id', { hint: 'keyturn kek status shows those that there are' })
  asked.field = id
  return id
}

function shown({ id, state, stateAt, fingerprint }: KekRecord): object {
  return { id, state, since: stateAt, fingerprint }
}
