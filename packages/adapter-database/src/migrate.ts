import type { OpenContext } from '@keyturn/core'
import { openClient } from './client.ts'
import type { DatabaseOptions } from './options.ts'

/** Brings the schema of a store up to date, and does nothing else: no KEK is needed. Says which it had before, 0 for none. Errors as of `open`. */
export async function migrate(
  options: DatabaseOptions,
  context: OpenContext,
): Promise<{ readonly what: string; readonly before: number; readonly now: number }> {
  const { sql, what, schema } = await openClient(options, context)
  await sql.close()
  return { what, ...schema }
}
