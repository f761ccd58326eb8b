import { BrokerError, type EnvelopeRow, type PassKind, type SealedKind, type SecretId } from '@keyturn/core'
import { integer, text } from '../row.ts'
import type { Row, SqlValue, Transaction } from '../sql.ts'
import type { SealedTable } from './table.ts'

/** Where a pass is in its part of a table. */
export interface Slice {
  readonly number: number
  readonly table: SealedTable
  /** Bounds of the first column of the key: from `low` on, below `high`; null: none. */
  readonly low: number | null
  readonly high: number | null
  /** The key of the last row that was looked at, as JSON; null at the start. */
  readonly place: string | null
  /** Rows that it is done with, however it went. */
  readonly passed: number
}

/** A row with what it takes to find it again. */
export interface PageRow extends EnvelopeRow {
  readonly key: readonly (string | number)[]
  readonly guards: readonly (string | null)[]
}

/** Rows of a slice in the order of their keys, that nobody is kept from changing meanwhile. */
export async function readPage(
  tx: Transaction,
  slice: Slice,
  pass: { readonly kind: PassKind; readonly kekId: string | null },
  limit: number,
): Promise<readonly PageRow[]> {
  const { statement, parameters } = question(slice, pass, limit)
  const rows = await tx.rows(statement, parameters)
  const columns = columnsOf(slice.table)
  return rows.map(row => toPageRow(row, columns))
}

function question({ table, low, high, place }: Slice, pass: { readonly kind: PassKind; readonly kekId: string | null }, limit: number) {
  const { name, key, slot, join = '', columns, guards } = table
  const parameters: SqlValue[] = []
  const take = (value: SqlValue): string => `$${parameters.push(value)}`
  const keys = key.map(({ column }) => `t.${column}`)
  const conditions = [`t.${columns.kekId} is not null`]
  // what is under its KEK already is passed over without being looked at
  if (pass.kind === 'rewrap') conditions.push(`t.${columns.kekId} <> ${take(pass.kekId)}`)
  if (place !== null) conditions.push(`(${keys.join(', ')}) > (${keyFrom(place).map(take).join(', ')})`)
  else if (low !== null) conditions.push(`${keys[0]} >= ${take(low)}`)
  if (high !== null) conditions.push(`${keys[0]} < ${take(high)}`)
  const chosen = [
    ...keys.map((column, index) => `${column} as key_${index}`),
    ...guards.map((column, index) => `t.${column} as guard_${index}`),
    `${slot.secretId} as slot_secret, ${slot.number} as slot_number, ${slot.kind} as slot_kind`,
    `t.${columns.kekId} as kek_id, t.${columns.wrap} as wrap`,
    ...(pass.kind === 'rewrap' ? [] : [`t.${columns.payload} as payload`]),
  ]
  const statement = `select ${chosen.join(', ')} from ${name} t ${join} where ${conditions.join(' and ')} order by ${keys.join(', ')} limit ${take(limit)}`
  return { statement, parameters }
}

const nothing = new Uint8Array()

/** What the columns of a row of a table are called, once for a page. */
const columnsOf = ({ key, guards }: SealedTable) => ({
  key: key.map(({ type }, index) => ({ name: `key_${index}`, read: type === 'integer' ? integer : text })),
  guards: guards.map((_, index) => `guard_${index}`),
})

function toPageRow(row: Row, { key, guards }: ReturnType<typeof columnsOf>): PageRow {
  return {
    key: key.map(({ name, read }) => read(row, name)),
    // null or text, as the table's descriptor promises
    guards: guards.map(name => (row[name] ?? null) as string | null),
    slot: {
      // the schema keeps other kinds out
      secretId: text(row, 'slot_secret') as SecretId,
      number: integer(row, 'slot_number'),
      kind: text(row, 'slot_kind') as SealedKind,
    },
    sealed: { kekId: text(row, 'kek_id'), payload: row.payload === undefined ? nothing : view(row.payload), wrap: view(row.wrap) },
  }
}

/** Without the copy that `bytes` makes: the row is this page's alone. */
function view(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new BrokerError('corrupt', 'a sealed row does not hold what its schema says')
}

/** The key that a place was written from. */
function keyFrom(place: string): readonly (string | number)[] {
  return JSON.parse(place)
}

/** After a row. */
export const placeOf = ({ key }: PageRow): string => JSON.stringify(key)
