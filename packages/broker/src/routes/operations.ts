import { reasoned, referenceInTarget } from '@keyturn/api'
import { BrokerError, isOver, type OperationId, type Wish } from '@keyturn/core'
import type { Operation } from '@keyturn/ledger'
import { denied, factsOf, grantBroker, mayOn, mustExist } from '../access.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { type Exchange, exchange, type HttpContext, json, named } from '../exchange.ts'
import { once } from '../idempotency.ts'
import { isCampaign, operationView } from '../operations/progress.ts'
import { accepted, grantReference } from './rotate.ts'
import { mustBeRecordable } from './write-secret.ts'

const operationPrefix = '/admin/v1/secrets/rotation-status/'
const rollbackPrefix = '/admin/v1/secrets/rollback/'
const opsPrefix = '/admin/v1/ops/'

/** `GET /admin/v1/secrets/rotation-status/{op_id}`: for who may rotate one of its names; of a campaign, for administrators. */
export function getOperation(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'rotate', async asked => {
    const operation = await find(broker, asked, lastSegment(asked.target, operationPrefix), 'one')
    const view = isCampaign(operation) ? await broker.campaigns.view(operation.id) : operationView(operation)
    return json(view, asked)
  })
}

/** `POST /admin/v1/secrets/rollback/{secret_id}` */
export function rollbackSecret(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'promote', async asked => {
    const reference = referenceInTarget(asked.target, rollbackPrefix)
    asked.secret = 'name' in reference ? reference.name : null
    const granted = await grantReference(broker, asked.session.principal, 'promote', reference)
    const { entry } = granted
    asked.secret = entry.name
    await mustExist(granted)
    const { bytes, content } = await jsonBody(context, reasoned, true)
    mustBeRecordable(broker)
    return once(broker, context, asked, bytes, async () => {
      const { id, rotation } = await broker.ledger.secrets.ensure(entry.name)
      if (rotation === null || isOver(rotation.state)) throw nothingToRollBack(entry.name)
      const op = await broker.ledger.operations.create({ kind: 'rollback', principal: asked.session.principal.id, reason: content.reason })
      try {
        await broker.journal.wish(rotation.id, 'rollback')
      } catch (thrown) {
        const { code, message } = named(thrown)
        await broker.ledger.operations.add(op, { secretId: id, rotation: null, error: { code, message } })
        throw thrown
      }
      await broker.ledger.operations.add(op, { secretId: id, rotation: rotation.id, error: null })
      broker.wake()
      return accepted(op)
    })
  })
}

/** `POST /admin/v1/ops/{op_id}/abort` */
export const abortOperation = (broker: Broker, context: HttpContext): Promise<Response> => wishAll(broker, context, 'abort', 'abort')

/** `POST /admin/v1/ops/{op_id}/retry` */
export const retryOperation = (broker: Broker, context: HttpContext): Promise<Response> => wishAll(broker, context, 'retry', null)

/** Notes a wish on every rotation of an operation that is still open; refused when none can grant it. */
function wishAll(broker: Broker, context: HttpContext, word: string, wish: Wish | null): Promise<Response> {
  return exchange(broker, context, 'rotate', async asked => {
    const id = lastSegment(asked.target, opsPrefix).slice(0, -word.length - 1)
    const operation = await find(broker, asked, id, 'all')
    const { bytes, content } = await jsonBody(context, reasoned, true)
    mustBeRecordable(broker)
    return once(broker, context, asked, bytes, async () => {
      if (isCampaign(operation)) {
        const { id: who } = asked.session.principal
        if (wish === 'abort')
          await broker.campaigns.abort(operation.id, `aborted by ${who}${content.reason === '' ? '' : `: ${content.reason}`}`)
        else await broker.campaigns.retry(operation.id)
        return accepted(operation.id)
      }
      const open = operation.items.flatMap(({ rotation }) => (rotation === null || isOver(rotation.state) ? [] : [rotation]))
      if (open.length === 0)
        throw new BrokerError('conflict', 'nothing in this operation is open any more', { detail: { op: operation.id } })
      const refusals: unknown[] = []
      for (const rotation of open) await broker.journal.wish(rotation.id, wish).catch((error: unknown) => refusals.push(error))
      if (refusals.length === open.length) throw refusals[0]
      broker.wake()
      return accepted(operation.id)
    })
  })
}

/**
 * The operation, if the caller may `rotate` one of its names, or all of them; a campaign, which is about all that is stored, if the caller may `admin`.
 * One that is not there is refused like one that is not the caller's.
 */
async function find(broker: Broker, asked: Exchange, id: string, names: 'one' | 'all'): Promise<Operation> {
  const { principal } = asked.session
  const operation = await broker.ledger.operations.byId(id as OperationId) // any text may be asked for
  if (operation === null) {
    if (!broker.policy.mayAny(principal, 'rotate')) throw denied('rotate')
    throw new BrokerError('not_found', 'no operation has this id', { hint: 'keyturn status shows those that run' })
  }
  if (isCampaign(operation)) {
    asked.action = 'admin'
    grantBroker(broker, principal, 'admin')
    return operation
  }
  const rights: boolean[] = []
  for (const { name } of operation.items) {
    const facts = factsOf(broker.catalog.find(name), await broker.ledger.secrets.byName(name))
    rights.push(mayOn(broker, principal, 'rotate', name, facts))
  }
  const enough = names === 'all' ? rights.every(Boolean) : rights.length === 0 || rights.some(Boolean)
  if (!enough) throw denied('rotate')
  return operation
}

function nothingToRollBack(name: string): BrokerError {
  return new BrokerError('conflict', `there is nothing to roll back: no rotation of ${name} is in grace`, {
    hint: 'write the value you want, or rotate again',
  })
}

function lastSegment(target: string, prefix: string): string {
  return target.slice(prefix.length).split('?')[0] ?? ''
}
