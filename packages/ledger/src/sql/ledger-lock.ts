import type { Transaction } from '@keyturn/sql'

/**
 * From here to the end of the transaction no other one is past this line: for what must see all of several rows as they are, such as which
 * instances are live when a KEK becomes current. Taken before any row.
 */
export async function lockLedger(tx: Transaction): Promise<void> {
  await tx.rows(`select one from ledger ${tx.dialect.locked('ledger')}`)
}
