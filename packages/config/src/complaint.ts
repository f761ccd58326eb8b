import type { Position } from '@keyturn/policy'

export type { Position }

/** One thing that is wrong with a config: where, which key, what, and what to write instead. Never a value of a variable. */
export interface Complaint {
  /** A warning never keeps a config from loading. */
  readonly level: 'error' | 'warning'
  readonly at: Position
  /** The key's path as people write it: `rotation.types.api-key.every`; empty for the file itself. */
  readonly path: string
  readonly message: string
  readonly remedy: string
}

/** The one error of this package: everything that is wrong, in the order of the files and their lines. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly complaints: readonly Complaint[]

  constructor(complaints: readonly Complaint[]) {
    super(complaints.map(renderComplaint).join('\n'))
    this.complaints = complaints
  }
}

/** One line: `file:line:column: key.path: what is wrong; what to write`. */
export function renderComplaint(complaint: Complaint): string {
  const { at, path, level, message, remedy } = complaint
  const line = [
    `${at.file}:${at.line}:${at.column}`,
    ...(level === 'warning' ? ['warning'] : []),
    ...(path === '' ? [] : [path]),
    `${message}; ${remedy}`,
  ].join(': ')
  return oneLine(line)
}

/** Gathers complaints while a config is read, so that all of them are told at once. */
export class Complaints {
  readonly #found: Complaint[] = []
  readonly #files: string[] = []
  readonly #values = new Map<string, { readonly variable: string; readonly places: Set<string> }>()

  /** Fixes the order of the files in the report. */
  addFile(file: string): void {
    if (!this.#files.includes(file)) this.#files.push(file)
  }

  /** Keeps a variable's value out of every complaint, whoever words it: its name stands there instead. `at` is where it was put in. */
  hide(variable: string, value: string, at: Position): void {
    if (value === '') return
    const hidden = this.#values.get(value) ?? { variable: `\${${variable}}`, places: new Set() }
    hidden.places.add(placeKey(at))
    this.#values.set(value, hidden)
  }

  error(at: Position, path: string, message: string, remedy: string): void {
    this.#found.push({ level: 'error', at, path, message, remedy })
  }

  warning(at: Position, path: string, message: string, remedy: string): void {
    this.#found.push({ level: 'warning', at, path, message, remedy })
  }

  get failed(): boolean {
    return this.#found.some(complaint => complaint.level === 'error')
  }

  /** By file, line, column, path and text; each line once. */
  sorted(): readonly Complaint[] {
    const rank = (file: string) => {
      const index = this.#files.indexOf(file)
      return index < 0 ? this.#files.length : index
    }
    const order = (a: Complaint, b: Complaint) =>
      rank(a.at.file) - rank(b.at.file) ||
      a.at.line - b.at.line ||
      a.at.column - b.at.column ||
      compare(a.path, b.path) ||
      compare(a.message, b.message)
    const seen = new Set<string>()
    const hidden = this.#found.map(complaint => ({
      ...complaint,
      message: this.#withoutValues(complaint.message, complaint.at),
      remedy: this.#withoutValues(complaint.remedy, complaint.at),
    }))
    return hidden.sort(order).filter(complaint => {
      const line = renderComplaint(complaint)
      if (seen.has(line)) return false
      seen.add(line)
      return true
    })
  }

  #withoutValues(text: string, at: Position): string {
    // the longest first: one value may hold another
    const values = [...this.#values].sort(([a], [b]) => b.length - a.length)
    return values.reduce((shown, [value, { variable, places }]) => {
      if (value.length >= shortBelow) return shown.replaceAll(value, () => variable)
      return places.has(placeKey(at)) ? replaceWord(shown, value, variable) : shown
    }, text)
  }
}

// a value of a few letters is part of every other word: it is looked for only where it was put in, and as a word
const shortBelow = 4

function replaceWord(text: string, value: string, variable: string): string {
  const escaped = value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return text.replace(new RegExp(`(?<![\\p{L}\\p{N}{_])${escaped}(?![\\p{L}\\p{N}}_])`, 'gu'), () => variable)
}

function placeKey(at: Position): string {
  return `${at.line}:${at.column}:${at.file}`
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

// a file name or a key may hold a line break: a complaint is one line whatever was written
function oneLine(text: string): string {
  return text.replace(unprintable, character => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}
