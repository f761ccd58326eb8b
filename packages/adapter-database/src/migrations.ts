import { BrokerError } from '@keyturn/core'
import { integer, type Migration, migrate, type Transaction } from '@keyturn/sql'
import { base } from './migrations/0001-base.ts'
import { sealed } from './migrations/0002-sealed.ts'

/** Every step of the store's schema. */
export const migrations: readonly Migration[] = [base, sealed]

/** Marks a file as a store of Keyturn: `KTSD`. */
const applicationId = 0x4b545344
/** The schema of files that keep its number in the file's head alone. */
const first = 1

/** `precondition_failed` for a file of somebody else, or of a newer Keyturn. Only asks. */
export function mustBeOurs(ask: (sql: string) => unknown, file: string): void {
  const owner = ask('pragma application_id')
  if (owner !== applicationId && (owner !== 0 || ask('select count(*) from sqlite_schema') !== 0)) {
    throw new BrokerError('precondition_failed', `${file} is a database, but not a store of Keyturn`, {
      hint: 'name another file, or move this one away',
    })
  }
  const version = Number(ask('pragma user_version'))
  if (version > migrations.length) {
    throw new BrokerError('precondition_failed', `${file} has schema ${version}; this build knows schemas up to ${migrations.length}`, {
      hint: 'start the newer Keyturn that wrote it; a schema never goes back',
    })
  }
}

/** Brings an empty or older file to this schema, inside one transaction; a new one gets the id given. Answers with the schema it had, 0 for none. */
export async function migrateFile(tx: Transaction, id: string): Promise<number> {
  const [head] = await tx.rows('pragma user_version')
  const old = head !== undefined && integer(head, 'user_version') === first
  if (old) await setAside(tx)
  const applied = await migrate(tx, migrations, 'store')
  if (old) await takeOver(tx)
  else if (applied === 0) await nameStore(tx, id)
  await tx.rows(`pragma application_id = ${applicationId}`)
  await tx.rows(`pragma user_version = ${migrations.length}`)
  return old ? first : applied
}

/** Gives a store that was just made the id that it keeps. */
export async function nameStore(tx: Transaction, id: string): Promise<void> {
  await tx.change('insert into store (one, id) values (1, $1)', [id])
}

const tables = ['store', 'keks', 'secrets', 'versions'] as const

async function setAside(tx: Transaction): Promise<void> {
  const made = await tx.rows("select type, name from sqlite_schema where type in ('trigger', 'index') and sql is not null")
  for (const { type, name } of made) await tx.change(`drop ${type} ${name}`)
  for (const table of tables) await tx.change(`alter table ${table} rename to ${table}_1`)
}

async function takeOver(tx: Transaction): Promise<void> {
  await tx.change('insert into store (one, id) select one, id from store_1')
  await tx.change('insert into keks (id, fingerprint, wraps) select id, fingerprint, wraps from keks_1')
  await tx.change(
    'insert into secrets (number, id, path, revision, deleted_at, deletion) select number, id, path, revision, deleted_at, deletion from secrets_1',
  )
  await tx.change(
    `insert into versions (secret, number, kind, label, disabled, created_at, intent, fingerprint, kek_id, payload, wrap)
     select secret, number, kind, label, disabled, created_at, intent, fingerprint, kek, payload, wrap from versions_1 order by secret, number`,
  )
  for (const table of [...tables].reverse()) await tx.change(`drop table ${table}_1`)
}
