/**
 * Runs the live suite and prints one table: adapter x server x checks. Each live test adds its row to the file that
 * `KEYTURN_LIVE_TABLE` names, as a line of JSON. A server that is not there is said to be absent, with the reason, and never passes;
 * `KEYTURN_LIVE_REQUIRE=name,name` makes the run fail when a server of that name is absent or was asked nothing.
 * `KEYTURN_LIVE_PAGE=FILE` writes the table as a page of the documents.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { asPage, asText, rowsOf, shortfalls } from './table.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-live-'))
const file = join(folder, 'table.jsonl')
const vitest = spawnSync(
  join(import.meta.dirname, '../../node_modules/.bin/vitest'),
  ['run', '--project', 'live', ...process.argv.slice(2)],
  {
    stdio: 'inherit',
    env: { ...process.env, KEYTURN_LIVE_TABLE: file },
  },
)
const rows = rowsOf(existsSync(file) ? readFileSync(file, 'utf8') : '')
rmSync(folder, { recursive: true })

process.stdout.write(asText(rows))
const { KEYTURN_LIVE_PAGE: page, KEYTURN_LIVE_REQUIRE: required = '' } = process.env
if (page !== undefined) writeFileSync(page, asPage(rows, new Date().toISOString().slice(0, 10)))
const wrong = shortfalls(
  rows,
  required.split(',').filter(name => name !== ''),
)
for (const why of wrong) process.stderr.write(`${why}\n`)
process.exitCode = vitest.status === 0 && wrong.length === 0 ? 0 : 1
