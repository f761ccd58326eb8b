import { nameInTarget } from '@keyturn/api'
import { BrokerError, type LedgerVersion, type VersionInfo } from '@keyturn/core'
import { absent, grant } from '../access.ts'
import type { Broker } from '../broker.ts'
import { collect, type Entry } from '../catalog.ts'
import { exchange, type HttpContext, json } from '../exchange.ts'
import { current } from '../writes/write.ts'

const versionsPrefix = '/v1/versions/'

/** `GET /v1/versions/{name}`: what the store still has, and what the ledger knows beside it; newest first, never a value. */
export function getVersions(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'read-metadata', async asked => {
    const name = nameInTarget(asked.target, versionsPrefix)
    asked.secret = name
    const { entry, row } = await grant(broker, asked.session.principal, 'read-metadata', name)
    const held = await inStore(entry)
    const noted = row === null ? [] : await broker.journal.versions(row.id)
    if (held.length === 0 && noted.length === 0) throw absent('there is no such secret')
    return json({ name, versions: joined(held, noted, entry.section.name) }, asked)
  })
}

function inStore(entry: Entry): Promise<readonly VersionInfo[]> {
  return entry.section.ask(async store => {
    if (store.can.has('versions')) return await collect(store.versions(entry.path)).catch(noneIfAbsent)
    const only = await current(store, entry)
    return only === null ? [] : [only]
  })
}

function noneIfAbsent(error: unknown): readonly VersionInfo[] {
  if (error instanceof BrokerError && error.code === 'not_found') return []
  throw error
}

interface Row {
  readonly version: string
  readonly state: VersionInfo['state']
  readonly createdAt: Date
  readonly graceUntil: Date | null
  readonly store: string
}

function joined(held: readonly VersionInfo[], noted: readonly LedgerVersion[], store: string): Row[] {
  // ids made of content come back: the newest row of an id speaks for it
  const known = new Map(noted.toReversed().flatMap(row => (row.version === null ? [] : [[row.version as string, row] as const])))
  const rows = held.map(info => rowOf(info, known.get(info.version), store))
  const shown = new Set(rows.map(row => row.version))
  const kept = [...known.values()].filter(row => !shown.has(row.version ?? '') && row.label === 'previous' && row.fate === null)
  const forgotten = kept.map(row => ({
    version: row.version ?? '',
    state: 'previous' as const,
    createdAt: row.createdAt,
    graceUntil: row.graceUntil,
    store,
  }))
  return [...rows, ...forgotten].sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
}

function rowOf(info: VersionInfo, noted: LedgerVersion | undefined, store: string): Row {
  const previous = info.state === 'older' && noted?.label === 'previous'
  const { version, createdAt } = info
  return { version, state: previous ? 'previous' : info.state, createdAt, graceUntil: noted?.graceUntil ?? null, store }
}
