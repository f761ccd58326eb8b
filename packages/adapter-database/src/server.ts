import type { Finding, OpenContext } from '@keyturn/core'
import { integer, type Sql, text } from '@keyturn/sql'
import { mayErase, mustBeDurable, openSchema, PostgresDatabase, postgresAddress } from '@keyturn/sql/postgres'
import { renamed } from './classify.ts'
import type { Client } from './client.ts'
import { migrations, nameStore } from './migrations.ts'
import type { DatabaseOptions } from './options.ts'

const schema = 'keyturn_store'
const what = 'store'

/**
 * Opens the store that several brokers share, in the schema `keyturn_store`. They may start at the same moment: one migrates, the others wait for it.
 * In production a server that acknowledges commits before they are on disk is refused.
 */
export async function openServer(options: DatabaseOptions & { readonly url: string }, context: OpenContext): Promise<Client> {
  const { url, ca, maxInFlight } = options
  const address = postgresAddress(url, 'the url of the store', ca)
  const sql = new PostgresDatabase({ ...address, ...(maxInFlight === undefined ? {} : { max: maxInFlight }) }, { schema, what })
  try {
    if (context.production === true) await sql.transaction(tx => mustBeDurable(tx, what))
    const id = `db_${Buffer.from(context.random.bytes(16)).toString('hex')}`
    const before = await openSchema(sql, { schema, what, steps: migrations, first: tx => nameStore(tx, id) })
    const now = migrations.length
    return { sql, what: `${what} (schema ${schema})`, schema: { before, now }, examine: () => examineServer(sql) }
  } catch (error) {
    await sql.close()
    throw renamed(error)
  }
}

async function examineServer(sql: Sql): Promise<readonly Finding[]> {
  const [row] = await sql.rows(looked)
  if (row === undefined) return []
  const where = `${text(row, 'address')} database ${text(row, 'database')}`
  const mayNot = [...prohibitions].filter(([column]) => integer(row, column) === 0).map(([, said]) => said)
  const off = text(row, 'off')
  return [
    { ok: true, what: `postgresql ${text(row, 'version')}`, detail: `${where}, schema ${schema} at step ${integer(row, 'step')}` },
    { ok: true, what: 'connection', detail: text(row, 'tls') },
    {
      ok: true,
      what: `role ${text(row, 'role')}`,
      detail: mayNot.length === 0 ? 'owns the schema: may change and delete history' : `may not ${mayNot.join(', ')}`,
    },
    off === ''
      ? { ok: true, what: 'commits reach the disk', detail: `synchronous_commit ${text(row, 'commits')}` }
      : { ok: false, what: 'commits reach the disk', detail: `off: ${off}`, hint: `set ${off} to on for this database` },
  ]
}

/** What a role may lack, by the column that says whether it may. */
const prohibitions: ReadonlyMap<string, string> = new Map([
  ['may_destroy', 'destroy a version'],
  ['may_erase', 're-encrypt'],
  ['may_delete', 'delete history'],
  ['may_migrate', 'migrate the schema'],
])

const may = (expression: string, name: string) => `case when ${expression} then 1 else 0 end as ${name}`
const looked = `select split_part(current_setting('server_version'), ' ', 1) as version, current_user::text as role, current_database()::text as database,
  coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'a socket') as address,
  (select max(number) from ${schema}.migrations) as step,
  coalesce((select case when ssl then version || ', ' || cipher else 'not encrypted' end from pg_stat_ssl where pid = pg_backend_pid()), 'unknown') as tls,
  coalesce((select string_agg(name, ', ' order by name) from pg_settings
    where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'), '') as off,
  current_setting('synchronous_commit') as commits,
  ${may(`has_column_privilege('${schema}.versions', 'payload', 'update')`, 'may_destroy')},
  ${may(mayErase(`${schema}.versions`), 'may_erase')},
  ${may(`has_table_privilege('${schema}.versions', 'delete')`, 'may_delete')},
  ${may(`pg_has_role((select nspowner from pg_namespace where nspname = '${schema}'), 'usage')`, 'may_migrate')}`
