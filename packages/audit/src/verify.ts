import { type FileHandle, open } from 'node:fs/promises'
import { type FindKey, genesis, type Head, hashAfter, type Line, macHolds, readLine } from './chain.ts'

/** What is wrong at a line. `line` counts from 1. */
export interface Complaint {
  readonly line: number
  readonly seq: number | null
  /**
   * `edited`: the hash does not fit. `gap`: numbers are missing. `swapped`: out of order. `inserted`: a number twice, or a line that is no record.
   * `forged`: a mac that the key did not make. `unknown_key`: its key is not at hand. `headless`: lines before it are gone.
   * `anchor`: the chain is shorter than its anchor, or another one. `cut`: the end has no mac.
   */
  readonly kind: 'edited' | 'gap' | 'swapped' | 'inserted' | 'forged' | 'unknown_key' | 'headless' | 'anchor' | 'cut'
  readonly what: string
}

/**
 * `ok`: every line, every number and every mac hold, and the anchor does. `cut`: only the end is missing its mac.
 * `tampered`: anything else. `unreadable`: nothing can be said, because the file could not be read; `what` says why.
 */
export interface Verdict {
  readonly status: 'ok' | 'tampered' | 'cut' | 'unreadable'
  readonly lines: number
  readonly first: Head | null
  readonly last: Head | null
  /** The first hundred; `complaintCount` counts all. */
  readonly complaints: readonly Complaint[]
  readonly complaintCount: number
  readonly what?: string
}

export interface VerifyOptions {
  readonly findKey: FindKey
  readonly anchor?: Head
  /** How long to wait once at the end of a file that has no mac there: a broker may be writing it. 200 ms. */
  readonly settleMs?: number
}

const chunkBytes = 1024 * 1024
const lineBytesMax = 1024 * 1024
const complaintsMax = 100

/** Checks a chain without a broker, in bounded memory. Several files are one chain, the oldest first. */
export async function verify(paths: string | readonly string[], options: VerifyOptions): Promise<Verdict> {
  const walk = new Walk(options)
  try {
    for (const path of typeof paths === 'string' ? [paths] : paths) {
      walk.startFile()
      for await (const bytes of linesOf(path, walk, options.settleMs ?? 200)) walk.take(bytes)
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'it could not be read'
    return { ...walk.verdict(), status: 'unreadable', what: code }
  }
  walk.end()
  return walk.verdict()
}

/** Lines without their line feed; undefined stands for what is longer than any line, or ends without one. */
async function* linesOf(path: string, walk: Walk, settleMs: number): AsyncGenerator<Buffer | undefined> {
  const handle = await open(path, 'r')
  try {
    // read again and again: a line is looked at before the next chunk comes
    const buffer = Buffer.allocUnsafe(chunkBytes)
    let rest = Buffer.alloc(0)
    for (let waited = false; ; ) {
      const chunk = await nextChunk(handle, buffer)
      if (chunk.length === 0) {
        if (waited || (walk.isClosed && rest.length === 0)) break
        waited = true
        await new Promise(resolve => setTimeout(resolve, settleMs))
        continue
      }
      let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      for (let feed = bytes.indexOf(10); feed !== -1; feed = bytes.indexOf(10)) {
        yield bytes.subarray(0, feed)
        bytes = bytes.subarray(feed + 1)
      }
      rest = Buffer.from(bytes)
      if (rest.length > lineBytesMax) {
        yield undefined
        rest = Buffer.alloc(0)
      }
    }
    if (rest.length > 0) yield undefined
  } finally {
    await handle.close()
  }
}

async function nextChunk(handle: FileHandle, chunk: Buffer): Promise<Buffer> {
  const { bytesRead } = await handle.read(chunk, 0, chunk.length)
  return chunk.subarray(0, bytesRead)
}

type Fault = readonly [kind: Complaint['kind'], what: string]

/** One passage over a chain. After each complaint it goes on from what the line states, so that one damage is told once. */
class Walk {
  readonly #options: VerifyOptions
  readonly #complaints: Complaint[] = []
  #count = 0
  #lines = 0
  #first: Head | null = null
  #last: Line | null = null
  #isFileStart = true
  #gap: { readonly index: number; readonly from: number; readonly to: number } | undefined
  #anchorSeen = false
  /** Bytes stand at the end that are no whole line. */
  #torn = false

  constructor(options: VerifyOptions) {
    this.#options = options
  }

  get isClosed(): boolean {
    return this.#last?.mac !== undefined
  }

  startFile(): void {
    this.#isFileStart = true
  }

  take(bytes: Buffer | undefined): void {
    this.#lines += 1
    if (this.#torn) this.#complain(null, 'inserted', 'bytes that are no record')
    this.#torn = false
    const line = bytes === undefined ? undefined : readLine(bytes)
    if (line === undefined) {
      if (bytes === undefined) this.#torn = true
      else this.#complain(null, 'inserted', 'a line that is no record')
      return
    }
    const fault = this.#misplaced(line)
    if (fault !== undefined) this.#complain(line.seq, ...fault)
    this.#checkMac(line)
    this.#checkAnchor(line)
    // its bytes lie in a chunk that must not be kept
    this.#last = { ...line, text: Buffer.alloc(0) }
    this.#first ??= { seq: line.seq, hash: line.hash }
    this.#isFileStart = false
  }

  end(): void {
    const { anchor } = this.#options
    if (anchor !== undefined && !this.#anchorSeen) {
      const last = this.#last?.seq ?? 0
      const where = this.#first !== null && this.#first.seq > anchor.seq ? `begins at number ${this.#first.seq}` : `ends at number ${last}`
      this.#complain(null, 'anchor', `the chain ${where}, its anchor holds number ${anchor.seq}`)
    }
    if (this.#torn || this.#last?.mac === undefined) this.#complain(this.#last?.seq ?? null, 'cut', 'the end has no mac')
  }

  verdict(): Verdict {
    const onlyCut = this.#complaints.every(complaint => complaint.kind === 'cut')
    return {
      status: this.#count === 0 ? 'ok' : onlyCut ? 'cut' : 'tampered',
      lines: this.#lines,
      first: this.#first,
      last: this.#last === null ? null : { seq: this.#last.seq, hash: this.#last.hash },
      complaints: this.#complaints,
      complaintCount: this.#count,
    }
  }

  /** What is wrong with a line where it stands. */
  #misplaced(line: Line): Fault | undefined {
    const before = this.#last
    if (before === null) {
      if (line.prev === undefined) return ['headless', `the file begins with number ${line.seq}, and what it continues is gone`]
      if ((line.seq === 1) !== (line.prev === genesis)) return ['headless', `number ${line.seq} states a wrong beginning`]
    } else if (line.seq !== before.seq + 1) {
      return this.#disorder(line, before)
    } else if (line.prev !== undefined && line.prev !== before.hash) {
      const where = this.#isFileStart ? 'the file before' : 'the line before'
      return ['edited', `number ${line.seq} continues another chain than ${where}`]
    }
    const hash = hashAfter(line.prev ?? before?.hash ?? genesis, line.text)
    return hash === line.hash ? undefined : ['edited', `number ${line.seq} or the line before it was changed`]
  }

  #disorder(line: Line, before: Line): Fault {
    const gap = this.#gap
    if (line.seq > before.seq + 1) {
      if (this.#complaints.length < complaintsMax) this.#gap = { index: this.#complaints.length, from: before.seq + 1, to: line.seq - 1 }
      return ['gap', `number ${line.seq} follows number ${before.seq}`]
    }
    if (gap === undefined || line.seq < gap.from || line.seq > gap.to) {
      return ['inserted', `number ${line.seq} stands behind number ${before.seq}, where it was already passed`]
    }
    // what seemed to be missing stands further down
    const told = this.#complaints[gap.index]
    if (told !== undefined) this.#complaints[gap.index] = { ...told, kind: 'swapped' }
    return ['swapped', `number ${line.seq} follows number ${before.seq}`]
  }

  #checkMac(line: Line): void {
    if (line.keyId === undefined) return
    const key = this.#options.findKey(line.keyId)
    if (key === undefined) this.#complain(line.seq, 'unknown_key', `the key ${line.keyId} is not at hand`)
    else if (!macHolds(key, line)) this.#complain(line.seq, 'forged', `the mac of number ${line.seq} is not of the key ${line.keyId}`)
  }

  #checkAnchor(line: Line): void {
    const { anchor } = this.#options
    if (anchor === undefined || line.seq !== anchor.seq || this.#anchorSeen) return
    this.#anchorSeen = true
    if (line.hash !== anchor.hash) this.#complain(line.seq, 'anchor', `number ${line.seq} is not the one that the anchor holds`)
  }

  #complain(seq: number | null, kind: Complaint['kind'], what: string): void {
    this.#count += 1
    if (this.#complaints.length < complaintsMax) this.#complaints.push({ line: this.#lines, seq, kind, what })
  }
}
