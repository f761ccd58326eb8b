export type * from './ledger.ts'
export { MemoryLedger } from './memory/ledger.ts'
export { type LedgerOptions, openLedger } from './open.ts'
