import { type Migration, sealedSchema } from '@keyturn/sql'
import { sealedTables } from '../envelopes.ts'

/** Counts of envelopes per KEK, and the passes through all of them. What an older ledger holds is counted, its KEKs without a fingerprint. */
export const envelopes: Migration = {
  number: 3,
  name: 'envelopes',
  statements: dialect => sealedSchema(dialect, sealedTables),
}
