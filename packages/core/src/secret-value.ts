import { isUtf8 } from 'node:buffer'
import { createHash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import { BrokerError } from './error.ts'

/**
 * One field of a value: its bytes as they are, and what they are.
 * `text` is valid UTF-8; `bytes` is anything; `json` is the source text of a JSON member that is no string, so that
 * 12345678901234567890 is written back as it was read.
 */
export interface Field {
  readonly form: 'text' | 'bytes' | 'json'
  readonly bytes: Uint8Array
}

/** What `reveal` lets out: one unnamed field, or named ones. */
export type Revealed = { readonly field: Field } | { readonly fields: ReadonlyMap<string, Field> }

/** A field as it is given: text, bytes, or the source of a JSON member. */
export type FieldInput = string | Uint8Array | { readonly json: string }

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The value of one version: one unnamed field, or a set of named ones. It hides its bytes: `toString`, `toJSON` and
 * `inspect` print `[secret]`, only `reveal` lets them out, so that every possible leak is one search.
 */
export class SecretValue {
  readonly #content: Revealed

  private constructor(content: Revealed) {
    this.#content = content
  }

  /** One unnamed field of text. Refuses lone surrogates with `invalid_argument`: they have no UTF-8 form. */
  static text(text: string): SecretValue {
    return new SecretValue({ field: toField(text, 'the value') })
  }

  /** One unnamed field of bytes; text when they are valid UTF-8. */
  static bytes(bytes: Uint8Array): SecretValue {
    return new SecretValue({ field: toField(bytes, 'the value') })
  }

  /** A set of named fields. Refuses an empty set and an empty name with `invalid_argument`. */
  static fields(fields: Readonly<Record<string, FieldInput>> | ReadonlyMap<string, FieldInput>): SecretValue {
    const entries = fields instanceof Map ? [...fields] : Object.entries(fields as Readonly<Record<string, FieldInput>>)
    if (entries.length === 0) throw new BrokerError('invalid_argument', 'a value needs at least one field')
    const map = new Map<string, Field>()
    for (const [name, input] of entries) {
      map.set(mustBeName(name), toField(input, `field ${JSON.stringify(name)}`))
    }
    return new SecretValue({ fields: map })
  }

  /** Reads what `encode` wrote. Anything else is `corrupt`. */
  static decode(encoded: Uint8Array): SecretValue {
    try {
      const shape = JSON.parse(decoder.decode(encoded)) as EncodedField | { f: Record<string, EncodedField> }
      if (!('f' in shape)) return new SecretValue({ field: decodeField(shape) })
      const entries = Object.entries(shape.f)
      if (entries.length === 0) throw new BrokerError('corrupt', 'a set of no fields')
      return new SecretValue({ fields: new Map(entries.map(([name, field]) => [mustBeName(name), decodeField(field)])) })
    } catch {
      throw new BrokerError('corrupt', 'a sealed value opened but does not parse')
    }
  }

  /** The names of the fields, sorted; undefined for one unnamed field. */
  get fieldNames(): readonly string[] | undefined {
    return 'fields' in this.#content ? [...this.#content.fields.keys()].sort() : undefined
  }

  /** Lets the bytes out. Every use is a place to review. */
  reveal(): Revealed {
    return this.#content
  }

  /** A copy with some fields replaced or added; the others stay byte for byte. On one unnamed field, or with a name or text that `fields` refuses: `invalid_argument`. */
  with(fields: Readonly<Record<string, FieldInput>>): SecretValue {
    if (!('fields' in this.#content)) throw new BrokerError('invalid_argument', 'the value is one unnamed field; it has no fields to set')
    const map = new Map(this.#content.fields)
    for (const [name, input] of Object.entries(fields)) map.set(mustBeName(name), toField(input, `field ${JSON.stringify(name)}`))
    return new SecretValue({ fields: map })
  }

  /** The bytes as one canonical string (JSON, members sorted), the form that is sealed, compared and fingerprinted. */
  encode(): Uint8Array {
    const content = this.#content
    if ('field' in content) return Buffer.from(JSON.stringify(encodeField(content.field)))
    const sorted = [...content.fields].sort(([a], [b]) => (a < b ? -1 : 1))
    return Buffer.from(JSON.stringify({ f: Object.fromEntries(sorted.map(([name, field]) => [name, encodeField(field)])) }))
  }

  /** Compares in constant time, whatever the lengths. */
  equals(other: SecretValue): boolean {
    const digest = (value: SecretValue) => createHash('sha256').update(value.encode()).digest()
    return timingSafeEqual(digest(this), digest(other))
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}

type EncodedField = { t: string } | { b: string } | { j: string }

function encodeField(field: Field): EncodedField {
  if (field.form === 'bytes') return { b: Buffer.from(field.bytes).toString('base64') }
  const text = decoder.decode(field.bytes)
  return field.form === 'json' ? { j: text } : { t: text }
}

function decodeField(field: EncodedField): Field {
  if ('t' in field) return { form: 'text', bytes: utf8(field.t, 'text') }
  if ('j' in field) return { form: 'json', bytes: utf8(field.j, 'source') }
  return { form: 'bytes', bytes: Buffer.from(field.b, 'base64') }
}

function toField(input: FieldInput, what: string): Field {
  if (typeof input === 'string') return { form: 'text', bytes: utf8(input, what) }
  if (input instanceof Uint8Array) {
    const bytes = Buffer.from(input)
    return { form: isUtf8(bytes) ? 'text' : 'bytes', bytes }
  }
  return { form: 'json', bytes: utf8(input.json, what) }
}

function mustBeName(name: string): string {
  if (name === '' || !name.isWellFormed()) throw new BrokerError('invalid_argument', 'a field needs a name of valid text')
  return name
}

function utf8(text: string, what: string): Uint8Array {
  if (!text.isWellFormed()) throw new BrokerError('invalid_argument', `${what} has a lone surrogate, which is no valid text`)
  return Buffer.from(text)
}

/** The text of a field, for places that need a string; undefined when its bytes are not UTF-8. */
export function textOf(field: Field): string | undefined {
  return field.form === 'bytes' ? undefined : decoder.decode(field.bytes)
}
