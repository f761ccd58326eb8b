export { SqliteDatabase, type SqliteOptions } from './database.ts'
export { sqliteDialect } from './dialect.ts'
export { holderOf, noteHolder, prepareFile } from './file.ts'
