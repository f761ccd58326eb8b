import { appendFile } from 'node:fs/promises'
import type { Row } from './table.ts'

/** Adds a row to the table of the run, where there is one. */
export async function tell(row: Row): Promise<void> {
  const file = process.env.KEYTURN_LIVE_TABLE
  if (file !== undefined) await appendFile(file, `${JSON.stringify(row)}\n`)
}
