import { backupCreate } from '@keyturn/api'
import { grantBroker } from '../access.ts'
import type { ListedBackup } from '../backups/bundles.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { exchange, type HttpContext, json } from '../exchange.ts'
import { once } from '../idempotency.ts'
import { mustBeRecordable } from './write-secret.ts'

/** `GET /admin/v1/backups` */
export function listBackups(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'admin', async asked => {
    grantBroker(broker, asked.session.principal, 'admin')
    return json({ backups: (await broker.bundles.list()).map(shown) }, asked)
  })
}

/** `POST /admin/v1/backups` */
export function createBackup(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'admin', async asked => {
    grantBroker(broker, asked.session.principal, 'admin')
    const { bytes, content } = await jsonBody(context, backupCreate, true)
    mustBeRecordable(broker)
    return once(broker, context, asked, bytes, async () => {
      const { reason, keep_for: keepFor } = content
      const keep = keepFor === undefined ? {} : { keepMs: keepFor === null ? null : keepFor * 1000 }
      const backup = await broker.bundles.create({ reason, ...keep })
      asked.field = backup.id
      return { status: 201, body: shown({ ...backup, isThere: true }) }
    })
  })
}

function shown({ id, createdAt, file, host, reason, bytes, sha256, versions, keks, keepUntil, isThere }: ListedBackup): object {
  return { id, created_at: createdAt, file, host, reason, bytes, sha256, versions, keks, keep_until: keepUntil, present: isThere }
}
