import type { OperationId, PassKind, Random } from '@keyturn/core'
import { ms, type Row, type Sql, type Transaction, text, textOrNull, time, timeOrNull } from '@keyturn/sql'
import { newOperationId } from '../identifier.ts'
import type { Campaign, Campaigns } from '../ledger.ts'
import { type CampaignRequest, isUnfinished, noCampaign, overtaken } from '../rules/campaign.ts'
import { lockLedger } from './ledger-lock.ts'

const selected = 'select c.*, o.principal, o.reason, o.started_at from campaigns c join operations o on o.id = c.id'

export class SqlCampaigns implements Campaigns {
  readonly #sql: Sql
  readonly #random: Random

  constructor(sql: Sql, random: Random) {
    this.#sql = sql
    this.#random = random
  }

  open({ kind, kekId, principal, reason, state }: CampaignRequest): Promise<Campaign> {
    return this.#sql.transaction(async tx => {
      await lockLedger(tx)
      const [open] = (await tx.rows(`${selected} where c.kind = $1 and c.finished_at is null`, [kind])).map(toCampaign)
      if (open?.kekId === kekId) return open
      const id = newOperationId(this.#random)
      if (open !== undefined) await end(tx, open.id, { state: 'aborted', note: overtaken({ id, kekId }) })
      await tx.change('insert into operations (id, kind, principal, reason, started_at) values ($1, $2, $3, $4, $5)', [
        id,
        kind,
        principal,
        reason,
        tx.now,
      ])
      await tx.change('insert into campaigns (id, kind, kek_id, state) values ($1, $2, $3, $4)', [id, kind, kekId, state])
      return { id, kind, kekId, state, principal, reason, startedAt: new Date(tx.now), finishedAt: null, note: null }
    })
  }

  byId(id: OperationId): Promise<Campaign | null> {
    return this.#sql.transaction(tx => find(tx, id))
  }

  unfinished(): Promise<readonly Campaign[]> {
    return this.#sql.transaction(async tx => (await tx.rows(`${selected} where c.finished_at is null order by c.seq`)).map(toCampaign))
  }

  last(kind: PassKind): Promise<Campaign | null> {
    return this.#newest('c.kind = $1', [kind])
  }

  lastWhole(kind: PassKind): Promise<Campaign | null> {
    return this.#newest("c.kind = $1 and c.state in ('done', 'failed')", [kind])
  }

  #newest(where: string, values: readonly string[]): Promise<Campaign | null> {
    return this.#sql.transaction(async tx => {
      const [row] = await tx.rows(`${selected} where ${where} order by c.seq desc limit 1`, values)
      return row === undefined ? null : toCampaign(row)
    })
  }

  move(id: OperationId, to: { readonly state: Campaign['state']; readonly note: string | null }): Promise<boolean> {
    return this.#sql.transaction(async tx => {
      if ((await end(tx, id, to)) > 0) return true
      if ((await find(tx, id)) === null) throw noCampaign(id)
      return false
    })
  }
}

async function end(tx: Transaction, id: OperationId, { state, note }: Pick<Campaign, 'state' | 'note'>): Promise<number> {
  const finishedAt = isUnfinished(state) ? null : new Date(tx.now)
  return tx.change('update campaigns set state = $2, note = $3, finished_at = $4 where id = $1 and finished_at is null', [
    id,
    state,
    note,
    ms(finishedAt),
  ])
}

async function find(tx: Transaction, id: OperationId): Promise<Campaign | null> {
  const [row] = await tx.rows(`${selected} where c.id = $1`, [id])
  return row === undefined ? null : toCampaign(row)
}

function toCampaign(row: Row): Campaign {
  const campaign = {
    id: text(row, 'id'),
    kind: text(row, 'kind'),
    kekId: textOrNull(row, 'kek_id'),
    state: text(row, 'state'),
    principal: text(row, 'principal'),
    reason: text(row, 'reason'),
    startedAt: time(row, 'started_at'),
    finishedAt: timeOrNull(row, 'finished_at'),
    note: textOrNull(row, 'note'),
  }
  // written from a Campaign; the table checks the words
  return campaign as Campaign
}
