/** What the live suite prints: one row for each adapter and server that it ran against, or did not and why. */

/** A check that was not run on a server, because the server departs from the real service; it ran against our own fake instead. */
export interface Departure {
  /** The check's title, or what of it was left out. */
  readonly check: string
  /** What the server does, as it was seen. */
  readonly why: string
}

/** One adapter on one server, as its test told it. */
export interface Row {
  readonly adapter: string
  /** Name and version: `moto 5.2.3`. */
  readonly server: string
  readonly passed: number
  readonly failed: number
  /** Why the server is not there. */
  readonly absent?: string
  readonly departures?: readonly Departure[]
}

/** The rows that a run left, a line of JSON each. */
export function rowsOf(lines: string): readonly Row[] {
  return lines
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Row)
    .sort((a, b) => (`${a.adapter} ${a.server}` < `${b.adapter} ${b.server}` ? -1 : 1))
}

const head = ['adapter', 'server', 'passed', 'failed', '']

function cellsOf(row: Row): readonly string[] {
  const left = row.departures?.length ?? 0
  const remark = row.absent === undefined ? (left === 0 ? '' : `${left} on our fake, see below`) : `absent: ${row.absent}`
  return [row.adapter, row.server, String(row.passed), String(row.failed), remark]
}

function departuresOf(rows: readonly Row[]): readonly string[] {
  return rows.flatMap(({ adapter, server, departures = [] }) =>
    departures.map(({ check, why }) => `${adapter}, ${server}: ${check}: ${why}`),
  )
}

/** What ran on a fake of ours says something of the adapter or of a reader, and nothing of the service. */
const isOwn = ({ server }: Row) => server.includes('our own fake')

/** `rows: 9 run, 2 absent, 0 failed; 3 on our own fakes` */
export function countsOf(rows: readonly Row[]): string {
  const own = rows.filter(isOwn).length
  const absent = rows.filter(row => row.absent !== undefined).length
  const failed = rows.filter(row => row.failed > 0).length
  return `rows: ${rows.length - own - absent} run, ${absent} absent, ${failed} failed; ${own} on our own fakes`
}

/** For a terminal. The counts are the last line. */
export function asText(rows: readonly Row[]): string {
  const apart = rows.filter(isOwn).map(cellsOf)
  const table = [
    head,
    ...rows.filter(row => !isOwn(row)).map(cellsOf),
    ...(apart.length === 0 ? [] : [['on our own fakes', '', '', '', ''], ...apart]),
  ]
  const widths = head.map((_, column) => Math.max(...table.map(line => line[column]?.length ?? 0)))
  const lines = table.map(line =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const departures = departuresOf(rows)
  const below =
    departures.length === 0 ? [] : ['', 'where a server departs from the service, and our own fake was asked instead:', ...departures]
  return [...lines, ...below, '', countsOf(rows), ''].join('\n')
}

/** As a page of the documents. `date` is that of the run: `2026-11-21`. */
export function asPage(rows: readonly Row[], date: string): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const tableOf = (some: readonly Row[]) => [line(head), line(head.map(() => '---')), ...some.map(row => line(cellsOf(row)))]
  const own = rows.filter(isOwn)
  const apart =
    own.length === 0
      ? []
      : ['', '## On our own fakes', '', 'No evidence of a service: readers and faults that had no server here.', '', ...tableOf(own)]
  const departures = departuresOf(rows)
  const below =
    departures.length === 0
      ? []
      : [
          '',
          '## Where a server departs from the service',
          '',
          'These checks ran against our own fake in the same run.',
          '',
          ...departures.map(each => `- ${each}`),
        ]
  return [
    '# What ran against servers that nobody here wrote',
    '',
    `The table of \`npm run test:live\` on ${date}. A server that a machine does not have is *absent* there, with the reason, and never counts as passed.`,
    'The store `database` has rows on PostgreSQL; embedded, its server is the SQLite of Node itself, and its checks are among the unit tests.',
    '',
    ...tableOf(rows.filter(row => !isOwn(row))),
    '',
    countsOf(rows),
    ...apart,
    ...below,
    '',
  ].join('\n')
}

/** Why a run is no success although every test passed: a server that must be there and is not, a row that asked nothing. */
export function shortfalls(rows: readonly Row[], required: readonly string[]): readonly string[] {
  const ran = rows.filter(row => row.absent === undefined)
  return [
    ...required
      .filter(name => !ran.some(row => row.server.startsWith(name) && row.passed > 0))
      .map(name => `required and not run: ${name}`),
    ...ran.filter(row => row.passed + row.failed === 0).map(row => `nothing was asked: ${row.adapter}, ${row.server}`),
    ...ran.filter(row => row.failed > 0).map(row => `failed: ${row.adapter}, ${row.server}`),
  ]
}
