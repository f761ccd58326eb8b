import { type SealedTable, sealedColumnNames } from '@keyturn/sql'

/** Where the ledger keeps sealed values. A write under way is pending until it is known to have happened. */
export const sealedTables: readonly SealedTable[] = [
  {
    name: 'versions',
    key: [
      { column: 'secret_id', type: 'text' },
      { column: 'number', type: 'integer' },
    ],
    slot: { secretId: 't.secret_id', number: 't.number', kind: 't.sealed_as' },
    columns: sealedColumnNames,
    guards: ['sealed_as'],
    madeAt: 'created_at',
    part: row => `case ${row}sealed_as when 'pending' then 'pending' else 'journal' end`,
    unknownKeks: 'noted',
  },
  {
    name: 'writes',
    key: [{ column: 'secret_id', type: 'text' }],
    slot: { secretId: 't.secret_id', number: 't.number', kind: "'pending'" },
    columns: sealedColumnNames,
    guards: [],
    madeAt: 'begun_at',
    part: () => "'pending'",
    unknownKeks: 'noted',
  },
  {
    name: 'sealed_records',
    key: [{ column: 'name', type: 'text' }],
    slot: { secretId: 't.name', number: '1', kind: "case t.name when 'root' then 'root' else 'previous' end" },
    columns: sealedColumnNames,
    guards: [],
    madeAt: null,
    part: () => "'records'",
    unknownKeks: 'noted',
  },
]
