import { inspect } from 'node:util'
import { JsonError, membersOf, parsed } from './json-source.ts'

const textMax = 300
const echoMin = 4

/**
 * What the server said. The JSON stays as text, hidden from `inspect` and `JSON.stringify`: it may hold values. Error texts are kept
 * without what we sent, because some repeat it (AppRole: `invalid secret_id "..."`).
 */
export class Answer {
  readonly errors: readonly string[]
  readonly warnings: readonly string[]
  readonly retryAfterMs: number | undefined
  readonly #members: ReadonlyMap<string, string>

  private constructor(members: ReadonlyMap<string, string>, sent: readonly string[], retryAfterMs: number | undefined) {
    this.#members = members
    this.errors = texts(members.get('errors')).map(text => withoutEcho(text, sent))
    this.warnings = texts(members.get('warnings')).map(text => withoutEcho(text, sent))
    this.retryAfterMs = retryAfterMs
  }

  /** Reads a body; undefined when it is no JSON object. `sent` is what error texts must not repeat. */
  static read(source: string, sent: readonly string[], retryAfterMs: number | undefined): Answer | undefined {
    try {
      return new Answer(membersOf(source), sent, retryAfterMs)
    } catch (error) {
      if (error instanceof JsonError) return undefined
      throw error
    }
  }

  /** Whether the answer has this member, and not as null. */
  has(name: string): boolean {
    return (this.#members.get(name) ?? 'null') !== 'null'
  }

  /** The source text of a member; `JsonError` when it is not there. */
  member(name: string): string {
    const source = this.#members.get(name)
    if (source === undefined || source === 'null') throw new JsonError(`no ${name} in the answer`)
    return source
  }

  toJSON(): object {
    return { errors: this.errors, warnings: this.warnings }
  }

  [inspect.custom](): string {
    return `Answer ${JSON.stringify(this)}`
  }
}

function texts(source: string | undefined): readonly string[] {
  const list = source === undefined ? undefined : parsed(source)
  return Array.isArray(list) ? list.filter(each => typeof each === 'string') : []
}

function withoutEcho(text: string, sent: readonly string[]): string {
  const echoes = sent.flatMap(strings).sort((a, b) => b.length - a.length)
  return echoes.reduce((kept, echo) => kept.replaceAll(echo, '[...]'), text).slice(0, textMax)
}

/** Every text in what was sent, as it is and as Go and JSON quote it. */
function strings(source: string): readonly string[] {
  if (!source.startsWith('{')) return source.length < echoMin ? [] : [source]
  const found: string[] = []
  JSON.stringify(JSON.parse(source), (_name, value: unknown) => {
    if (typeof value === 'string' && value.length >= echoMin) found.push(value, JSON.stringify(value).slice(1, -1))
    return value
  })
  return found
}
