/** Deeper is no secret but an attack on the stack. */
const depthMax = 64

/** The JSON is none, too deep, or no object where one must be. Carries none of it. */
export class JsonError extends Error {
  override readonly name = 'JsonError'
}

/**
 * The members of a JSON object with the source text of each value, because `JSON.parse` would round 12345678901234567890.
 * A name that stands twice is an error: which of the two was meant cannot be told.
 */
export function membersOf(source: string): ReadonlyMap<string, string> {
  parsed(source)
  const reader = new Reader(source)
  const members = new Map<string, string>()
  reader.object(name => {
    if (members.has(name)) throw new JsonError('a member stands twice')
    members.set(name, reader.raw(1))
  })
  return members
}

/** How a server that parses and prints JSON gives numbers back: as they stood, or as 64-bit floats. */
export type Numbers = 'kept' | 'floats'

/**
 * The text in the one form that Go's `encoding/json` keeps: no white space, members sorted by their bytes, each once. Strings
 * are escaped as JavaScript does, whoever printed them. https://pkg.go.dev/encoding/json#Marshal
 */
export function canonicalJson(source: string, numbers: Numbers): string {
  parsed(source)
  const reader = new Reader(source)
  return canonical(reader, numbers, 0)
}

/** The value that a JSON text stands for; `JsonError` without an echo when it does not parse. */
export function parsed(source: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    throw new JsonError('not JSON')
  }
}

function canonical(reader: Reader, numbers: Numbers, depth: number): string {
  if (depth > depthMax) throw new JsonError('too deep')
  const next = reader.peek()
  if (next === '{') {
    const members = new Map<string, string>()
    reader.object(name => members.set(name, canonical(reader, numbers, depth + 1)))
    const sorted = [...members].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    return `{${sorted.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`
  }
  if (next === '[') {
    const items: string[] = []
    reader.array(() => items.push(canonical(reader, numbers, depth + 1)))
    return `[${items.join(',')}]`
  }
  const literal = reader.raw(depth)
  if (next === '"') return JSON.stringify(JSON.parse(literal))
  return numbers === 'floats' && /^[-\d]/.test(literal) ? float(literal) : literal
}

/** As Go prints a float64, which follows ECMAScript but for minus zero. */
function float(literal: string): string {
  const number = Number(literal)
  return Object.is(number, -0) ? '-0' : String(number)
}

/** Walks over JSON that is known to parse, so that it need not look for errors. */
class Reader {
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  /** The first character of what comes next, behind white space; empty at the end. */
  peek(): string {
    while (this.#source.charCodeAt(this.#at) <= spaceCode) this.#at += 1
    return this.#source.charAt(this.#at)
  }

  /** `member` must read the value. */
  object(member: (name: string) => void): void {
    if (this.peek() !== '{') throw new JsonError('not an object')
    this.#at += 1
    while (this.peek() !== '}') {
      const quoted = this.raw(0)
      this.#skip(':')
      member(quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1))
      this.#skip(',')
    }
    this.#at += 1
  }

  /** `item` must read the value. */
  array(item: () => void): void {
    this.#at += 1
    while (this.peek() !== ']') {
      item()
      this.#skip(',')
    }
    this.#at += 1
  }

  /** The source text of the next value. */
  raw(depth: number): string {
    const next = this.peek()
    const from = this.#at
    if (next === '"') this.#skipString()
    else if (next === '{' || next === '[') this.#skipNested(depth)
    else this.#skipLiteral()
    return this.#source.slice(from, this.#at)
  }

  #skipNested(depth: number): void {
    let inside = depth
    do {
      const next = this.peek()
      if (next === '"') this.#skipString()
      else this.#at += 1
      if (next === '{' || next === '[') inside += 1
      else if (next === '}' || next === ']') inside -= 1
      if (inside > depthMax) throw new JsonError('too deep')
    } while (inside > depth)
  }

  #skipString(): void {
    do this.#at = this.#source.indexOf('"', this.#at + 1)
    while (this.#isEscaped())
    this.#at += 1
  }

  /** Whether an odd number of backslashes stands before. */
  #isEscaped(): boolean {
    let first = this.#at
    while (this.#source[first - 1] === '\\') first -= 1
    return (this.#at - first) % 2 === 1
  }

  #skipLiteral(): void {
    literal.lastIndex = this.#at
    literal.test(this.#source)
    this.#at = literal.lastIndex
  }

  #skip(character: string): void {
    if (this.peek() === character) this.#at += 1
  }
}

const spaceCode = 32
/** A number, `true`, `false` or `null`, at `lastIndex`. */
const literal = /[-+.\w]+/y
