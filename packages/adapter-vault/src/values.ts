import { BrokerError, type FieldInput, SecretValue, textOf } from '@keyturn/core'
import { canonicalJson, JsonError, membersOf, type Numbers } from './json-source.ts'

/** Far below what one answer may hold, and what the storage behind a server takes (Consul: 512 KiB). */
export const valueBytesMax = 262_144

/** A value as the JSON object that the server keeps; call only with what `refusal` let through. */
export function encodeFields(value: SecretValue): string {
  const content = value.reveal()
  if ('field' in content) throw new BrokerError('invalid_argument', 'a value without field names')
  const members = [...content.fields].map(([name, field]) => {
    const text = textOf(field) ?? ''
    return `${JSON.stringify(name)}:${field.form === 'json' ? text : JSON.stringify(text)}`
  })
  return `{${members.join(',')}}`
}

/** Reads the object that the server keeps. A member that is no string becomes its JSON text. */
export function decodeFields(source: string): SecretValue {
  try {
    const fields = new Map<string, FieldInput>()
    for (const [name, text] of membersOf(source)) {
      fields.set(name, text.startsWith('"') ? (JSON.parse(text) as string) : { json: canonicalJson(text, 'kept') })
    }
    return SecretValue.fields(fields)
  } catch (error) {
    if (!(error instanceof JsonError) && !(error instanceof BrokerError)) throw error
    throw new BrokerError('corrupt', 'vault: the answer is no set of fields', {
      hint: 'look at the secret with the server’s own tools: it may be empty, or hold a field without a name',
    })
  }
}

/** Why a mount cannot hold this value whole; undefined when it can. KV v2 prints numbers as floats, KV v1 keeps them. */
export function refusal(value: SecretValue, numbers: Numbers): string | undefined {
  const content = value.reveal()
  if ('field' in content) return 'it has no field name, and vault keeps sets of fields: write it as a field, as in {"fields":{"value":...}}'
  for (const [name, field] of content.fields) {
    const quoted = JSON.stringify(name)
    const text = textOf(field)
    if (text === undefined) return `field ${quoted} is no text: encode its bytes, in base64 for instance`
    if (field.form === 'json' && !survives(text, numbers)) {
      return `field ${quoted} is JSON that the server would print in another form: write it as text, or canonically${
        numbers === 'floats' ? ' and with numbers that a 64-bit float holds' : ''
      }`
    }
  }
  const bytes = storedBytes(encodeFields(value))
  return bytes > valueBytesMax ? `it takes ${bytes} bytes as JSON, of at most ${valueBytesMax}` : undefined
}

function survives(source: string, numbers: Numbers): boolean {
  try {
    return canonicalJson(source, numbers) === source && !source.startsWith('"')
  } catch (error) {
    if (error instanceof JsonError) return false
    throw error
  }
}

/** The size as the server prints it: Go escapes these characters to six. https://pkg.go.dev/encoding/json#HTMLEscape */
function storedBytes(json: string): number {
  return Buffer.byteLength(json) + 5 * (json.match(/[<>&]/g)?.length ?? 0) + 3 * (json.match(/[\u2028\u2029]/g)?.length ?? 0)
}
