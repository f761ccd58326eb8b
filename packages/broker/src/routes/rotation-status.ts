import { rotationStatusQuery } from '@keyturn/api'
import { isOver, type SecretName } from '@keyturn/core'
import type { SecretRow } from '@keyturn/ledger'
import type { Principal } from '@keyturn/policy'
import { denied, factsOf, genericType, mayOn } from '../access.ts'
import { query } from '../body.ts'
import type { Broker } from '../broker.ts'
import { afterCursor, cursorAfter } from '../cursor.ts'
import { exchange, type HttpContext, json } from '../exchange.ts'
import { failureOf, type RowState, rowState } from '../operations/progress.ts'
import { allRows } from '../operations/select.ts'

const list = 'rotation-status'
const pageRows = 500
const counted = ['due', 'running', 'waiting', 'in_grace', 'failed', 'needs_attention'] as const

interface Judged {
  readonly row: SecretRow
  readonly type: string
  readonly state: RowState
}

/** `GET /admin/v1/secrets/rotation/status`: rows that the caller may `read-metadata`; refused when that is none. */
export function getRotationStatus(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'read-metadata', async asked => {
    const { state, cursor } = query(context, rotationStatusQuery)
    const { principal } = asked.session
    if (!broker.policy.mayAny(principal, 'read-metadata')) throw denied('read-metadata')
    const now = await broker.ledger.now()
    const visible = (await allRows(broker)).flatMap(row => judged(broker, principal, row, now) ?? [])
    const counts = Object.fromEntries(counted.map(word => [word, visible.filter(row => row.state === word).length]))
    const after = cursor === undefined ? null : afterCursor(broker.keys.cursor, list, cursor)
    const wanted = visible.filter(row => (state === undefined || row.state === state) && (after === null || row.row.name > after))
    const page = wanted.slice(0, pageRows)
    const last: SecretName | undefined = wanted.length > pageRows ? page.at(-1)?.row.name : undefined
    const secrets: object[] = []
    for (const row of page) secrets.push(await view(broker, row))
    const next = last === undefined ? null : cursorAfter(broker.keys.cursor, list, last)
    return json({ now, next_scan_at: broker.nextScan(), counts, secrets, next }, asked)
  })
}

function judged(broker: Broker, principal: Principal, row: SecretRow, now: Date): Judged | null {
  const facts = factsOf(broker.catalog.find(row.name), row)
  if (!mayOn(broker, principal, 'read-metadata', row.name, facts)) return null
  const { type = genericType } = facts
  const open = row.rotation !== null && !isOver(row.rotation.state)
  return { row, type, state: rowState(row.rotation, open, row.nextRotationAt, now) }
}

/** What keeps a name from one of its stores, told as a rotation tells of its copies. */
function undelivered(broker: Broker, name: SecretName): { readonly code: string; readonly detail: string } | null {
  const failure = broker.deliveries.failure(name)
  return failure === null ? null : { code: failure.code, detail: failure.message }
}

async function view(broker: Broker, { row, type, state }: Judged): Promise<object> {
  const { id, name, rotation, nextRotationAt } = row
  const versions = await broker.journal.versions(id)
  const previous = versions.find(version => version.label === 'previous' && version.fate === null)
  const open = rotation !== null && !isOver(rotation.state) ? rotation : null
  return {
    secret_id: id,
    name,
    type,
    state,
    step: open?.state ?? null,
    version: versions.find(version => version.label === 'current')?.version ?? null,
    previous: previous?.version ?? null,
    grace_until: previous?.graceUntil ?? null,
    next_rotation_at: nextRotationAt,
    op_id: rotation?.op ?? null,
    attempts: open?.attempts ?? 0,
    next_try_at: open?.wakeAt ?? null,
    error: (rotation === null ? null : failureOf(rotation)) ?? undelivered(broker, name),
  }
}
