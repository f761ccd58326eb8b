import type { Readable } from 'node:stream'
import { addAbortSignal } from 'node:stream'
import { BrokerError } from '@keyturn/core'
import { CsvSplitter } from './csv.ts'
import { type Entry, entryOfCsv, entryOfJson, type ReadEntry } from './entry.ts'
import { JsonSplitter } from './json.ts'
import { type Part, partBytesMax, type Splitter, withoutMark } from './part.ts'

/** The forms of a stream. */
export const formats = ['json', 'csv'] as const
export type Format = (typeof formats)[number]

/**
 * The entries of a stream, in order, as they come: what was taken is not kept. Without a format the first character tells: JSON begins with `{` or
 * `[`. Ends with the signal; `cancelled` then.
 */
export async function* entriesOf(stream: Readable, format: Format | undefined, signal: AbortSignal): AsyncGenerator<Part<Entry>> {
  let reader: ((chunk: Uint8Array | null) => readonly Part<Entry>[]) | undefined
  for await (const chunk of chunksOf(stream, signal)) {
    const bytes = reader === undefined ? withoutMark(chunk) : chunk
    reader ??= (format ?? formatOf(bytes)) === 'json' ? readerOf(new JsonSplitter(), () => entryOfJson) : csvReader()
    yield* reader(bytes)
  }
  if (reader !== undefined) yield* reader(null)
}

/** Chunks that are not empty. The first one has a character that is not white space, and is long enough for a byte order mark. */
async function* chunksOf(stream: Readable, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let first: Buffer | null = Buffer.alloc(0)
  try {
    for await (const chunk of addAbortSignal(signal, stream)) {
      const bytes: Buffer = Buffer.from(chunk)
      if (first === null) yield bytes
      else {
        first = Buffer.concat([first, bytes])
        if ((first.length < 3 || first.every(isSpace)) && first.length < partBytesMax) continue
        yield first
        first = null
      }
    }
  } catch (cause) {
    if (signal.aborted) throw new BrokerError('cancelled', 'the stream was not read to its end', { cause })
    throw cause
  }
  if (first !== null && first.length > 0) yield first
}

const isSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)

function formatOf(bytes: Uint8Array): Format {
  const first = bytes.find(byte => !isSpace(byte))
  return first === 0x7b || first === 0x5b ? 'json' : 'csv'
}

function csvReader() {
  // the first row says what the others are
  let read: ReadEntry<readonly Uint8Array[]> | undefined
  return readerOf(new CsvSplitter(), (fields: readonly Uint8Array[]) => {
    const known = read
    read ??= entryOfCsv(fields)
    return known
  })
}

/** Reads what a splitter gives; `null` for the end. `how` says how a part is read; undefined: it is not an entry. */
function readerOf<T>(splitter: Splitter<T>, how: (content: T) => ReadEntry<T> | undefined) {
  return (chunk: Uint8Array | null): readonly Part<Entry>[] =>
    (chunk === null ? splitter.end() : splitter.push(chunk)).flatMap((part): readonly Part<Entry>[] => {
      if ('fault' in part) return [part]
      const { content, ...spot } = part
      const read = how(content)
      if (read === undefined) return []
      try {
        return [{ ...spot, content: read(content) }]
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        return [{ ...spot, fault: error.message }]
      }
    })
}
