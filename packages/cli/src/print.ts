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

/** A table in plain text, each line ended. */
export function tableOf<Row>(terminal: Pick<Terminal, 'columns'>, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map(row => columns.map(column => visible(column.of(row))))
  const widths = columns.map((column, at) => Math.max(column.title.length, ...cells.map(line => (line[at] ?? '').length)))
  const lineOf = (line: readonly string[]) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd()
      .slice(0, Math.max(terminal.columns, 40))
  return `${[pc.bold(lineOf(columns.map(column => column.title))), ...cells.map(lineOf)].join('\n')}\n`
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
