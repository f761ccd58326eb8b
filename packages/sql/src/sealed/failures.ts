import type { ErrorCode, PassFailure, SealedKind, SecretId } from '@keyturn/core'
import { integer, text } from '../row.ts'
import type { Row, Sql, Transaction } from '../sql.ts'
import type { PageRow, Slice } from './page.ts'

/** A row that could not be opened, by its place in the page. */
export interface RowFailure {
  readonly row: PageRow
  readonly index: number
  readonly code: ErrorCode
  readonly message: string
}

/** So many rows of a slice are named; the others are counted. Without a KEK that a million rows need there would be a million of them. */
const namedMax = 1_000

export async function keepFailures(tx: Transaction, pass: string, slice: Slice, failures: readonly RowFailure[]): Promise<void> {
  const [first] = failures
  if (first === undefined) return
  const [known] = await tx.rows('select failed from pass_slices where pass = $1 and slice = $2', [pass, slice.number])
  const named = known === undefined ? 0 : integer(known, 'failed')
  for (const { row, index, code, message } of failures.slice(0, Math.max(0, namedMax - named))) {
    const { secretId, number, kind } = row.slot
    await tx.change(
      `insert into pass_failures (pass, slice, ordinal, secret_id, number, kind, kek_id, code, message)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [pass, slice.number, slice.passed + index, secretId, number, kind, row.sealed.kekId, code, message],
    )
  }
}

/** In the order of the rows: what comes first in a slice was passed first. */
export async function failuresOf(sql: Sql, pass: string, limit: number): Promise<readonly PassFailure[]> {
  const rows = await sql.rows(
    `select secret_id, number, kind, kek_id, code, message from ${sql.dialect.schema}pass_failures
     where pass = $1 order by slice, ordinal limit $2`,
    [pass, limit],
  )
  return rows.map(toFailure)
}

function toFailure(row: Row): PassFailure {
  return {
    // written from a PassFailure
    slot: { secretId: text(row, 'secret_id') as SecretId, number: integer(row, 'number'), kind: text(row, 'kind') as SealedKind },
    kekId: text(row, 'kek_id'),
    code: text(row, 'code') as ErrorCode,
    message: text(row, 'message'),
  }
}
