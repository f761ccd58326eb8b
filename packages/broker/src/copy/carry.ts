import { createHmac, type KeyObject } from 'node:crypto'
import { type Field, type FieldInput, SecretValue, textOf } from '@keyturn/core'
import type { Place } from './places.ts'

/** A value as the other place keeps it, or why it cannot be kept there and what to write in the config. */
export type Carried = { readonly value: SecretValue } | { readonly why: string }

/**
 * What a secret is at its new place, by what the two configs say of it and never by what it holds. One named field and one text are the same thing
 * where both sides name which: an entry with one `key`.
 */
export function carry(value: SecretValue, from: Place, to: Place): Carried {
  const content = value.reveal()
  const single = singleOf(value, from)
  if (to.format === 'text') {
    if ('field' in content) return { value }
    return single === undefined ? { why: 'it is a set of fields, kept there as one text: write format: json in its entry' } : one(single)
  }
  if (to.fields === null) {
    if (!('field' in content) || to.format === 'stored') return { value }
    return to.format === 'json'
      ? { why: 'it is one text, kept there as JSON: write key: with the name of its field, or format: text, in its entry' }
      : { why: 'it is one text, and this store keeps sets of fields: write key: with the name of its field in its entry' }
  }
  const [key] = to.fields
  if (single !== undefined && key !== undefined && to.fields.length === 1) return { value: SecretValue.fields(new Map([[key, single]])) }
  if ('fields' in content && sameNames([...content.fields.keys()], to.fields)) return { value }
  const has = 'fields' in content ? `the fields ${[...content.fields.keys()].sort().join(', ')}` : 'one text'
  return { why: `its entry there names the ${to.fields.length === 1 ? 'field' : 'fields'} ${to.fields.join(', ')}, and it is ${has}` }
}

/** The fields that a place is about; undefined where it has none of them. `missing` names one that is not there. */
export function pick(value: SecretValue, { fields }: Place): { readonly value?: SecretValue; readonly missing?: string } {
  if (fields === null) return { value }
  const content = value.reveal()
  const held = 'fields' in content ? content.fields : new Map<string, Field>()
  const missing = fields.find(key => !held.has(key))
  if (missing !== undefined) return { missing }
  return { value: SecretValue.fields(new Map(fields.map(key => [key, inputOf(held.get(key))]))) }
}

/** A path with new values at some of its places; what else it holds stays byte for byte. */
export function merged(
  before: SecretValue | null,
  changes: readonly { readonly place: Place; readonly value: SecretValue }[],
): SecretValue {
  const [whole] = changes.filter(({ place }) => place.fields === null)
  if (whole !== undefined) return whole.value
  const fields = new Map<string, FieldInput>(changes.flatMap(({ value }) => inputsOf(value)))
  return before?.fieldNames === undefined ? SecretValue.fields(fields) : before.with(Object.fromEntries(fields))
}

/**
 * Tells two values apart without showing either: keyed, over what a reader is given. A number of a JSON object and its text are the same to readers,
 * and some stores know only the text.
 */
export function fingerprint(key: KeyObject, value: SecretValue): string {
  const content = value.reveal()
  const seen = 'field' in content ? value : SecretValue.fields(new Map([...content.fields].map(([name, field]) => [name, field.bytes])))
  return createHmac('sha256', key).update('keyturn/copy/1\0').update(seen.encode()).digest('hex')
}

/** The one field of a value, where the config and not the value says that it is one. */
function singleOf(value: SecretValue, { fields }: Place): FieldInput | undefined {
  const content = value.reveal()
  if ('field' in content) return inputOf(content.field)
  return fields?.length === 1 ? inputsOf(value)[0]?.[1] : undefined
}

function one(input: FieldInput): Carried {
  return {
    value:
      typeof input === 'string'
        ? SecretValue.text(input)
        : SecretValue.bytes(input instanceof Uint8Array ? input : Buffer.from(input.json)),
  }
}

function inputsOf(value: SecretValue): readonly (readonly [string, FieldInput])[] {
  const content = value.reveal()
  return 'fields' in content ? [...content.fields].map(([name, field]) => [name, inputOf(field)] as const) : []
}

function inputOf(field: Field | undefined): FieldInput {
  const text = field === undefined ? undefined : textOf(field)
  if (field === undefined || text === undefined) return field?.bytes ?? ''
  return field.form === 'json' ? { json: text } : text
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every(name => others.includes(name))
}
