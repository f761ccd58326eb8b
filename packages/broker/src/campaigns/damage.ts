import type { AuditEvent } from '@keyturn/audit'
import type { OperationId } from '@keyturn/core'
import type { Campaign } from '@keyturn/ledger'
import type { Logger } from 'pino'
import type { Unopened } from './outcomes.ts'
import { type NameParts, nameOfRow } from './row-names.ts'

/** Told one by one of each campaign; of the rest only how many, at its end. */
const toldMax = 100

/** Where damage is told. */
export interface DamageParts extends NameParts {
  readonly audit: { append(event: AuditEvent): Promise<void> }
  readonly log: Pick<Logger, 'warn' | 'error'>
}

/** Tells of rows that a campaign could not open: a damaged one is an alert, one whose KEK is missing is said once for each KEK. */
export class Damage {
  readonly #parts: DamageParts
  readonly #told = new Map<OperationId, { rows: number; readonly keks: Set<string> }>()

  constructor(parts: DamageParts) {
    this.#parts = parts
  }

  /** After it is durable that these could not be opened. */
  found(campaign: Campaign, part: string, unopened: readonly Unopened[]): void {
    if (unopened.length === 0) return
    const told = this.#told.get(campaign.id) ?? { rows: 0, keks: new Set() }
    this.#told.set(campaign.id, told)
    for (const one of unopened) {
      const { kekId } = one.row.sealed
      if (one.error.code !== 'corrupt') {
        if (!told.keks.has(kekId)) this.#parts.log.warn({ op: campaign.id, part, kek: kekId }, 'rows need a KEK that is not loaded')
        told.keks.add(kekId)
        continue
      }
      told.rows += 1
      if (told.rows <= toldMax) void this.#tell(campaign, part, one)
    }
  }

  forget(id: OperationId): void {
    this.#told.delete(id)
  }

  async #tell({ id, kind }: Campaign, part: string, { row }: Unopened): Promise<void> {
    const { audit, log } = this.#parts
    const { number } = row.slot
    const secret = await nameOfRow(this.#parts, part, row.slot)
    log.error({ op: id, kind, part, secret, version: number }, 'a stored value is damaged')
    const base = { principal: 'keyturn', action: 'alert', field: null, outcome: 'failed', code: 'corrupt' } as const
    await audit
      .append({ ...base, secret, version: String(number), requestId: id, source: part })
      .catch(() => log.error({ op: id, part, secret }, 'the alert of a damaged value could not be recorded'))
  }
}
