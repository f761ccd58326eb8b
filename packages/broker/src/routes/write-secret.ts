import { fromWire, nameInTarget, type SecretWrite, secretWrite } from '@keyturn/api'
import { BrokerError, type SecretValue, secretTypes } from '@keyturn/core'
import { type Granted, grant } from '../access.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { exchange, type HttpContext, plainHeaders } from '../exchange.ts'
import { once } from '../idempotency.ts'
import { etagOf } from '../reads/material.ts'
import { conditionOf } from '../writes/condition.ts'
import { deleteSecret as remove } from '../writes/delete.ts'
import { writeSecret } from '../writes/write.ts'
import { secretsPrefix } from './get-secret.ts'

/** `PUT /v1/secrets/{name}` */
export function putSecret(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'write', async asked => {
    const name = nameInTarget(asked.target, secretsPrefix)
    asked.secret = name
    const granted = await grant(broker, asked.session.principal, 'write', name)
    const condition = conditionOf(context.env.incoming.headers)
    const { bytes, content } = await jsonBody(context, secretWrite)
    const value = fromWire(content)
    mustBeForm(granted.entry, value)
    mustBeSameType(granted, content.type)
    mustBeRecordable(broker)
    const write = async () => {
      const { info, isNew } = await broker.turns.run(name, () => writeSecret(broker, granted.entry, { value, condition }))
      await describe(broker, granted, content)
      asked.version = info.version
      const body = { name, version: info.version, createdAt: info.createdAt }
      return { status: isNew ? 201 : 200, body, headers: { ETag: etagOf(info.version) } }
    }
    return once(broker, context, asked, bytes, write, body => ({ ETag: etagOf(JSON.parse(body).version) }))
  })
}

/** `DELETE /v1/secrets/{name}` */
export function deleteSecret(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'delete', async asked => {
    const name = nameInTarget(asked.target, secretsPrefix)
    asked.secret = name
    const granted = await grant(broker, asked.session.principal, 'delete', name)
    const condition = conditionOf(context.env.incoming.headers)
    mustBeRecordable(broker)
    await broker.turns.run(name, () => remove(broker, granted, condition))
    return new Response(null, { status: 204, headers: { 'Cache-Control': 'no-store', ...plainHeaders, 'X-Request-Id': asked.requestId } })
  })
}

/** An act whose record cannot be written must not happen: the look ahead spares most, the record after it decides the answer. */
export function mustBeRecordable(broker: Broker): void {
  if (broker.audit.healthy()) return
  throw new BrokerError('unavailable', 'audit cannot be written, so nothing is changed', { hint: 'see to the disk of the audit file' })
}

function mustBeForm(entry: Entry, value: SecretValue): void {
  const [place] = entry.config.places
  const named = value.fieldNames !== undefined
  if (place?.format === 'stored' || named === (place?.format !== 'text')) return
  throw new BrokerError('invalid_argument', named ? 'this secret is one unnamed field' : 'this secret is a set of named fields', {
    hint: named ? 'send {"value": "..."}' : 'send {"fields": {"name": "..."}}',
  })
}

function mustBeSameType(granted: Granted, type: string | undefined): void {
  if (type !== undefined && !secretTypes.some(each => each === type)) {
    throw new BrokerError('invalid_argument', 'there is no such type', { hint: `take one of ${secretTypes.join(', ')}` })
  }
  const known = granted.entry.config.row ? granted.entry.config.type : granted.row?.type
  if (type === undefined || known === undefined || known === null || known === type) return
  throw new BrokerError('conflict', `the type of this secret is ${known}`, { hint: 'leave type out, or change it where it was set' })
}

/** Keeps what the body said of the secret; what the policy judges by has then changed. */
async function describe(broker: Broker, granted: Granted, content: SecretWrite): Promise<void> {
  const { type, labels } = content
  if (type === undefined && labels === undefined) return
  const { id } = await broker.ledger.secrets.ensure(granted.entry.name)
  await broker.ledger.secrets.describe(id, { ...(type === undefined ? {} : { type }), ...(labels === undefined ? {} : { labels }) })
  broker.materials.drop(granted.entry.name)
  broker.sessions.forget()
}
