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
  for (const [name, text] of reader.object(() => reader.raw(1))) {
    if (members.has(name)) throw new JsonError('a member stands twice')
    members.set(name, text)
  }
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
    const members = new Map(reader.object(() => canonical(reader, numbers, depth + 1)))
    const sorted = [...members].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    return `{${sorted.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`
  }
  if (next === '[') return `[${[...reader.array(() => canonical(reader, numbers, depth + 1))].join(',')}]`
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

  peek(): string {
    while (/\s/.test(this.#source[this.#at] ?? '')) this.#at += 1
    return this.#source[this.#at] ?? ''
  }

  *object(value: () => string): Iterable<[string, string]> {
    if (this.peek() !== '{') throw new JsonError('not an object')
    this.#at += 1
    while (this.peek() !== '}') {
      const name = JSON.parse(this.#string()) as string
      this.#skip(':')
      yield [name, value()]
      if (this.peek() === ',') this.#at += 1
    }
    this.#at += 1
  }

  *array(value: () => string): Iterable<string> {
    this.#at += 1
    while (this.peek() !== ']') {
      yield value()
      if (this.peek() === ',') this.#at += 1
    }
    this.#at += 1
  }

  /** The source text of the next value. */
  raw(depth: number): string {
    if (depth > depthMax) throw new JsonError('too deep')
    const next = this.peek()
    const from = this.#at
    if (next === '"') return this.#string()
    if (next === '{') for (const _ of this.object(() => this.raw(depth + 1)));
    else if (next === '[') for (const _ of this.array(() => this.raw(depth + 1)));
    else while (/[-+.\w]/.test(this.#source[this.#at] ?? '')) this.#at += 1
    return this.#source.slice(from, this.#at)
  }

  #string(): string {
    this.peek()
    const from = this.#at
    this.#at += 1
    while (this.#source[this.#at] !== '"') this.#at += this.#source[this.#at] === '\\' ? 2 : 1
    this.#at += 1
    return this.#source.slice(from, this.#at)
  }

  #skip(character: string): void {
    if (this.peek() === character) this.#at += 1
  }
}
