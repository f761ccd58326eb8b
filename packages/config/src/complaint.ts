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

/** A variable whose value is kept out, and where it was put in. */
interface Hidden {
  readonly variable: string
  readonly places: Set<string>
}

/** More than this of either level is nothing that a person reads at once. */
const tellMax = 1_000

/** Gathers complaints while a config is read, so that all of them are told at once. */
export class Complaints {
  readonly #found: Readonly<Record<Complaint['level'], Complaint[]>> = { error: [], warning: [] }
  #failed = false
  #untold = 0
  readonly #files: string[] = []
  readonly #values = new Map<string, Hidden>()

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
    this.#failed = true
    this.#add({ level: 'error', at, path, message, remedy })
  }

  warning(at: Position, path: string, message: string, remedy: string): void {
    this.#add({ level: 'warning', at, path, message, remedy })
  }

  get failed(): boolean {
    return this.#failed
  }

  #add(complaint: Complaint): void {
    const found = this.#found[complaint.level]
    if (found.length < tellMax) found.push(complaint)
    else this.#untold++
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
    // the longest first: one value may hold another
    const values = [...this.#values].sort(([a], [b]) => b.length - a.length)
    const hidden = [...this.#found.error, ...this.#found.warning].map(complaint => ({
      ...complaint,
      message: withoutValues(complaint.message, complaint.at, values),
      remedy: withoutValues(complaint.remedy, complaint.at, values),
    }))
    const told = new Map(hidden.sort(order).map(complaint => [renderComplaint(complaint), complaint]))
    return [...told.values(), ...this.#rest()]
  }

  #rest(): readonly Complaint[] {
    if (this.#untold === 0) return []
    const at = { file: this.#files[0] ?? '', line: 1, column: 1 }
    return [
      {
        level: this.#failed ? 'error' : 'warning',
        at,
        path: '',
        message: `${this.#untold} more complaints`,
        remedy: 'correct these first',
      },
    ]
  }
}

function withoutValues(text: string, at: Position, values: readonly (readonly [value: string, hidden: Hidden])[]): string {
  return values.reduce((shown, [value, { variable, places }]) => {
    if (value.length >= shortBelow) return shown.replaceAll(value, () => variable)
    return places.has(placeKey(at)) ? replaceWord(shown, value, variable) : shown
  }, text)
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
