/**
 * Runs the live suite and prints one table: adapter x server x checks. Each live test adds its row to the file that
 * `KEYTURN_LIVE_TABLE` names, as a line of JSON. A server that is not there is said to be absent, with the reason, and never passes;
 * `KEYTURN_LIVE_REQUIRE=name,name` makes the run fail when a server of that name is absent or was asked nothing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

interface Row {
  readonly adapter: string
  readonly server: string
  readonly passed: number
  readonly failed: number
  readonly absent?: string
}

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
const rows = existsSync(file)
  ? readFileSync(file, 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Row)
  : []
rmSync(folder, { recursive: true })

const cells = rows.map(row => [
  row.adapter,
  row.server,
  String(row.passed),
  String(row.failed),
  row.absent === undefined ? '' : `absent: ${row.absent}`,
])
const table = [['adapter', 'server', 'passed', 'failed', ''], ...cells]
const widths = [0, 1, 2, 3].map(column => Math.max(...table.map(line => line[column]?.length ?? 0)))
for (const line of table) process.stdout.write(`${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}\n`)

const absent = rows.filter(row => row.absent !== undefined)
const failed = rows.filter(row => row.failed > 0)
process.stdout.write(`rows: ${rows.length - absent.length} run, ${absent.length} absent, ${failed.length} failed\n`)

const required = (process.env.KEYTURN_LIVE_REQUIRE ?? '').split(',').filter(name => name !== '')
const missing = required.filter(name => !rows.some(row => row.server.startsWith(name) && row.absent === undefined && row.passed > 0))
for (const name of missing) process.stderr.write(`required and not run: ${name}\n`)
process.exitCode = vitest.status === 0 && failed.length === 0 && missing.length === 0 ? 0 : 1
