import { integer, type Row, type Sql, text, textOrNull, time } from '@keyturn/sql'
import type { Outbox, OutboxRow } from '../ledger.ts'

export class SqlOutbox implements Outbox {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  pending(limit: number): Promise<readonly OutboxRow[]> {
    return this.#sql.transaction(async tx => (await tx.rows('select * from outbox order by id limit $1', [limit])).map(toEvent))
  }

  delivered(ids: readonly number[]): Promise<void> {
    return this.#sql.transaction(async tx => {
      for (const id of ids) await tx.change('delete from outbox where id = $1', [id])
    })
  }

  async deliver(limit: number, take: (rows: readonly OutboxRow[]) => Promise<void>): Promise<void> {
    if (this.#sql.dialect.database === 'sqlite') return this.#deliverAlone(limit, take)
    return this.#sql.transaction(async tx => {
      // gone for whoever asks next, who waits for the end of this transaction
      const rows = await tx.rows('delete from outbox where id in (select id from outbox order by id limit $1) returning *', [limit])
      await take(rows.map(toEvent).sort((a, b) => a.id - b.id))
    })
  }

  /** Of one process there is nobody to keep out, and its transactions would wait for `take`. */
  async #deliverAlone(limit: number, take: (rows: readonly OutboxRow[]) => Promise<void>): Promise<void> {
    const rows = await this.pending(limit)
    await take(rows)
    await this.delivered(rows.map(({ id }) => id))
  }
}

function toEvent(row: Row): OutboxRow {
  const event = {
    id: integer(row, 'id'),
    at: time(row, 'at'),
    secret: text(row, 'secret'),
    rotation: text(row, 'rotation'),
    action: text(row, 'action'),
    outcome: text(row, 'outcome'),
    version: textOrNull(row, 'version'),
    code: textOrNull(row, 'code'),
  }
  // written from a RotationEvent of a Rotation
  return event as OutboxRow
}
