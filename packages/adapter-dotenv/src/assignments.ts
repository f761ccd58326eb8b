/** One variable as it stands in the file. Offsets count UTF-16 units of the text that was parsed. */
export interface Assignment {
  readonly name: string
  readonly value: string
  /** Where the statement starts: at `export`, or at the name. */
  readonly start: number
  readonly nameEnd: number
  /** Where the written value starts and ends, quotes included, the blanks around it not. */
  readonly valueStart: number
  readonly valueEnd: number
}

/**
 * The grammar of npm `dotenv` 18 (the `LINE` of its parser), for one statement at a given place: an optional `export`, a name,
 * `=` or `: `, then a value in quotes that may span lines or up to `#` or the end of the line, then an optional comment.
 */
const statement =
  /(?:export\s+)?(?<name>[\w.-]+)(?<separator>\s*=\s*?|:\s+?)(?<value>\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$/dmy
const blanks = /\s*/y
const lineEnd = /[\n\u2028\u2029]/g

/** Every assignment of a file, in order, duplicates too, as npm `dotenv` reads them. What it does not understand is skipped, as there. */
export function parseAssignments(text: string): readonly Assignment[] {
  const { normal, original } = normalLines(text)
  const found: Assignment[] = []
  let line: number | undefined = 0
  while (line !== undefined && line < normal.length) {
    blanks.lastIndex = line
    const start = line + (blanks.exec(normal)?.[0].length ?? 0)
    statement.lastIndex = start
    const match = statement.exec(normal)
    if (match === null) {
      line = nextLine(normal, start + 1)
      continue
    }
    found.push(assignment(match, start, original))
    line = nextLine(normal, start + match[0].length)
  }
  // an object of npm dotenv cannot hold this name
  return found.filter(({ name }) => name !== '__proto__')
}

function assignment(match: RegExpExecArray, start: number, original: (offset: number) => number): Assignment {
  const { name = '', value: written = '' } = match.groups ?? {}
  const nameEnd = match.indices?.groups?.name?.[1] ?? start
  const separatorEnd = match.indices?.groups?.separator?.[1] ?? nameEnd
  const trimmed = written.trim()
  const valueStart = separatorEnd + (trimmed === '' ? 0 : written.indexOf(trimmed))
  return {
    name,
    value: unquoted(trimmed),
    start: original(start),
    nameEnd: original(nameEnd),
    valueStart: original(valueStart),
    valueEnd: original(valueStart + trimmed.length),
  }
}

function unquoted(written: string): string {
  const value = written.replace(/^(['"`])([\s\S]*)\1$/gm, '$2')
  return written.startsWith('"') ? value.replaceAll('\\n', '\n').replaceAll('\\r', '\r') : value
}

/** The first start of a line at or after an offset; undefined when there is none. */
function nextLine(text: string, from: number): number | undefined {
  lineEnd.lastIndex = from - 1
  return lineEnd.exec(text) === null ? undefined : lineEnd.lastIndex
}

/** The text with line feeds only, as npm `dotenv` reads it, and the way back from an offset in it. */
function normalLines(text: string): { normal: string; original: (offset: number) => number } {
  if (!text.includes('\r')) return { normal: text, original: offset => offset }
  const offsets: number[] = []
  for (let at = 0; at < text.length; at += 1) {
    offsets.push(at)
    if (text[at] === '\r' && text[at + 1] === '\n') at += 1
  }
  return { normal: text.replace(/\r\n?/g, '\n'), original: offset => offsets[offset] ?? text.length }
}
