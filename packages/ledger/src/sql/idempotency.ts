import { bytes, integer, integerOrNull, type Sql, type Transaction, textOrNull } from '@keyturn/sql'
import type { IdempotencyKeys } from '../ledger.ts'
import { answerKeptMs, repeated, requestRunsMs } from '../rules/answer.ts'

type Key = { readonly principal: string; readonly route: string; readonly key: string }
type Answer = { readonly status: number; readonly body: string }

export class SqlIdempotencyKeys implements IdempotencyKeys {
  readonly #sql: Sql
  readonly #incarnation: number

  constructor(sql: Sql, incarnation: number) {
    this.#sql = sql
    this.#incarnation = incarnation
  }

  begin({ principal, route, key, bodyHash }: Key & { readonly bodyHash: Uint8Array }): Promise<Answer | null> {
    return this.#sql.transaction(async tx => {
      await this.#forget(tx)
      const made = await tx.change(
        `insert into answers (principal, route, idempotency_key, body_hash, begun_at, incarnation) values ($1, $2, $3, $4, $5, $6)
         on conflict (principal, route, idempotency_key) do update
         set body_hash = excluded.body_hash, status = null, body = null, begun_at = excluded.begun_at, incarnation = excluded.incarnation
         where answers.begun_at <= $7 or (answers.status is null and (answers.incarnation <> $6 or answers.begun_at <= $8))`,
        [principal, route, key, bodyHash, tx.now, this.#incarnation, tx.now - answerKeptMs, tx.now - requestRunsMs],
      )
      if (made > 0) return null
      const [row] = await tx.rows('select * from answers where principal = $1 and route = $2 and idempotency_key = $3', [
        principal,
        route,
        key,
      ])
      if (row === undefined) return null
      const status = integerOrNull(row, 'status')
      const answer = status === null ? null : { status, body: textOrNull(row, 'body') ?? '' }
      return repeated({ bodyHash: bytes(row, 'body_hash'), answer }, bodyHash)
    })
  }

  end({ principal, route, key }: Key, answer: Answer | null): Promise<void> {
    const which = 'where principal = $1 and route = $2 and idempotency_key = $3 and status is null'
    return this.#sql.transaction(async tx => {
      if (answer === null) await tx.change(`delete from answers ${which}`, [principal, route, key])
      else await tx.change(`update answers set status = $4, body = $5 ${which}`, [principal, route, key, answer.status, answer.body])
    })
  }

  async #forget(tx: Transaction): Promise<void> {
    const [oldest] = await tx.rows('select begun_at from answers order by begun_at limit 1')
    if (oldest === undefined || integer(oldest, 'begun_at') > tx.now - answerKeptMs || !(await tx.mayTidy())) return
    await tx.change('delete from answers where begun_at <= $1', [tx.now - answerKeptMs])
  }
}
