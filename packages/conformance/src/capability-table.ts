import type { Capability } from '@keyturn/core'
import { capabilities } from '@keyturn/core'
import { type CheckResult, formsOf, type StoreRun } from './run.ts'

const meanings: Record<Capability, string> = {
  cas: 'compare-and-set on write and delete',
  idempotent: 'one intent makes one version',
  stages: 'stages a version and promotes it',
  versions: 'keeps earlier versions',
  disable: 'withholds a version',
  enable: 'gives a withheld version back',
  destroy: 'ends a version for good',
  delete: 'takes a secret away',
  restore: 'gives a deleted secret back',
  watch: 'tells of changes',
}

const opening = '<!-- capabilities -->'
const closing = '<!-- /capabilities -->'

/**
 * What the adapter can do, as a Markdown table, from a run: `yes` stands only where the member is there and every check of it
 * passed. What was not tried is said by name.
 */
export function capabilityTable(run: StoreRun): string {
  const { measured, results, harness } = run
  const rows = capabilities.map(name => {
    const mine = results.filter(result => result.check.needs?.includes(name))
    return [`\`${name}\``, meanings[name], verdict(measured?.capabilities.has(name) ?? false, mine)]
  })
  const untried = results.filter(result => result.status === 'untried')
  return [
    ...aligned([['Capability', 'It', 'Here'], ...rows]),
    '',
    `A value is ${formsOf(harness.forms)}, of at most ${measured?.valueBytesMax ?? 'an unknown number of'} bytes.`,
    ...untried.map(result => `Not tried: "${result.check.title}" (${result.why}).`),
  ].join('\n')
}

/** As formatters align tables, so that formatting a README does not change it. */
function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [head = [], ...body] = rows
  return [line(head), line(widths.map(width => '-'.repeat(width))), ...body.map(line)]
}

function verdict(has: boolean, results: readonly CheckResult[]): string {
  if (results.some(result => result.status === 'failed')) return '**failed**'
  if (!has) return 'no'
  return results.some(result => result.status === 'passed') ? 'yes' : '**untried**'
}

/** The table that stands in a README between its two markers; undefined without exactly one pair of them. */
export function tableIn(readme: string): string | undefined {
  const [before, inside, more] = readme.split(opening)
  if (before === undefined || inside === undefined || more !== undefined) return undefined
  const [table, after] = inside.split(closing)
  return after === undefined ? undefined : table?.trim()
}

/** From a heading of the third rank to the next. */
function partOf(readme: string, heading: string): string {
  return readme.split(/^### /m).find(part => part.startsWith(`${heading}\n`)) ?? ''
}

/** Why a README does not show this table; undefined when it does. With a heading only the part under it counts. The answer carries the table to paste. */
export function tableDiffers(readme: string, table: string, heading?: string): string | undefined {
  const shown = tableIn(heading === undefined ? readme : partOf(readme, heading))
  if (shown === table) return undefined
  const why = shown === undefined ? `no table between ${opening} and ${closing}` : 'the table is another'
  return `${why}; it must be:\n${opening}\n${table}\n${closing}`
}
