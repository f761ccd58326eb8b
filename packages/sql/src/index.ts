export { appliedIn, type Migration, migrate, mustNotBeNewer } from './migration.ts'
export {
  bytes,
  integer,
  integerOrNull,
  json,
  ms,
  sealedColumns,
  sealedOrNull,
  text,
  textOrNull,
  time,
  timeOrNull,
} from './row.ts'
export { SqlEnvelopes } from './sealed/envelopes.ts'
export { retireKek } from './sealed/kek-use.ts'
export { sealedSchema } from './sealed/schema.ts'
export { type SealedTable, sealedColumnNames } from './sealed/table.ts'
export type { Dialect, Row, Sql, SqlValue, Transaction } from './sql.ts'
