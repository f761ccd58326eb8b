import type { Complaint, KeyPath, PolicySource, Position } from './input.ts'
import { nearest } from './nearest.ts'

export type PlainMap = Readonly<Record<string, unknown>>

/** Reads plain values of one source and writes down every complaint with its place; what is wrong reads as undefined. */
export class FormReader {
  readonly #source: PolicySource
  readonly #complaints: Complaint[]

  constructor(source: PolicySource, complaints: Complaint[]) {
    this.#source = source
    this.#complaints = complaints
  }

  locate(path: KeyPath): Position {
    return this.#source.locate([...this.#source.base, ...path])
  }

  complain(path: KeyPath, message: string, remedy: string): undefined {
    this.#complaints.push({ ...this.where(path), message, remedy })
    return undefined
  }

  /** A place, as complaints name it. */
  where(path: KeyPath): Pick<Complaint, 'at' | 'path'> {
    return { at: this.locate(path), path: written([...this.#source.base, ...path]) }
  }

  /** A map with no other members than these. */
  map(value: unknown, path: KeyPath, known: readonly string[], hints: Readonly<Record<string, string>> = {}): PlainMap | undefined {
    const map = this.anyMap(value, path, `a map of ${known.join(', ')}`)
    for (const key of Object.keys(map ?? {})) {
      if (known.includes(key)) continue
      const near = nearest(key, known)
      const hint = Object.hasOwn(hints, key) ? hints[key] : undefined
      this.complain(
        [...path, key],
        `unknown key ${key}`,
        hint ?? (near === undefined ? `write one of ${known.join(', ')}` : `did you mean ${near}?`),
      )
    }
    return map
  }

  /** A map with any members. */
  anyMap(value: unknown, path: KeyPath, what: string): PlainMap | undefined {
    if (isMap(value)) return value
    return this.complain(path, `is ${kindOf(value)}, not a map`, `write ${what}`)
  }

  /** A list; where `empty` says what to do about it, one with at least one item. */
  list(value: unknown, path: KeyPath, empty?: string): readonly unknown[] | undefined {
    if (!Array.isArray(value)) return this.complain(path, `is ${kindOf(value)}, not a list`, 'write it in brackets, as in [a, b]')
    return value.length === 0 && empty !== undefined ? this.complain(path, 'is an empty list', empty) : value
  }

  text(value: unknown, path: KeyPath): string | undefined {
    if (typeof value === 'string' && value !== '') return value
    const remedy =
      value === '' ? 'write at least one character' : `write it in quotes, as in "${String(typeof value === 'object' ? 'text' : value)}"`
    return this.complain(path, value === '' ? 'is empty' : `is ${kindOf(value)}, not text`, remedy)
  }

  /** One of a closed list of words. */
  word<T extends string>(
    value: unknown,
    path: KeyPath,
    known: readonly T[],
    what: string,
    hints: Readonly<Record<string, string>> = {},
  ): T | undefined {
    const text = this.text(value, path)
    if (text === undefined) return undefined
    const found = known.find(word => word === text)
    if (found !== undefined) return found
    const near = nearest(text, known)
    const hint = Object.hasOwn(hints, text) ? hints[text] : undefined
    return this.complain(
      path,
      `${text} is no ${what}`,
      hint ?? (near === undefined ? `write one of ${known.join(', ')}` : `did you mean ${near}?`),
    )
  }
}

function written(path: KeyPath): string {
  return path.map((part, at) => step(part, at === 0)).join('')
}

function step(part: string | number, first: boolean): string {
  if (typeof part === 'number') return `[${part}]`
  if (!/^[\w-]+$/.test(part)) return `[${JSON.stringify(part)}]`
  return first ? part : `.${part}`
}

function isMap(value: unknown): value is PlainMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object'
    ? 'a map'
    : ({ string: 'text', number: 'a number', boolean: 'a boolean' }[typeof value as string] ?? 'something else')
}
