import { BrokerError } from '@keyturn/core'
import { base } from './migrations/0001-base.ts'
import { woken } from './migrations/0002-woken.ts'
import { integer } from './row.ts'
import type { Dialect, Transaction } from './sql.ts'

/** One step of the schema, forward only. Once released it is never edited: the next step corrects it. */
export interface Migration {
  readonly number: number
  readonly name: string
  readonly statements: (dialect: Dialect) => readonly string[]
}

export const migrations: readonly Migration[] = [base, woken]

/**
 * Brings the schema up to date, inside the transaction given. A schema newer than this build knows is `precondition_failed`, and
 * nothing is touched. `ledgerId` is written with the first migration.
 */
export async function migrate(tx: Transaction, ledgerId: string, steps: readonly Migration[] = migrations): Promise<void> {
  await tx.change(
    `create table if not exists migrations (number ${tx.dialect.integer} primary key, name text not null, applied_at ${tx.dialect.integer} not null) ${tx.dialect.table}`,
  )
  const [row] = await tx.rows('select coalesce(max(number), 0) as number from migrations')
  const applied = row === undefined ? 0 : integer(row, 'number')
  if (applied > steps.length) {
    throw new BrokerError(
      'precondition_failed',
      `the ledger's schema is ${applied}, newer than the ${steps.length} that this build knows`,
      {
        hint: 'start the version of Keyturn that wrote it, or a newer one; a schema never goes back',
      },
    )
  }
  for (const migration of steps.slice(applied)) {
    for (const statement of migration.statements(tx.dialect)) await tx.change(statement)
    await tx.change('insert into migrations (number, name, applied_at) values ($1, $2, $3)', [migration.number, migration.name, tx.now])
  }
  if (applied === 0) await tx.change('insert into ledger (one, id) values (1, $1)', [ledgerId])
}
