import { resolve } from 'node:path'
import type { Finding, OpenContext } from '@keyturn/core'
import type { Sql } from '@keyturn/sql'
import { named } from './classify.ts'
import { openFile } from './file.ts'
import type { DatabaseOptions } from './options.ts'

/** The database of a store, open, ours and migrated. */
export interface Client {
  readonly sql: Sql
  /** What errors call it. */
  readonly what: string
  /** The schema that it had before it was opened, 0 for none; and has now. */
  readonly schema: { readonly before: number; readonly now: number }
  /** What it is, and whether what it acknowledges is kept. Never a password. */
  examine(): Promise<readonly Finding[]>
}

/** Opens the database that a section names: PostgreSQL by `url`, otherwise a file. */
export async function openClient(options: DatabaseOptions, context: OpenContext): Promise<Client> {
  const { url = '', file } = options
  // the driver loads for those alone who use it
  const client =
    url === ''
      ? await openFile(resolve(context.data, file ?? 'secrets.db'), context)
      : await (await import('./server.ts')).openServer({ ...options, url }, context)
  return { ...client, sql: named(client.sql) }
}
