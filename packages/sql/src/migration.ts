import { BrokerError } from '@keyturn/core'
import { integer } from './row.ts'
import type { Dialect, Transaction } from './sql.ts'

/** One step of a schema, forward only. Once released it is never edited: the next step corrects it. */
export interface Migration {
  readonly number: number
  readonly name: string
  readonly statements: (dialect: Dialect) => readonly string[]
}

/**
 * Brings a schema up to date, inside the transaction given; answers with the number it was at. A schema newer than this build knows is
 * `precondition_failed`, and nothing is touched. `what` names the database in that error.
 */
export async function migrate(tx: Transaction, steps: readonly Migration[], what: string): Promise<number> {
  await tx.change(
    `create table if not exists migrations (number ${tx.dialect.integer} primary key, name text not null, applied_at ${tx.dialect.integer} not null) ${tx.dialect.table}`,
  )
  const applied = await appliedIn(tx)
  mustNotBeNewer(applied, steps, what)
  for (const migration of steps.slice(applied)) {
    for (const statement of migration.statements(tx.dialect)) await tx.change(statement)
    await tx.change('insert into migrations (number, name, applied_at) values ($1, $2, $3)', [migration.number, migration.name, tx.now])
  }
  return applied
}

/** How many steps were applied to the schema of this transaction. */
export async function appliedIn(tx: Transaction): Promise<number> {
  const [row] = await tx.rows('select coalesce(max(number), 0) as number from migrations')
  return row === undefined ? 0 : integer(row, 'number')
}

/** Refuses a schema that a newer build has written. */
export function mustNotBeNewer(applied: number, steps: readonly Migration[], what: string): void {
  if (applied <= steps.length) return
  throw new BrokerError('precondition_failed', `${what}: the schema is ${applied}, newer than the ${steps.length} that this build knows`, {
    hint: 'start the version of Keyturn that wrote it, or a newer one; a schema never goes back',
  })
}
