import { BrokerError, type Field, type FieldInput, SecretValue, textOf } from '@keyturn/core'
import { limits } from './limits.ts'

/** A field on the wire: its text, or its bytes in base 64 where they are not UTF-8. */
export type WireField = string | { readonly base64: string }

/** A value on the wire: one unnamed field as `value`, named ones as `fields`; never both. */
export type WireValue = { readonly value: WireField } | { readonly fields: Readonly<Record<string, WireField>> }

/**
 * A value as it is answered. A field that came from a JSON member is served as its source text. Errors: `not_found` for a field
 * that the value does not have, `unsupported` for a field whose name JSON readers drop.
 */
export function toWire(value: SecretValue, field?: string): WireValue {
  if (field !== undefined) return { value: wireField(fieldOf(value, field)) }
  const content = value.reveal()
  if ('field' in content) return { value: wireField(content.field) }
  if (content.fields.has('__proto__')) {
    throw new BrokerError('unsupported', 'a field is named __proto__, which readers of JSON drop', {
      hint: 'ask for each field by ?field=',
    })
  }
  return { fields: Object.fromEntries([...content.fields].map(([name, held]) => [name, wireField(held)])) }
}

/** The bytes for `text/plain`. Several fields without `field` are not acceptable in this form (406). */
export function toPlain(value: SecretValue, field?: string): Uint8Array {
  if (field !== undefined) return fieldOf(value, field).bytes
  const content = value.reveal()
  if ('field' in content) return content.field.bytes
  const [only] = content.fields.values()
  if (only !== undefined && content.fields.size === 1) return only.bytes
  throw new BrokerError('invalid_argument', 'the secret has several fields, and plain text holds one', {
    hint: 'name one with ?field=, or accept application/json',
    detail: { reason: 'not_acceptable', fields: value.fieldNames },
  })
}

/** The value that a body gives. Errors: `too_large` for a field above the limit, `invalid_argument` for what is no text or no base 64. */
export function fromWire(wire: {
  readonly value?: WireField | undefined
  readonly fields?: Readonly<Record<string, WireField>> | undefined
}): SecretValue {
  if ((wire.value === undefined) === (wire.fields === undefined)) {
    throw new BrokerError('invalid_argument', 'a body holds either value or fields', { hint: 'give one of the two' })
  }
  if (wire.fields !== undefined) {
    return SecretValue.fields(new Map(Object.entries(wire.fields).map(([name, field]) => [name, fieldInput(field)])))
  }
  const input = fieldInput(wire.value as WireField) // one of the two is there: checked above
  return typeof input === 'string' ? SecretValue.text(input) : SecretValue.bytes(input as Uint8Array) // fieldInput gives nothing else
}

function fieldOf(value: SecretValue, name: string): Field {
  const content = value.reveal()
  const field = 'fields' in content ? content.fields.get(name) : undefined
  if (field !== undefined) return field
  const known = value.fieldNames
  throw new BrokerError('not_found', 'the secret has no such field', {
    hint: known === undefined ? 'it is one unnamed field: leave ?field= out' : `it has ${known.join(', ')}`,
  })
}

function wireField(field: Field): WireField {
  return textOf(field) ?? { base64: Buffer.from(field.bytes).toString('base64') }
}

function fieldInput(field: WireField): FieldInput {
  const input = typeof field === 'string' ? field : bytesOf(field.base64)
  if (Buffer.byteLength(input) > limits.valueBytesMax) {
    throw new BrokerError('too_large', `a field of the value is larger than ${limits.valueBytesMax} bytes`, {
      hint: 'keep large files elsewhere, and the key that opens them here',
    })
  }
  return input
}

function bytesOf(base64: string): Uint8Array {
  const bytes = Buffer.from(base64, 'base64')
  // Buffer skips what is no base 64, which would alter the value
  if (bytes.toString('base64') !== base64) {
    throw new BrokerError('invalid_argument', 'a base64 member is not padded base 64 (RFC 4648, section 4)')
  }
  return bytes
}
