import { BrokerError, SecretValue } from '@keyturn/core'
import type { Kind } from './binding.ts'

/** Kinds of values; `root` is no value, only bytes. */
export type ValueKind = Exclude<Kind, 'root'>

/** The kind under which a store keeps this value. */
export function kindOf(value: SecretValue): 'text' | 'bytes' | 'fields' {
  const content = value.reveal()
  if ('fields' in content) return 'fields'
  if (content.field.form !== 'json') return content.field.form
  throw new BrokerError('invalid_argument', 'one unnamed field cannot be a JSON member', { hint: 'give it as text, or name the field' })
}

/**
 * The bytes that are sealed: of `text` its UTF-8, of `bytes` the bytes as they are, of everything else `SecretValue.encode()`. A value
 * of another form than the kind says is `invalid_argument`.
 */
export function plaintextOf(kind: ValueKind, value: SecretValue): Uint8Array {
  if (kind === 'pending' || kind === 'previous') return value.encode()
  if (kindOf(value) !== kind) throw new BrokerError('invalid_argument', `the value is not of kind ${kind}`)
  const content = value.reveal()
  return 'fields' in content ? value.encode() : content.field.bytes
}

/** The value that these bytes are; `corrupt` when they are none of this kind. */
export function readValue(kind: ValueKind, plaintext: Uint8Array): SecretValue {
  const value = kind === 'text' || kind === 'bytes' ? SecretValue.bytes(plaintext) : SecretValue.decode(plaintext)
  const journalled = kind === 'pending' || kind === 'previous'
  if (journalled || kindOf(value) === kind) return value
  throw new BrokerError('corrupt', `a sealed value opened but is not of kind ${kind}`)
}
