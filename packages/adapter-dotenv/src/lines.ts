import { type Assignment, parseAssignments } from './assignments.ts'
import { isBare, writtenForms } from './quoting.ts'

/**
 * The file with one variable set and every other byte as it was: the assignment that counts, the last one, is changed in its
 * place, and a new variable comes at the end. Undefined when the file has no place for it (an open quote would swallow it).
 */
export function setVariable(text: string, name: string, value: string): string | undefined {
  const before = parseAssignments(text)
  const mine = before.findLastIndex(assignment => assignment.name === name)
  const assignment = before[mine]
  const set = { name, value }
  const wanted = assignment === undefined ? [...before, set] : before.with(mine, { ...assignment, ...set })
  return writtenForms(value)
    .filter(form => assignment === undefined || !isBare(form) || !isCommented(text, assignment))
    .map(form => (assignment === undefined ? append(text, `${name}=${form}`) : replace(text, assignment, form)))
    .find(edited => sameVariables(parseAssignments(edited), wanted))
}

/** The file without a variable, earlier assignments of it too: they would count again. Undefined when that would change another. */
export function removeVariable(text: string, name: string): string | undefined {
  const before = parseAssignments(text)
  const wanted = before.filter(assignment => assignment.name !== name)
  const edited = before
    .filter(assignment => assignment.name === name)
    .reduceRight((rest, { start, valueEnd }) => rest.slice(0, lineStart(rest, start)) + rest.slice(afterLine(rest, valueEnd)), text)
  return sameVariables(parseAssignments(edited), wanted) ? edited : undefined
}

function replace(text: string, { nameEnd, valueStart, valueEnd }: Assignment, form: string): string {
  const between = text.slice(nameEnd, valueStart)
  // a colon is npm's alone, and a value on the line after its name is read by none of the others
  const separator = /^[^\S\r\n]*=[^\S\r\n]*$/.test(between) ? between : '='
  return text.slice(0, nameEnd) + separator + form + text.slice(valueEnd)
}

function append(text: string, line: string): string {
  const end = /\r\n/.test(text) ? '\r\n' : '\n'
  return text + (text === '' || /[\r\n]$/.test(text) ? '' : end) + line + end
}

function isCommented(text: string, { valueEnd }: Assignment): boolean {
  return /\S/.test(text.slice(valueEnd, endOfLine(text, valueEnd)))
}

function sameVariables(one: readonly Pick<Assignment, 'name' | 'value'>[], other: readonly Pick<Assignment, 'name' | 'value'>[]): boolean {
  return one.length === other.length && one.every(({ name, value }, index) => name === other[index]?.name && value === other[index]?.value)
}

function lineStart(text: string, from: number): number {
  if (from === 0) return 0
  return Math.max(text.lastIndexOf('\n', from - 1), text.lastIndexOf('\r', from - 1)) + 1
}

function endOfLine(text: string, from: number): number {
  const end = /[\r\n]/g
  end.lastIndex = from
  return end.exec(text)?.index ?? text.length
}

function afterLine(text: string, from: number): number {
  const end = endOfLine(text, from)
  return text.startsWith('\r\n', end) ? end + 2 : Math.min(end + 1, text.length)
}
