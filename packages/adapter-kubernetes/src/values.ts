import { BrokerError, type FieldInput, SecretValue } from '@keyturn/core'

/** The API counts the bytes of all fields, decoded. `MaxSecretSize`, https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size */
export const valueBytesMax = 1_048_576
/** https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data */
const fieldName = /^[-._a-zA-Z0-9]{1,253}$/
/** What etcd takes in one request (`--max-request-bytes`), without room for labels, annotations and owners. */
const storedBytesMax = 1_572_864 - 65_536
/** A name is stored with its value, and once more among the fields that a manager owns: `"f:name":{},`. */
const managedBytes = 16

/** A value as `data` of a Secret: base64 by name. Call only with what `refusal` let through. */
export function encodeData(value: SecretValue): Readonly<Record<string, string>> {
  const content = value.reveal()
  if ('field' in content) throw new BrokerError('invalid_argument', 'a value without field names')
  return Object.fromEntries([...content.fields].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString('base64')]))
}

/** Reads `data` of a Secret; undefined when it holds nothing. `corrupt` for what is no map of base64. */
export function decodeData(data: unknown): SecretValue | undefined {
  if (data === undefined || data === null) return undefined
  if (typeof data !== 'object' || Array.isArray(data)) throw corrupt()
  const fields = new Map<string, FieldInput>()
  for (const [name, text] of Object.entries(data)) fields.set(name, bytesOf(text))
  return fields.size === 0 ? undefined : SecretValue.fields(fields)
}

/** Why a Secret cannot hold this value whole; undefined when it can. */
export function refusal(value: SecretValue): string | undefined {
  const content = value.reveal()
  if ('field' in content)
    return 'it has no field name, and a Secret is a set of fields: write it as a field, as in {"fields":{"value":...}}'
  let total = 0
  let stored = 0
  for (const [name, { form, bytes }] of content.fields) {
    const quoted = JSON.stringify(name.slice(0, 60))
    if (!fieldName.test(name) || name === '.' || name.startsWith('..')) {
      return `field ${quoted} is no key of a Secret: at most 253 of letters, digits, -, _ and ., and not . or .. or anything after ..`
    }
    if (form === 'json') return `field ${quoted} is JSON, which would come back as text: write it as text`
    total += bytes.byteLength
    stored += bytes.byteLength + 2 * name.length + managedBytes
  }
  if (total > valueBytesMax) return `its fields have ${total} bytes together, of at most ${valueBytesMax}`
  return stored > storedBytesMax ? 'its fields and their names are more than the cluster can store in one object' : undefined
}

function bytesOf(text: unknown): Uint8Array {
  // the API leaves the text of an empty value out as null
  if (text === null) return new Uint8Array()
  if (typeof text !== 'string') throw corrupt()
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw corrupt()
  return bytes
}

function corrupt(): BrokerError {
  return new BrokerError('corrupt', 'kubernetes: the answer is no Secret: its data is no map of base64', {
    hint: 'check that the address is that of the API server itself',
  })
}
