import assert from 'node:assert/strict'
import type { Sealed } from '@keyturn/core'
import { integer, type Row, type SealedTable, type Sql, sealedColumnNames, sealedSchema, type Transaction, text } from '../src/index.ts'

/** Two tables of sealed rows, one with a key of numbers and one of text, and what must be true of them at every commit. */
export const shelfTables: readonly SealedTable[] = [
  {
    name: 'boxes',
    key: [
      { column: 'owner', type: 'integer' },
      { column: 'number', type: 'integer' },
    ],
    join: 'join owners o on o.number = t.owner',
    slot: { secretId: 'o.id', number: 't.number', kind: "'text'" },
    columns: { ...sealedColumnNames, kekId: 'kek' },
    guards: ['label'],
    madeAt: 'made_at',
    part: row => `case when ${row}label is null then 'stored' else 'shown' end`,
    unknownKeks: 'noted',
  },
  {
    name: 'notes',
    key: [{ column: 'name', type: 'text' }],
    slot: { secretId: 't.name', number: '1', kind: "'pending'" },
    columns: sealedColumnNames,
    guards: [],
    madeAt: null,
    part: () => "'notes'",
    unknownKeks: 'noted',
  },
]

export async function makeShelf(tx: Transaction, tables: readonly SealedTable[] = shelfTables): Promise<void> {
  const { integer: whole, bytes, table } = tx.dialect
  await tx.change(`create table owners (number ${whole} primary key, id text not null) ${table}`)
  await tx.change(
    `create table boxes (owner ${whole} not null references owners (number), number ${whole} not null, label text, made_at ${whole} not null,
       kek text, payload ${bytes}, wrap ${bytes}, primary key (owner, number)) ${table}`,
  )
  await tx.change(
    `create table notes (name text primary key, kek_id text not null, payload ${bytes} not null, wrap ${bytes} not null) ${table}`,
  )
  for (const statement of sealedSchema(tx.dialect, tables)) await tx.change(statement)
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const textOf = (row: Row, column: string): string => Buffer.from(row[column] as Uint8Array).toString()

/** A sealed value whose wrap tells its history: whoever changes it writes its mark behind it. */
export const closed = (kekId: string, history: string): Sealed => ({ kekId, payload: bytesOf('payload'), wrap: bytesOf(history) })

export const marked = ({ wrap, payload }: Sealed, kekId: string, mark: string): Sealed => ({
  kekId,
  payload,
  wrap: bytesOf(`${Buffer.from(wrap).toString()} ${mark}`),
})

export async function addBox(tx: Transaction, owner: number, number: number, { kekId, payload, wrap }: Sealed, label: string | null) {
  await tx.change('insert into owners (number, id) values ($1, $2) on conflict (number) do nothing', [owner, `sec_${owner}`])
  await tx.change(
    `insert into boxes (owner, number, label, made_at, kek, payload, wrap) values ($1, $2, $3, $4, $5, $6, $7) on conflict (owner, number) do nothing`,
    [owner, number, label, tx.now, kekId, payload, wrap],
  )
}

export async function addNote(tx: Transaction, name: string, { kekId, payload, wrap }: Sealed): Promise<void> {
  await tx.change('insert into notes (name, kek_id, payload, wrap) values ($1, $2, $3, $4) on conflict (name) do nothing', [
    name,
    kekId,
    payload,
    wrap,
  ])
}

/** The history of every row, by its name. */
export async function histories(sql: Sql): Promise<ReadonlyMap<string, { readonly kekId: string; readonly marks: readonly string[] }>> {
  const { schema } = sql.dialect
  const rows = await sql.rows(
    `select 'box ' || owner || '.' || number as name, kek as kek_id, wrap from ${schema}boxes where kek is not null
     union all select 'note ' || name, kek_id, wrap from ${schema}notes`,
  )
  return new Map(rows.map(row => [text(row, 'name'), { kekId: text(row, 'kek_id'), marks: textOf(row, 'wrap').split(' ') }]))
}

/** The kept counts are those that a scan finds, and no row is under a KEK that is retired or not known. */
export async function mustCount(sql: Sql): Promise<void> {
  await sql.transaction(async tx => {
    const counted = async (statement: string) =>
      (await tx.rows(statement)).map(row => [text(row, 'kek_id'), text(row, 'part'), integer(row, 'n')])
    const kept = await counted(
      `select kek_id, part, cast(sum(rows) as bigint) as n from kek_rows group by kek_id, part having sum(rows) <> 0 order by 1, 2`,
    )
    const scanned = await counted(
      `select kek_id, part, cast(count(*) as bigint) as n from (
         select kek as kek_id, case when label is null then 'stored' else 'shown' end as part from boxes where kek is not null
         union all select kek_id, 'notes' from notes) r
       group by kek_id, part order by 1, 2`,
    )
    assert.deepEqual(kept, scanned)
    const homeless = `select kek from boxes where kek is not null and kek not in (select id from keks where retired_at is null)
      union all select kek_id from notes where kek_id not in (select id from keks where retired_at is null)`
    assert.deepEqual(await tx.rows(homeless), [])
  })
}
