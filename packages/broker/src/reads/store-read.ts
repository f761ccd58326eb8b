import { BrokerError, type Field, type FieldInput, SecretValue, type SecretVersion, textOf, type VersionId } from '@keyturn/core'
import type { Entry } from '../catalog.ts'

/** A version from its store, with the fields that the config names and no others. */
export async function readStore(entry: Entry, version?: VersionId): Promise<SecretVersion> {
  const read = await entry.section.ask(store => store.read(entry.path, version === undefined ? {} : { version }))
  return { ...read, value: pick(entry, read.value) }
}

/** The fields of a value that an entry is about. `not_found` when one of them is not there. */
export function pick(entry: Entry, value: SecretValue): SecretValue {
  if (entry.keys === null) return value
  const content = value.reveal()
  const held = 'fields' in content ? content.fields : new Map<string, Field>()
  const picked = new Map<string, FieldInput>()
  for (const key of entry.keys) {
    const field = held.get(key)
    if (field === undefined) {
      throw new BrokerError('not_found', `store ${entry.section.name}: ${entry.path} has no field ${key}`, {
        hint: 'write the field, or correct the key of this entry in the config',
      })
    }
    picked.set(key, inputOf(field))
  }
  return SecretValue.fields(picked)
}

/** What is to be written so that the fields of an entry change and their neighbours at the same path stay byte for byte. */
export function merge(entry: Entry, before: SecretValue | null, value: SecretValue): SecretValue {
  if (entry.keys === null) return value
  const names = value.fieldNames ?? []
  if (names.length !== entry.keys.length || entry.keys.some(key => !names.includes(key))) {
    throw new BrokerError('invalid_argument', `this secret is exactly the fields ${entry.keys.join(', ')} of its path`, {
      hint: `send fields with ${entry.keys.join(', ')}, or name more of them in the config`,
    })
  }
  const content = value.reveal()
  const fields = 'fields' in content ? [...content.fields].map(([name, field]) => [name, inputOf(field)] as const) : []
  return before === null ? SecretValue.fields(new Map(fields)) : before.with(Object.fromEntries(fields))
}

function inputOf(field: Field): FieldInput {
  const text = textOf(field)
  if (text === undefined) return field.bytes
  return field.form === 'json' ? { json: text } : text
}
