import type { Complaints, Position } from './complaint.ts'

const bytesMax = 1024 * 1024
const tellMax = 10
// every control character but the ends of lines; then marks that make text read otherwise than it parses
const refused = /(?![\n\r])\p{Cc}|[\u202a-\u202e\u2066-\u2069\ufeff]|\r(?!\n)/u

/** The text of a config file, or undefined after complaints: at most 1 MiB of UTF-8 without tabs, NUL and other control characters. */
export function decodeText(bytes: Uint8Array, file: string, complaints: Complaints): string | undefined {
  const start = { file, line: 1, column: 1 }
  if (bytes.length > bytesMax) {
    complaints.error(start, '', 'the file is larger than 1 MiB', 'split it with include:')
    return undefined
  }
  const valid = validLength(bytes)
  if (valid < bytes.length) {
    const at = positionAfter(new TextDecoder('utf-8', { ignoreBOM: false }).decode(bytes.subarray(0, valid)), file)
    const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
    complaints.error(at, '', wide ? 'the file is UTF-16' : 'a byte that is no UTF-8', 'save the file as UTF-8')
    return undefined
  }
  // a byte order mark at the very start is allowed by YAML and dropped by the decoder
  const text = new TextDecoder('utf-8').decode(bytes)
  return refuseCharacters(text, file, complaints) ? undefined : text
}

function refuseCharacters(text: string, file: string, complaints: Complaints): boolean {
  let count = 0
  for (const [index, line] of text.split('\n').entries()) {
    // one a line says it all
    const match = refused.exec(`${line}\n`)
    if (match === null) continue
    complaints.error({ file, line: index + 1, column: match.index + 1 }, '', ...reasonOf(match[0]))
    if (++count === tellMax) break
  }
  return count > 0
}

function reasonOf(character: string): [message: string, remedy: string] {
  if (character === '\t') return ['a tab', 'use spaces; inside double quotes write \\t']
  if (character === '\u0000') return ['a NUL character', 'save the file as UTF-8 text']
  if (character === '\r') return ['a carriage return without a line feed', 'end lines with a line feed']
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  return [`the invisible character U+${code}`, `remove it; inside double quotes write \\u${code}`]
}

function validLength(bytes: Uint8Array): number {
  if (isValid(bytes)) return bytes.length
  let low = 0
  let high = bytes.length
  // the longest prefix that decodes when streamed, so that a cut character does not count as wrong
  while (low + 1 < high) {
    const middle = (low + high) >> 1
    if (isValid(bytes.subarray(0, middle), true)) low = middle
    else high = middle
  }
  return low
}

function isValid(bytes: Uint8Array, stream = false): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream })
    return true
  } catch {
    return false
  }
}

function positionAfter(text: string, file: string): Position {
  const lines = text.split('\n')
  return { file, line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 }
}
