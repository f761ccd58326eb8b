import type { Pass, PassKind, PassProgress } from '@keyturn/core'
import { integer, integerOrNull, text, textOrNull } from '../row.ts'
import type { Sql, Transaction } from '../sql.ts'

const sums = 'coalesce(sum(done), 0) as done, coalesce(sum(skipped), 0) as skipped, coalesce(sum(failed), 0) as failed'

/** A pass as it was begun; null when it was not, or is forgotten. */
export async function passOf(tx: Transaction, id: string): Promise<(Pass & { readonly over: boolean }) | null> {
  const [row] = await tx.rows('select kind, kek_id, over_at from passes where id = $1', [id])
  if (row === undefined) return null
  // the schema keeps other kinds out
  return { id, kind: text(row, 'kind') as PassKind, kekId: textOrNull(row, 'kek_id'), over: row.over_at !== null }
}

export async function progressOf(sql: Sql, id: string): Promise<PassProgress | null> {
  const { schema } = sql.dialect
  const [row] = await sql.rows(
    `select p.total, p.gone, p.over_at, cast(s.done as bigint) as done, cast(s.skipped as bigint) as skipped, cast(s.failed as bigint) as failed
     from ${schema}passes p, (select ${sums} from ${schema}pass_slices where pass = $1) s where p.id = $1`,
    [id],
  )
  if (row === undefined) return null
  const over = integerOrNull(row, 'over_at') !== null
  const [done, failed] = [integer(row, 'done'), integer(row, 'failed')]
  const skipped = integer(row, 'skipped') + integer(row, 'gone')
  const passed = done + skipped + failed
  // more than there were at the start when rows came while it ran
  return { total: over ? passed : Math.max(passed, integer(row, 'total')), done, skipped, failed, over }
}

/** Whether every slice is over. */
export async function isPassed(tx: Transaction, id: string): Promise<boolean> {
  return (await tx.rows('select 1 from pass_slices where pass = $1 and is_over = 0 limit 1', [id])).length === 0
}

/** Ends a pass. Rows that were there at the start and were never met went away, or were changed, before it came to them: skipped. */
export async function endPass(tx: Transaction, id: string): Promise<void> {
  const [row] = await tx.rows(
    `select cast(coalesce(sum(done + skipped + failed), 0) as bigint) as passed from pass_slices where pass = $1`,
    [id],
  )
  await tx.change(
    'update passes set over_at = $2, gone = case when total > $3 then total - $3 else 0 end where id = $1 and over_at is null',
    [id, tx.now, row === undefined ? 0 : integer(row, 'passed')],
  )
}
