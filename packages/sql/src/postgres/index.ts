export { postgresAddress } from './address.ts'
export { PostgresDatabase, type PostgresOptions } from './database.ts'
export { mayErase } from './dialect.ts'
export { databaseClock, mustBeDurable, openSchema } from './schema.ts'
