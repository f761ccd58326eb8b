import { BrokerError, type PassKind } from '@keyturn/core'
import { integer, integerOrNull, text, textOrNull } from '../row.ts'
import type { Row, Transaction } from '../sql.ts'
import type { Slice } from './page.ts'
import type { SealedTable } from './table.ts'

/** About how many rows a slice has: so many that its end costs nothing, so few that several processes share every pass. */
const sliceRows = 20_000
const slicesMax = 256

/** Cuts every table into the slices of a pass of about so many rows. Keys that are text are not cut. */
export async function cut(
  tx: Transaction,
  pass: { readonly id: string; readonly kind: PassKind },
  tables: readonly SealedTable[],
  rows: number,
) {
  let slice = 0
  for (const table of tables) {
    const { bounds, end } = await boundsOf(tx, table, rows)
    // what is added meanwhile may be closed under the KEK that a pass leads away from; to look at it again has no end where much is added
    const last = pass.kind === 'scrub' ? end : null
    for (const [index, low] of bounds.entries()) {
      slice += 1
      await tx.change('insert into pass_slices (pass, slice, sealed_table, low, high) values ($1, $2, $3, $4, $5)', [
        pass.id,
        slice,
        table.name,
        low,
        bounds[index + 1] ?? last,
      ])
    }
  }
}

interface Bounds {
  readonly bounds: readonly (number | null)[]
  readonly end: number | null
}

/** Where slices begin, the first one at the start, and the end of what is there. */
async function boundsOf(tx: Transaction, { name, key }: SealedTable, rows: number): Promise<Bounds> {
  const whole = { bounds: [null], end: null }
  const [first] = key
  if (first === undefined || first.type === 'text') return whole
  const [row] = await tx.rows(`select min(${first.column}) as low, max(${first.column}) as high from ${name}`)
  const [low, high] = row === undefined ? [null, null] : [integerOrNull(row, 'low'), integerOrNull(row, 'high')]
  if (low === null || high === null) return whole
  const count = Math.min(slicesMax, Math.max(1, Math.ceil(rows / sliceRows)), high - low + 1)
  const width = (high - low + 1) / count
  return { bounds: Array.from({ length: count }, (_, index) => (index === 0 ? null : low + Math.floor(index * width))), end: high + 1 }
}

/** A slice that is not over and that nobody is at. It stays this transaction's, where several may write. */
export async function takeSlice(
  tx: Transaction,
  pass: string,
  tables: readonly SealedTable[],
  besides: ReadonlySet<number> = new Set(),
): Promise<Slice | null> {
  const rows = await tx.rows(
    `select slice, sealed_table, low, high, place, done + skipped + failed as passed from pass_slices s
     where pass = $1 and is_over = 0 order by slice limit $2 ${tx.dialect.free('s')}`,
    [pass, besides.size + 1],
  )
  const free = rows.find(row => !besides.has(integer(row, 'slice')))
  return free === undefined ? null : toSlice(free, tables)
}

function toSlice(row: Row, tables: readonly SealedTable[]): Slice {
  const name = text(row, 'sealed_table')
  const table = tables.find(sealed => sealed.name === name)
  if (table === undefined) {
    throw new BrokerError('precondition_failed', `a pass goes through the table ${name}, which this build does not know`, {
      hint: 'go on with it by the version of Keyturn that began it, or a newer one',
    })
  }
  return {
    number: integer(row, 'slice'),
    table,
    low: integerOrNull(row, 'low'),
    high: integerOrNull(row, 'high'),
    place: textOrNull(row, 'place'),
    passed: integer(row, 'passed'),
  }
}
