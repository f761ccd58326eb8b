export type * from './ledger.ts'
export { MemoryLedger } from './memory/ledger.ts'
export { type LedgerOptions, type MigratedSchema, migrateLedger, openLedger } from './open.ts'
