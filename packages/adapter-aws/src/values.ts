import { BrokerError, SecretValue, textOf } from '@keyturn/core'

/** https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html */
export const valueBytesMax = 65_536

/** The half of a request that carries a value. */
export type ValueInput = { readonly SecretString: string } | { readonly SecretBinary: Uint8Array }

/** Text goes out as a string, bytes that are no text as bytes; call only with what `refusal` let through. */
export function encodeValue(value: SecretValue): ValueInput {
  const content = value.reveal()
  if ('fields' in content) throw new BrokerError('invalid_argument', 'a set of fields where one text is kept')
  const text = textOf(content.field)
  return text === undefined ? { SecretBinary: content.field.bytes } : { SecretString: text }
}

/** Reads an answer that carries a value. */
export function decodeValue(answer: {
  readonly SecretString?: string | undefined
  readonly SecretBinary?: Uint8Array | undefined
}): SecretValue {
  const { SecretString: text, SecretBinary: bytes } = answer
  if (typeof text === 'string') return SecretValue.text(text)
  if (bytes instanceof Uint8Array) return SecretValue.bytes(bytes)
  throw new BrokerError('corrupt', 'aws: the answer about a secret has no value in it')
}

/** Why Secrets Manager cannot hold this value whole; undefined when it can. */
export function refusal(value: SecretValue): string | undefined {
  const content = value.reveal()
  if ('fields' in content) return 'it has field names, and aws keeps one text: say format: json, so that the fields are members of one'
  const bytes = content.field.bytes.byteLength
  if (bytes === 0) return 'it is empty, and aws keeps no empty value'
  return bytes > valueBytesMax ? `it takes ${bytes} bytes, of at most ${valueBytesMax}` : undefined
}
