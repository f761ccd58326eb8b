import type { AuditEvent } from '@keyturn/audit'
import type { Clock } from '@keyturn/core'
import type { Campaign, Ledger } from '@keyturn/ledger'
import type { Logger } from 'pino'
import type { SealedPart } from '../keys/sealed-parts.ts'
import { progressOf, sumOf } from './view.ts'

/** What the end of a campaign is told to. */
export interface EndingParts {
  readonly ledger: Pick<Ledger, 'campaigns'>
  readonly parts: readonly SealedPart[]
  readonly audit: { append(event: AuditEvent): Promise<void> }
  readonly clock: Clock
  readonly log: Pick<Logger, 'info'>
}

/**
 * Ends a campaign that is through every database and the backups, with what there is to say of those. Of several brokers one ends it, and records that.
 * False: a database has not said that it is through.
 */
export async function endCampaign(parts: EndingParts, campaign: Campaign, notes: readonly string[]): Promise<boolean> {
  const { ledger, clock, log } = parts
  const { id, kind } = campaign
  const all = await progressOf(parts.parts, id, clock, 0)
  if (all.some(({ progress }) => progress?.over !== true)) return false
  const sum = sumOf(all)
  const state = sum.failed > 0 ? 'failed' : 'done'
  const rows = sum.failed > 0 ? `${sum.failed} rows could not be opened, and are as they were` : await leftOver(parts, campaign)
  const said = [...(rows === null ? [] : [rows]), ...notes]
  const former = kind === 'scrub' ? await ledger.campaigns.lastWhole(kind) : null
  if (!(await ledger.campaigns.move(id, { state, note: said.length === 0 ? null : said.join('; ') }))) return true
  log.info({ op: id, kind, state, ...sum }, 'a campaign is over')
  await record(parts, campaign, state, `done ${sum.done} skipped ${sum.skipped} failed ${sum.failed} of ${sum.total}`)
  // what a former scrub found is healed, or was found again
  for (const part of former === null ? [] : parts.parts) await (await part.open()).forget(former?.id ?? id)
  return true
}

function record({ audit }: EndingParts, { id, kind }: Campaign, state: 'done' | 'failed', source: string): Promise<void> {
  const outcome = state === 'done' ? 'allowed' : 'failed'
  const event = { principal: 'keyturn', secret: null, version: null, field: null, code: null } as const
  return audit.append({ ...event, action: `${kind}.${state}`, outcome, requestId: id, source })
}

/** Rows that somebody closed under another KEK meanwhile; null: none. */
async function leftOver({ parts }: EndingParts, { kekId }: Campaign): Promise<string | null> {
  if (kekId === null) return null
  let left = 0
  for (const part of parts) {
    for (const { id, needs } of await (await part.open()).keks()) {
      if (id !== kekId) left += Object.values(needs).reduce((sum, rows) => sum + rows, 0)
    }
  }
  return left === 0 ? null : `${left} rows were closed under another KEK meanwhile: the next campaign takes them`
}
