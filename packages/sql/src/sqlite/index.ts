export { SqliteDatabase, type SqliteOptions } from './database.ts'
export { sqliteDialect } from './dialect.ts'
