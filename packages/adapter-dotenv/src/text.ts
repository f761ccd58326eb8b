import { BrokerError } from '@keyturn/core'

// the byte order mark stays in the text, so that the file can be written back byte for byte
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The bytes of a file as text that encodes to the same bytes again; `corrupt` when they are not UTF-8. */
export function decodeFile(file: string, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new BrokerError('corrupt', `${file} is not UTF-8`, { hint: 'save the file as UTF-8' })
  }
}
