import type { Sealed } from '@keyturn/core'
import type { SqlValue, Transaction } from '../sql.ts'
import { type ArrayType, binaryArray } from './array.ts'
import type { PageRow } from './page.ts'
import type { SealedTable } from './table.ts'

/** A row and the form that it is to have. */
export interface RowChange {
  readonly row: PageRow
  readonly sealed: Sealed
}

/**
 * Changes the rows that are still as they were read, by their KEK, their wrap and the table's guards; answers with how many were. The payload goes with
 * `payloads` only.
 */
export function changeRows(tx: Transaction, table: SealedTable, changes: readonly RowChange[], payloads: boolean): Promise<number> {
  if (changes.length === 0) return Promise.resolve(0)
  const fields = fieldsOf(table, payloads)
  return tx.dialect.database === 'sqlite' ? oneByOne(tx, table, changes, fields) : atOnce(tx, table, changes, fields)
}

/** A column that says which row is meant, or what is put into it. */
interface Field {
  readonly column: string
  readonly type: ArrayType
  readonly role: 'key' | 'guard' | 'set'
  readonly of: (change: RowChange) => string | number | Uint8Array | null
}

function fieldsOf({ key, columns, guards }: SealedTable, payloads: boolean): readonly Field[] {
  return [
    ...key.map(({ column, type }, index): Field => ({ column, type, role: 'key', of: ({ row }) => row.key[index] ?? null })),
    { column: columns.kekId, type: 'text', role: 'key', of: ({ row }) => row.sealed.kekId },
    { column: columns.wrap, type: 'bytes', role: 'key', of: ({ row }) => row.sealed.wrap },
    ...guards.map((column, index): Field => ({ column, type: 'text', role: 'guard', of: ({ row }) => row.guards[index] ?? null })),
    { column: columns.kekId, type: 'text', role: 'set', of: ({ sealed }) => sealed.kekId },
    { column: columns.wrap, type: 'bytes', role: 'set', of: ({ sealed }) => sealed.wrap },
    ...(payloads ? [{ column: columns.payload, type: 'bytes', role: 'set', of: ({ sealed }: RowChange) => sealed.payload } as const] : []),
  ]
}

async function oneByOne(tx: Transaction, { name }: SealedTable, changes: readonly RowChange[], fields: readonly Field[]): Promise<number> {
  const statement = `update ${name} set ${clauses(fields, index => `$${index + 1}`, 'is')}`
  // they run one after another, with no turn between two
  const changed = await Promise.all(changes.map(change => tx.change(statement, parametersOf(fields, change))))
  return changed.reduce((sum, count) => sum + count, 0)
}

const parametersOf = (fields: readonly Field[], change: RowChange): readonly SqlValue[] => fields.map(({ of }) => of(change))

const arrays = { text: 'text[]', bytes: 'bytea[]', integer: 'bigint[]' } as const

async function atOnce(tx: Transaction, { name }: SealedTable, changes: readonly RowChange[], fields: readonly Field[]): Promise<number> {
  const given = fields.map(({ type }, index) => `$${index + 1}::${arrays[type]}`)
  const names = fields.map((_, index) => `f${index}`)
  const source = `from unnest(${given.join(', ')}) as u(${names.join(', ')})`
  const parameters: readonly SqlValue[] = fields.map(({ type, of }) => binaryArray(type, changes.map(of)))
  return tx.change(`update ${name} t set ${clauses(fields, index => `u.f${index}`, 'is not distinct from', source)}`, parameters)
}

/** From `set` on. Only guards may be null: what compares them need not find rows by an index. */
function clauses(fields: readonly Field[], value: (index: number) => string, same: string, source = ''): string {
  const set = fields.flatMap(({ role, column }, index) => (role === 'set' ? [`${column} = ${value(index)}`] : []))
  const table = source === '' ? '' : 't.'
  const is = fields.flatMap(({ role, column }, index) => {
    if (role === 'set') return []
    return [`${table}${column} ${role === 'key' ? '=' : same} ${value(index)}`]
  })
  return `${set.join(', ')} ${source} where ${is.join(' and ')}`
}
