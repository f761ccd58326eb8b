import { BrokerError, type Field, type FieldInput, SecretValue, type SecretVersion, textOf, type VersionId } from '@keyturn/core'
import type { Place } from '../catalog.ts'

/** A version from its store, with the fields that the config names and no others; asked for no longer than `patienceMs`, where that is given. */
export async function readStore(place: Place, version?: VersionId, patienceMs?: number): Promise<SecretVersion> {
  const which = version === undefined ? {} : { version }
  const read = await place.section.ask((store, call) => store.read(place.path, { ...call, ...which }), patienceMs)
  return { ...read, value: pick(place, read.value) }
}

/** The fields of a value that an entry is about. `not_found` when one of them is not there. */
export function pick(entry: Place, value: SecretValue): SecretValue {
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
export function merge(entry: Place, before: SecretValue | null, value: SecretValue): SecretValue {
  const content = value.reveal()
  if (!('fields' in content)) {
    if (entry.keys !== null) throw notExactly(entry.keys)
    return value
  }
  const names = [...content.fields.keys()]
  if (entry.keys !== null && (names.length !== entry.keys.length || entry.keys.some(key => !names.includes(key))))
    throw notExactly(entry.keys)
  const sources = sourcesOf(before)
  const fields = new Map(names.map(name => [name, inputOf(content.fields.get(name), sources.get(name))]))
  return entry.keys === null || before === null ? SecretValue.fields(fields) : before.with(Object.fromEntries(fields))
}

/** The members of a JSON object that are no strings: over the wire they are text, and text that did not change is put back from its source. */
function sourcesOf(before: SecretValue | null): ReadonlyMap<string, string> {
  const content = before?.reveal()
  if (content === undefined || !('fields' in content)) return new Map()
  return new Map([...content.fields].flatMap(([name, field]) => (field.form === 'json' ? [[name, textOf(field) ?? ''] as const] : [])))
}

function notExactly(keys: readonly string[]): BrokerError {
  return new BrokerError('invalid_argument', `this secret is exactly the fields ${keys.join(', ')} of its path`, {
    hint: `send fields with ${keys.join(', ')}, or name more of them in the config`,
  })
}

function inputOf(field: Field | undefined, source?: string): FieldInput {
  const text = field === undefined ? undefined : textOf(field)
  if (field === undefined || text === undefined) return field?.bytes ?? ''
  return field.form === 'json' || text === source ? { json: text } : text
}
