import { BrokerError, SecretValue, textOf } from '@keyturn/core'

/** 25 KB. https://learn.microsoft.com/azure/key-vault/secrets/about-secrets */
export const valueBytesMax = 25_600

/** Why Key Vault cannot hold this value whole; undefined when it can. */
export function refusal(value: SecretValue): string | undefined {
  const content = value.reveal()
  if ('fields' in content) return 'it is a set of fields, and azure keeps one text: say format: json in the config'
  const text = textOf(content.field)
  if (text === undefined) return 'it is no text, and azure keeps text: encode its bytes, in base64 for instance'
  // Key Vault keeps an empty value, and much that reads from it takes it for an absent one
  if (text === '') return 'it is empty, which readers of azure take for a secret that is not there'
  const { length } = content.field.bytes
  return length > valueBytesMax ? `it has ${length} bytes, of at most ${valueBytesMax}` : undefined
}

/** The text that goes to the vault; call only with what `refusal` let through. */
export function encodeText(value: SecretValue): string {
  const content = value.reveal()
  const text = 'field' in content ? textOf(content.field) : undefined
  if (text === undefined) throw new BrokerError('invalid_argument', 'azure: the value is no text')
  return text
}

/** What the vault answered. */
export function decodeText(text: string | undefined): SecretValue {
  if (text === undefined) throw new BrokerError('corrupt', 'azure: the answer has no value')
  return SecretValue.text(text)
}
