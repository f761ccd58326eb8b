import type { Migration } from '@keyturn/sql'
import { base } from './migrations/0001-base.ts'
import { woken } from './migrations/0002-woken.ts'
import { envelopes } from './migrations/0003-envelopes.ts'
import { registers } from './migrations/0004-registers.ts'

/** Every step of the ledger's schema. */
export const migrations: readonly Migration[] = [base, woken, envelopes, registers]
