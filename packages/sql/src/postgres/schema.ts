import { BrokerError } from '@keyturn/core'
import { appliedIn, type Migration, migrate, mustNotBeNewer } from '../migration.ts'
import { integer, text } from '../row.ts'
import type { Transaction } from '../sql.ts'
import type { PostgresDatabase } from './database.ts'
import { databaseClock, durability, lockMigrations, mayMigrate } from './dialect.ts'

export { databaseClock }

/**
 * Brings a schema of a server up to date, and makes it when it is missing; answers with the number of steps it had before. Several brokers may
 * start at the same moment: one migrates, the others wait for it. A role that may change no schema is enough where nothing is left to do.
 */
export async function openSchema(
  database: Pick<PostgresDatabase, 'patiently'>,
  options: {
    readonly schema: string
    readonly what: string
    readonly steps: readonly Migration[]
    readonly first?: (tx: Transaction) => Promise<void>
  },
): Promise<number> {
  const { schema, what, steps, first } = options
  // as long as its tables are large, or as another broker is at theirs
  return database.patiently(async tx => {
    await mustUse(tx, schema, what)
    const [known] = await tx.rows('select to_regclass($1)::text as name', [`${schema}.migrations`])
    const applied = known?.name === null ? 0 : await appliedIn(tx)
    if (applied === steps.length) return applied
    mustNotBeNewer(applied, steps, what)
    await mustMayMigrate(tx, { schema, what, missing: steps.length - applied })
    await tx.rows(lockMigrations)
    // who may not make schemas may own one that was made for it
    const [there] = await tx.rows('select to_regnamespace($1)::text as name', [schema])
    if (there?.name === null) await tx.change(`create schema ${schema}`)
    const before = await migrate(tx, steps, what)
    if (before === 0) await first?.(tx)
    return before
  })
}

/** A schema of somebody else is a closed door until its owner gives rights: not even what it lacks can be seen. */
async function mustUse(tx: Transaction, schema: string, what: string): Promise<void> {
  const [row] = await tx.rows(
    `select case when has_schema_privilege(oid, 'usage') then 1 else 0 end as may from pg_namespace where nspname = $1`,
    [schema],
  )
  if (row === undefined || integer(row, 'may') === 1) return
  throw new BrokerError('precondition_failed', `${what}: this role has no rights in the schema ${schema}`, { hint: ownersTurn })
}

const ownersTurn = 'run keyturn migrate once with the URL of the role that owns the schema, and give this role its rights again'

/** Whoever keeps the tables owns them; whoever begins may make a schema, or has one that was made for it. */
async function mustMayMigrate(
  tx: Transaction,
  { schema, what, missing }: { schema: string; what: string; missing: number },
): Promise<void> {
  const [row] = await tx.rows(mayMigrate, [schema])
  if (row !== undefined && integer(row, 'may') === 1) return
  throw new BrokerError('precondition_failed', `${what}: the schema ${schema} lacks ${missing} steps, and this role may not make them`, {
    hint: ownersTurn,
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
