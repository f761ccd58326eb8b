/** `npm run bench [-- NAME...] [-- --json]`: each bench measures Keyturn and the bare limit side by side in one run, and prints medians and ratios. */
import process from 'node:process'
import { adaptersBench } from './adapters.ts'
import { engineBench } from './engine.ts'
import { readBench } from './read.ts'
import { rewrapBench } from './rewrap.ts'
import type { Row } from './row.ts'
import { sealingBench } from './sealing.ts'
import { startupBench } from './startup.ts'

const benches: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  read: readBench,
  engine: engineBench,
  adapters: adaptersBench,
  startup: startupBench,
  sealing: sealingBench,
  rewrap: rewrapBench,
}

const names = process.argv.slice(2).filter(argument => !argument.startsWith('--'))
const json = process.argv.includes('--json')
const unknown = names.filter(name => benches[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(`no bench ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}\n`)
  process.exitCode = 2
} else {
  for (const name of names.length > 0 ? names : Object.keys(benches)) {
    const rows = (await benches[name]?.()) ?? []
    if (json) for (const row of rows) process.stdout.write(`${JSON.stringify({ bench: name, ...row })}\n`)
    else print(name, rows)
  }
}

function print(name: string, rows: readonly Row[]): void {
  const table = rows.map(row => [
    row.what,
    row.value.toLocaleString('en-US', { maximumFractionDigits: row.value < 100 ? 2 : 0 }),
    row.unit,
    row.ratio === undefined ? '' : `${row.ratio.toFixed(2)} of ${row.of}`,
  ])
  const width = (column: number) => Math.max(...table.map(line => line[column]?.length ?? 0))
  process.stdout.write(`\n${name}\n`)
  for (const [what = '', value = '', unit = '', ratio = ''] of table) {
    process.stdout.write(`  ${what.padEnd(width(0))}  ${value.padStart(width(1))} ${unit.padEnd(width(2))}  ${ratio}\n`)
  }
}
