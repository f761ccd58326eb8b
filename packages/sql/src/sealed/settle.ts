import { BrokerError, type Pass, type PassOutcome } from '@keyturn/core'
import type { Transaction } from '../sql.ts'
import { changeRows, type RowChange } from './change.ts'
import { keepFailures, type RowFailure } from './failures.ts'
import { type PageRow, placeOf, type Slice } from './page.ts'

/** A page of a slice with what is to become of it. */
export interface Settlement {
  readonly pass: Pass
  readonly slice: Slice
  readonly page: readonly PageRow[]
  readonly outcomes: readonly PassOutcome[]
  /** Nothing of the slice is left behind this page. */
  readonly last: boolean
}

/** Changes the rows and notes how that went and how far the slice is: in one transaction, so that neither is without the other. */
export async function settle(tx: Transaction, settlement: Settlement): Promise<void> {
  const { pass, slice, page, last } = settlement
  const { kept, changes, failures } = sorted(settlement)
  const changed = await changeRows(tx, slice.table, changes, pass.kind === 'reencrypt')
  await keepFailures(tx, pass.id, slice, failures)
  const end = page.at(-1)
  await tx.change(
    `update pass_slices set place = $3, is_over = $4, done = done + $5, skipped = skipped + $6, failed = failed + $7 where pass = $1 and slice = $2`,
    [
      pass.id,
      slice.number,
      end === undefined ? slice.place : placeOf(end),
      last ? 1 : 0,
      kept + changed,
      changes.length - changed,
      failures.length,
    ],
  )
}

function sorted({ pass, page, outcomes }: Settlement) {
  if (outcomes.length !== page.length) {
    throw new BrokerError('internal', `a step of the pass ${pass.id} has ${outcomes.length} outcomes for ${page.length} rows`)
  }
  const changes: RowChange[] = []
  const failures: RowFailure[] = []
  for (const [index, row] of page.entries()) {
    const outcome = outcomes[index] ?? 'kept'
    if (outcome === 'kept') continue
    if ('code' in outcome) failures.push({ row, index, code: outcome.code, message: outcome.message })
    else changes.push({ row, sealed: outcome })
  }
  return { kept: page.length - changes.length - failures.length, changes, failures }
}
