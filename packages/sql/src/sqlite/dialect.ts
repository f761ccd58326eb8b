import type { Dialect } from '../sql.ts'

/** SQLite's words. One connection writes at a time, so no row needs a lock. Text sorts by its bytes as it is. */
export const sqliteDialect: Dialect = {
  database: 'sqlite',
  schema: '',
  bytes: 'blob',
  integer: 'integer',
  // without the keyword a number comes back after the newest row is deleted
  identity: 'integer primary key autoincrement',
  binary: '',
  table: 'strict',
  locked: () => '',
  free: () => '',
}
