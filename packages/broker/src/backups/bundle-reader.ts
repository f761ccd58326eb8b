import { createHash, createHmac } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { BrokerError } from '@keyturn/core'
import { Breather } from '../campaigns/breather.ts'
import {
  type BundleKeys,
  bundleFormat,
  bundleKeys,
  fromWire,
  type HeaderLine,
  type NameLine,
  readLine,
  type TrailerLine,
  type VersionLine,
} from './bundle-line.ts'
import { openBundleKey, type SealParts } from './bundle-seal.ts'

/** A line that is not what was written: its number, and what is wrong. */
export interface Damage {
  readonly line: number
  readonly why: string
}

/** One thing that a bundle holds, in the order of its lines. */
export type BundleItem =
  | { readonly line: number; readonly version: VersionLine }
  | { readonly line: number; readonly name: NameLine }
  | { readonly damage: Damage }

/** What is known of a bundle once it was read to its end. */
export interface BundleEnd {
  /** Null: it has no end that can be read. */
  readonly trailer: TrailerLine | null
  readonly bytes: number
  readonly sha256: string
}

const chunkBytes = 256 * 1024
/** No line is longer: the largest value in base64, and names. */
const lineBytesMax = 8 * 1024 * 1024

/**
 * Reads the first line of a bundle, whether or not its key can be opened. `not_found`, `corrupt` when it is no bundle, `unsupported` when a newer
 * Keyturn wrote it.
 */
export async function readHeader(file: string): Promise<HeaderLine> {
  for await (const { bytes } of linesOf(file)) {
    const content = readLine(null, bytes)?.content
    if (content !== undefined && 'format' in content) return content
    const [, format] = /"format":"(keyturn-backup\/\d+)"/.exec(bytes.toString('latin1', 0, 256)) ?? []
    if (format === undefined || format === bundleFormat) break
    throw new BrokerError('unsupported', `${file} is of the format ${format}, which this build does not know`, {
      hint: 'restore it with the Keyturn that wrote it, or a newer one',
    })
  }
  throw new BrokerError('corrupt', `${file} is no backup of Keyturn, or its first line was changed`, {
    hint: 'name a bundle that keyturn backup list shows',
  })
}

/** The keys of a bundle. `unavailable` when its KEK is not loaded (`detail.kekId`), or is another key by that id; `corrupt` when the header was changed. */
export function keysOf(parts: SealParts, file: string, { id, generation, fingerprint, key }: HeaderLine): BundleKeys {
  const { keyring } = parts
  if (keyring.has(key.kek) && keyring.fingerprint(key.kek) !== fingerprint) throw anotherKey(file, key.kek, fingerprint)
  if (!keyring.has(key.kek)) throw missingKey(file, key.kek, fingerprint)
  const opened = openBundleKey(parts, id, generation, fromWire(key))
  try {
    return bundleKeys(opened)
  } finally {
    opened.fill(0)
  }
}

function missingKey(file: string, kekId: string, fingerprint: string): BrokerError {
  return new BrokerError('unavailable', `${file} is sealed under KEK ${kekId} (fingerprint ${fingerprint}), which is not loaded`, {
    hint: `load KEK ${kekId} again`,
    detail: { kekId, fingerprint },
  })
}

function anotherKey(file: string, kekId: string, fingerprint: string): BrokerError {
  return new BrokerError(
    'unavailable',
    `${file} is sealed under a KEK ${kekId} of fingerprint ${fingerprint}; the one that is loaded is another key`,
    {
      hint: `load the KEK ${kekId} that the bundle was made with; keep the new key under another id`,
      detail: { kekId, fingerprint },
    },
  )
}

/**
 * Everything in a bundle, in order, and what is wrong with it: a line that was changed, is out of its place, here twice or missing is named by its
 * number. Memory holds a chunk, and the next item waits for `act`. `keys` null: without the bundle's key nothing is proven, and lines are taken as they are.
 */
export async function readBundle(
  file: string,
  keys: BundleKeys | null,
  act: (item: BundleItem) => Promise<void> | void,
): Promise<BundleEnd> {
  const sha256 = createHash('sha256')
  const whole = keys === null ? null : createHmac('sha256', keys.whole)
  const damage = (line: number, why: string) => {
    isDamaged = true
    return act({ damage: { line, why } })
  }
  const breather = new Breather()
  let isDamaged = false
  let expected = 1
  let bytes = 0
  let trailer: TrailerLine | null = null
  for await (const { bytes: line, whole: isWhole } of linesOf(file)) {
    if (breather.due) await breather.breathe()
    sha256.update(line)
    if (isWhole) sha256.update('\n')
    bytes += line.length + (isWhole ? 1 : 0)
    const read = isWhole ? readLine(keys, line) : undefined
    if (read === undefined || trailer !== null) {
      await damage(expected, trailer === null ? 'it was changed or cut' : 'it stands behind the end')
      expected += 1
      continue
    }
    const { n, content } = read
    if (n < expected) await damage(n, 'it is here twice, or out of its place')
    if (n > expected) await damage(expected, n === expected + 1 ? 'it is missing' : `it and all up to line ${n - 1} are missing`)
    const isMisplaced = n < expected
    expected = Math.max(expected, n + 1)
    if ('end' in content) {
      trailer = content
      // proven line by line already: this is for what no single line can show
      if (whole !== null && whole.digest('hex') !== content.whole && !isDamaged)
        await damage(n, 'the lines before it are not those that it was written for')
      continue
    }
    whole?.update(line).update('\n')
    if (isMisplaced || 'format' in content) continue
    await act('name' in content ? { line: n, name: content } : { line: n, version: content })
  }
  if (trailer === null) await damage(expected, 'the end of the bundle is missing')
  return { trailer, bytes, sha256: sha256.digest('hex') }
}

interface RawLine {
  readonly bytes: Buffer
  /** False: the file ended before its line feed, or it is longer than a line can be. */
  readonly whole: boolean
}

async function* linesOf(file: string): AsyncGenerator<RawLine> {
  const handle = await opened(file)
  try {
    let rest = Buffer.alloc(0)
    const chunk = Buffer.alloc(chunkBytes)
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunkBytes)
      if (bytesRead === 0) break
      let read = Buffer.concat([rest, chunk.subarray(0, bytesRead)])
      for (let end = read.indexOf(10); end !== -1; end = read.indexOf(10)) {
        yield { bytes: read.subarray(0, end), whole: true }
        read = read.subarray(end + 1)
      }
      if (read.length > lineBytesMax) {
        yield { bytes: read, whole: false }
        read = Buffer.alloc(0)
      }
      rest = read
    }
    if (rest.length > 0) yield { bytes: rest, whole: false }
  } finally {
    await handle.close()
  }
}

async function opened(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new BrokerError(code === 'ENOENT' ? 'not_found' : 'unavailable', `the backup ${file} cannot be read (${code})`, {
      hint: 'keyturn backup list shows where each bundle is',
      cause,
    })
  }
}
