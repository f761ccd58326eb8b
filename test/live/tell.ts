import { appendFile } from 'node:fs/promises'
import { afterEach } from 'vitest'
import type { Row } from './table.ts'

/** Adds a row to the table of the run, where there is one. */
export async function tell(row: Row): Promise<void> {
  const file = process.env.KEYTURN_LIVE_TABLE
  if (file !== undefined) await appendFile(file, `${JSON.stringify(row)}\n`)
}

/** Counts how the tests of the describe, or of the file, that it is called in end. What is skipped is neither. */
export function tally(): { passed: number; failed: number } {
  const counted = { passed: 0, failed: 0 }
  afterEach(({ task }) => {
    if (task.result?.state !== 'skip') counted[task.result?.state === 'pass' ? 'passed' : 'failed'] += 1
  })
  return counted
}
