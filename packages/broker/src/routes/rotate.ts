import { rotateMany as manyBody, rotateOne as oneBody, referenceInTarget, type SecretReference } from '@keyturn/api'
import { BrokerError, type OperationId } from '@keyturn/core'
import type { Action, Principal } from '@keyturn/policy'
import { absent, denied, type Granted, grant, mustExist } from '../access.ts'
import { makeBackup, needsBackup } from '../backups/before.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { exchange, type HttpContext, json } from '../exchange.ts'
import { type Answer, once } from '../idempotency.ts'
import { planOf, select } from '../operations/select.ts'
import { rotateMany, rotateOne } from '../operations/start.ts'
import { mustBeRecordable } from './write-secret.ts'

const rotatePrefix = '/admin/v1/secrets/rotate/'
const statusPrefix = '/admin/v1/secrets/rotation-status/'

/** `POST /admin/v1/secrets/rotate/{secret_id}` */
export function rotateSecret(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'rotate', async asked => {
    const reference = referenceInTarget(asked.target, rotatePrefix)
    asked.secret = 'name' in reference ? reference.name : null
    const { bytes, content } = await jsonBody(context, oneBody, true)
    asked.action = actionOf(content.mode)
    const granted = await grantReference(broker, asked.session.principal, actionOf(content.mode), reference)
    const { entry } = granted
    asked.secret = entry.name
    await mustExist(granted)
    mustBeRecordable(broker)
    return once(broker, context, asked, bytes, async () => {
      const wish = { ...content, graceOverrideMs: milliseconds(content.grace_override), trigger: 'manual' as const }
      return accepted(await rotateOne(broker, entry, asked.session.principal.id, wish))
    })
  })
}

/** `POST /admin/v1/secrets/rotate` */
export function rotateSecrets(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'rotate', async asked => {
    const { bytes, content } = await jsonBody(context, manyBody)
    asked.action = actionOf(content.mode)
    const { principal } = asked.session
    const selected = await select(broker, principal, actionOf(content.mode), content)
    const graceOverrideMs = milliseconds(content.grace_override)
    if (content.dry_run) {
      const plan: object[] = []
      for (const each of selected) plan.push(await planOf(broker, each, graceOverrideMs, content.mode === 'compromise'))
      return json({ plan }, asked)
    }
    mustBeRecordable(broker)
    if (selected.length === 0) throw absent('the selector names nothing that you may rotate')
    return once(broker, context, asked, bytes, async () => {
      const wish = { ...content, graceOverrideMs, trigger: 'manual' as const }
      const entries = selected.map(({ entry }) => entry)
      if (needsBackup(broker.config, 'rotate')) await makeBackup(broker, 'rotate', { principal: principal.id, reason: content.reason })
      return accepted(await rotateMany(broker, entries, principal.id, wish))
    })
  })
}

/** The answer of every long act: where to look. */
export function accepted(op: OperationId): Answer {
  return { status: 202, body: { op_id: op, status_url: `${statusPrefix}${op}` } }
}

/** As `grant`, of a name or an id. An id that nobody has is refused like one that the caller has no right to. */
export async function grantReference(broker: Broker, principal: Principal, action: Action, reference: SecretReference): Promise<Granted> {
  if ('name' in reference) return grant(broker, principal, action, reference.name)
  const row = await broker.ledger.secrets.byId(reference.id)
  if (row !== null) return grant(broker, principal, action, row.name)
  // without a name there is nothing to judge: only who may do this to everything may know that it is absent
  if (!broker.policy.decide(principal, action, { name: null }).allowed) throw denied(action)
  throw new BrokerError('not_found', 'no secret has this id', { hint: 'keyturn status shows the ids' })
}

const actionOf = (mode: 'normal' | 'compromise'): Action => (mode === 'compromise' ? 'compromise' : 'rotate')
const milliseconds = (seconds: number | undefined): number | null => (seconds === undefined ? null : seconds * 1000)
