import pc from 'picocolors'
import type { Terminal } from './terminal.ts'

export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => string
}

/** A document for programs: indented for a person, one line for a pipe. */
export function printJson(terminal: Terminal, document: unknown): void {
  terminal.out(`${terminal.isTerminal.stdout ? JSON.stringify(document, null, 2) : JSON.stringify(document)}\n`)
}

/** Rows as a table with titles on a terminal, and as lines with tabs elsewhere, so that `cut` and `while read` work. */
export function printRows<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): void {
  terminal.out(terminal.isTerminal.stdout ? tableOf(terminal, columns, rows) : linesOf(columns, rows))
}

/** Aligned columns for a person; a block for each row where the terminal is too narrow for them, so that nothing is cut. */
export function tableOf<Row>(
  terminal: Pick<Terminal, 'columns' | 'env' | 'isTerminal'>,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): string {
  const lines = alignedLines(columns, rows)
  const { bold } = pc.createColors(isColoured(terminal))
  if (lines.every(line => line.length <= terminal.columns)) return `${[bold(lines[0] ?? ''), ...lines.slice(1)].join('\n')}\n`
  const [first, ...rest] = columns
  const width = Math.max(...rest.map(column => column.title.length))
  const blocks = rows.map(row => {
    const filled = rest
      .map(column => ({ title: column.title, text: visible(column.of(row)) }))
      .filter(({ text }) => text !== '' && text !== '-')
    return [
      bold(visible(first?.of(row) ?? '')),
      ...filled.map(({ title, text }) => `  ${title.toLowerCase().padEnd(width)}  ${text}`),
    ].join('\n')
  })
  return blocks.map(block => `${block}\n`).join('')
}

/** Whether a terminal is to be sent colours (https://no-color.org). Not left to the library: it looks at the process, and colours whatever runs in CI. */
function isColoured({ isTerminal, env: { NO_COLOR: none = '', TERM: kind } }: Pick<Terminal, 'env' | 'isTerminal'>): boolean {
  return isTerminal.stdout && none === '' && kind !== 'dumb'
}

/** Aligned columns that never wrap, for a screen that is drawn again and again: what does not fit is cut. */
export function screenOf<Row>(terminal: Pick<Terminal, 'columns'>, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  return alignedLines(columns, rows)
    .map(line => `${line.slice(0, terminal.columns)}\n`)
    .join('')
}

function alignedLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): readonly string[] {
  const cells = [columns.map(column => column.title), ...rows.map(row => columns.map(column => visible(column.of(row))))]
  const widths = columns.map((_, at) => Math.max(...cells.map(line => (line[at] ?? '').length)))
  return cells.map(line =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** Lines with tabs, for programs. */
export function linesOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  return rows.map(row => `${columns.map(column => visible(column.of(row))).join('\t')}\n`).join('')
}

/** Names come from elsewhere: a control character in one must not steer the terminal, nor break a line. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, character => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** How far a time is away: `in 3m`, `12s ago`. */
export function away(time: string | null, now: Date): string {
  if (time === null) return '-'
  const seconds = Math.round((Date.parse(time) - now.getTime()) / 1000)
  const span = spanOf(Math.abs(seconds))
  return seconds >= 0 ? `in ${span}` : `${span} ago`
}

function spanOf(seconds: number): string {
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)}h`
  return `${Math.round(seconds / 86_400)}d`
}
