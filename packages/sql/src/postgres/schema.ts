import { BrokerError } from '@keyturn/core'
import { appliedIn, type Migration, migrate, mustNotBeNewer } from '../migration.ts'
import { text } from '../row.ts'
import type { Sql, Transaction } from '../sql.ts'
import { databaseClock, durability, lockMigrations } from './dialect.ts'

export { databaseClock }

/**
 * Brings a schema of a server up to date, and makes it when it is missing; answers with the number of steps it had before. Several brokers may
 * start at the same moment: one migrates, the others wait for it. A role that may change no schema is enough where nothing is left to do.
 */
export async function openSchema(
  database: Sql,
  options: {
    readonly schema: string
    readonly what: string
    readonly steps: readonly Migration[]
    readonly first?: (tx: Transaction) => Promise<void>
  },
): Promise<number> {
  const { schema, what, steps, first } = options
  return database.transaction(async tx => {
    const [known] = await tx.rows('select to_regclass($1)::text as name', [`${schema}.migrations`])
    if (known?.name !== null && (await appliedIn(tx)) === steps.length) return steps.length
    await tx.rows(lockMigrations)
    await tx.change(`create schema if not exists ${schema}`)
    const applied = await migrate(tx, steps, what)
    if (applied === 0) await first?.(tx)
    mustNotBeNewer(applied, steps, what)
    return applied
  })
}

/** Refuses, with `precondition_failed`, a server on which an acknowledged commit may be lost. */
export async function mustBeDurable(tx: Transaction, what: string): Promise<void> {
  const off = (await tx.rows(durability)).filter(row => text(row, 'setting') === 'off').map(row => text(row, 'name'))
  if (off.length === 0) return
  throw new BrokerError('precondition_failed', `${what}: the server has ${off.join(', ')} off, so an acknowledged commit may be lost`, {
    hint: `set ${off.map(name => `${name} = on`).join(', ')} for this database, or do not call this environment production`,
  })
}
