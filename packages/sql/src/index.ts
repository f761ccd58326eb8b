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
export type { Dialect, Row, Sql, SqlValue, Transaction } from './sql.ts'
