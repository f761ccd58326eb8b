export type * from './ledger.ts'
export { MemoryLedger } from './memory/ledger.ts'
