import { BrokerError } from '@keyturn/core'
import { limits } from './limits.ts'

/** What JSON can say. Objects have no prototype. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue }

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const numberForm = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
// a run of characters that mean themselves; the two alternatives exclude one another, so it never goes back
const stringForm = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const spaceForm = /[ \t\n\r]*/y

/**
 * Reads a JSON body (RFC 8259) that means the same to every parser. Beyond the grammar it refuses: invalid UTF-8, a byte order
 * mark, lone surrogates, numbers out of range, a member given twice, `__proto__`, and more depth or strings than `limits`.
 * Objects have no prototype. Errors: `too_large` (bytes), else `invalid_argument`; nothing of the body is echoed.
 */
export function readStrictJson(body: Uint8Array): JsonValue {
  if (body.byteLength > limits.bodyBytesMax) {
    throw new BrokerError('too_large', `the body is larger than ${limits.bodyBytesMax} bytes`, { hint: 'send less at a time' })
  }
  return new Reader(textOf(body)).whole()
}

function textOf(body: Uint8Array): string {
  try {
    return decoder.decode(body)
  } catch {
    throw malformed('it is not UTF-8')
  }
}

class Reader {
  readonly #text: string
  #at = 0
  #strings = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): JsonValue {
    const value = this.#value(0)
    this.#space()
    if (this.#at !== this.#text.length) throw malformed('something follows its end')
    return value
  }

  #value(depth: number): JsonValue {
    this.#space()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(deeper(depth))
      case '[':
        return this.#array(deeper(depth))
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #object(depth: number): JsonValue {
    const members: Record<string, JsonValue> = Object.create(null)
    if (this.#opensEmpty('}')) return members
    do {
      this.#space()
      if (this.#text[this.#at] !== '"') throw malformed('a member has no name')
      const name = this.#string()
      if (name === '__proto__') throw malformed('a member is named __proto__')
      if (name in members) throw malformed('an object has the same member twice')
      this.#space()
      if (this.#text[this.#at++] !== ':') throw malformed('a member has no colon')
      members[name] = this.#value(depth)
    } while (this.#goesOn('}'))
    return members
  }

  #array(depth: number): JsonValue {
    const items: JsonValue[] = []
    if (this.#opensEmpty(']')) return items
    do items.push(this.#value(depth))
    while (this.#goesOn(']'))
    return items
  }

  #opensEmpty(end: string): boolean {
    this.#at++
    this.#space()
    if (this.#text[this.#at] !== end) return false
    this.#at++
    return true
  }

  #goesOn(end: string): boolean {
    this.#space()
    const next = this.#text[this.#at++]
    if (next !== ',' && next !== end) throw malformed(`a list or an object is not closed`)
    return next === ','
  }

  #string(): string {
    if (++this.#strings > limits.jsonStringsMax) throw tooComplex(`it has more than ${limits.jsonStringsMax} strings`)
    const raw = this.#match(stringForm)
    if (raw === undefined) throw malformed('a string is not closed or holds a character that must be escaped')
    const text = raw.includes('\\') ? String(JSON.parse(raw)) : raw.slice(1, -1)
    if (!text.isWellFormed()) throw malformed('a string has a lone surrogate')
    return text
  }

  #number(): number {
    const raw = this.#match(numberForm)
    if (raw === undefined || raw === '') throw malformed('a value is missing or no JSON')
    const number = Number(raw)
    if (!Number.isFinite(number)) throw malformed('a number is out of range')
    return number
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw malformed('a value is missing or no JSON')
    this.#at += word.length
    return value
  }

  #space(): void {
    this.#match(spaceForm)
  }

  #match(form: RegExp): string | undefined {
    form.lastIndex = this.#at
    const found = form.exec(this.#text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }
}

function deeper(depth: number): number {
  if (depth === limits.jsonDepthMax) throw tooComplex(`it is nested deeper than ${limits.jsonDepthMax}`)
  return depth + 1
}

function malformed(why: string): BrokerError {
  return new BrokerError('invalid_argument', `the body is no acceptable JSON: ${why}`, {
    hint: 'send one JSON value in UTF-8, each member once',
    detail: { reason: 'json_malformed' },
  })
}

function tooComplex(why: string): BrokerError {
  return new BrokerError('invalid_argument', `the body is too complex: ${why}`, {
    hint: 'send less at a time',
    detail: { reason: 'json_too_complex' },
  })
}
