import { type SealedTable, sealedColumnNames } from '@keyturn/sql'

/** The table of versions, as passes over envelopes and the counts of KEKs see it. A row under a KEK that was not counted before is refused. */
export const sealedVersions: SealedTable = {
  name: 'versions',
  key: [
    { column: 'secret', type: 'integer' },
    { column: 'number', type: 'integer' },
  ],
  slot: { secretId: 's.id', number: 't.number', kind: 't.kind' },
  join: 'join secrets s on s.number = t.secret',
  columns: sealedColumnNames,
  // a version that a write has relabelled meanwhile was changed: the next pass takes it
  guards: ['label'],
  madeAt: 'created_at',
  part: () => "'versions'",
  unknownKeks: 'refused',
}
