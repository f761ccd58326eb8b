import { BrokerError, SecretValue } from '@keyturn/core'
import { crc32c } from './crc32c.ts'

/** The most that the service keeps. https://cloud.google.com/secret-manager/quotas */
export const valueBytesMax = 65_536

/** A payload on the wire. The checksum is an int64 of the protocol, which may come as a text or not at all. */
export interface Payload {
  readonly data?: Uint8Array | string | null
  readonly dataCrc32c?: number | string | { toString(): string } | null
}

/** The bytes with their checksum, which the service compares before it keeps them; call only with what `refusal` let through. */
export function encodePayload(value: SecretValue): Payload {
  const content = value.reveal()
  if (!('field' in content)) throw new BrokerError('invalid_argument', 'gcp: a version is one value, not a set of fields')
  const { bytes } = content.field
  return { data: bytes, dataCrc32c: crc32c(bytes) }
}

/** Reads a payload: text when it is UTF-8, else bytes. `corrupt` when it is not what its checksum says, or none. */
export function decodePayload(payload: Payload | null | undefined, what: string): SecretValue {
  const data = payload?.data
  if (data === undefined || data === null || typeof data === 'string') throw new BrokerError('corrupt', `gcp: ${what} came without bytes`)
  const sum = payload?.dataCrc32c
  if (sum !== undefined && sum !== null && sum.toString() !== String(crc32c(data))) {
    throw new BrokerError('corrupt', `gcp: ${what} came altered: its bytes do not have its checksum`, { hint: 'read it again' })
  }
  return SecretValue.bytes(data)
}

/** Why a version cannot hold this value whole; undefined when it can. */
export function refusal(value: SecretValue): string | undefined {
  const content = value.reveal()
  if (!('field' in content)) return 'a version is one value, not a set of fields: write format: json in the config to keep them as JSON'
  const bytes = content.field.bytes.length
  if (bytes === 0) return 'it is empty, and Google keeps no empty version'
  return bytes > valueBytesMax ? `it has ${bytes} bytes, of at most ${valueBytesMax}` : undefined
}
