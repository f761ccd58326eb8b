import { BrokerError } from '@keyturn/core'
import { type FindKey, genesis, type Head, hashAfter, type Line, macHolds, readLine } from './chain.ts'
import type { AuditFile } from './disk.ts'

/**
 * How a file ends, as a start finds it.
 * - `whole`: the last batch is complete and its mac holds.
 * - `torn`: bytes of a batch that was never acknowledged follow `size`; they may be cut off.
 * - `damaged`: what stands there was changed or cut by somebody; nothing of it may be touched. `what` says how.
 */
export interface Tail {
  readonly state: 'whole' | 'torn' | 'damaged'
  /** What the chain goes on behind; number 0 when the file has no complete batch. */
  readonly head: Head
  /** The bytes up to the end of the last complete batch. */
  readonly size: number
  readonly what: string | undefined
}

const windowMin = 256 * 1024
const windowMax = 64 * 1024 * 1024

/** Reads the end of a file back to the last two batches, in memory bounded by 64 MiB. `precondition_failed` when the file is no audit file. */
export function readTail(file: AuditFile, path: string, find: FindKey): Tail {
  const size = file.size()
  if (size === 0) return { state: 'whole', head: { seq: 0, hash: genesis }, size: 0, what: undefined }
  for (let length = windowMin; ; length *= 4) {
    const from = Math.max(0, size - length)
    const rows = rowsOf(file.read(from, size - from), from)
    const closed = rows.flatMap((row, index) => (row.line?.mac === undefined ? [] : [index]))
    if (closed.length >= 2 || from === 0) return judge(rows, closed, path, find)
    if (length >= windowMax) throw foreign(path)
  }
}

interface Row {
  readonly line: Line | undefined
  readonly bytes: Buffer
  readonly end: number
}

function rowsOf(bytes: Buffer, offset: number): readonly Row[] {
  const rows: Row[] = []
  for (let from = 0; from < bytes.length; ) {
    const feed = bytes.indexOf(10, from)
    const until = feed === -1 ? bytes.length : feed
    const row = bytes.subarray(from, until)
    // without its line feed a line is torn, however complete it looks
    rows.push({ line: feed === -1 ? undefined : readLine(row), bytes: row, end: offset + Math.min(until + 1, bytes.length) })
    from = until + 1
  }
  return rows
}

function judge(rows: readonly Row[], closed: readonly number[], path: string, find: FindKey): Tail {
  const last = closed.at(-1)
  const rest = rows.slice(last === undefined ? 0 : last + 1)
  if (last === undefined) {
    if (!isStart(rows)) throw foreign(path)
    return { state: 'torn', head: { seq: 0, hash: genesis }, size: 0, what: `${rest.length} lines of a first batch` }
  }
  const before = closed.at(-2)
  const batch = rows.slice(before === undefined ? 0 : before + 1, last + 1)
  const wrong = faultOf(batch, before === undefined ? undefined : rows[before]?.line, find)
  const end = rows[last]?.end ?? 0
  const stated = rows[last]?.line
  const head = stated === undefined ? { seq: 0, hash: genesis } : { seq: stated.seq, hash: stated.hash }
  if (wrong === undefined) {
    if (rest.length === 0) return { state: 'whole', head, size: end, what: undefined }
    return { state: 'torn', head, size: end, what: `${rest.length} lines behind number ${head.seq}` }
  }
  // a power cut can keep the end of a batch and lose its middle: such a hole reads as NUL bytes, which no line has
  if (rest.length === 0 && batch.some(row => row.bytes.includes(0))) {
    const held = rows[before ?? -1]
    const head = held?.line === undefined ? { seq: 0, hash: genesis } : { seq: held.line.seq, hash: held.line.hash }
    return { state: 'torn', head, size: held?.end ?? 0, what: 'a batch with a hole in it' }
  }
  return { state: 'damaged', head, size: end, what: wrong }
}

/** What is wrong with a closed batch behind the line `before`. */
function faultOf(batch: readonly Row[], before: Line | undefined, find: FindKey): string | undefined {
  let head: Head | undefined = before
  for (const { line } of batch) {
    if (line === undefined) return `a line that is no record, behind number ${head?.seq ?? 0}`
    const joint = line.prev === undefined ? head : { seq: line.seq - 1, hash: line.prev }
    if (joint === undefined) return `number ${line.seq} stands first, but what it continues is missing`
    if (line.seq !== joint.seq + 1) return `number ${line.seq} follows number ${joint.seq}`
    if (hashAfter(joint.hash, line.text) !== line.hash) return `number ${line.seq} was changed`
    head = line
  }
  const closing = batch.at(-1)?.line
  const key = closing?.keyId === undefined ? undefined : find(closing.keyId)
  if (closing === undefined || key === undefined) return `the key ${closing?.keyId} of number ${closing?.seq} is not at hand`
  return macHolds(key, closing) ? undefined : `the mac of number ${closing.seq} is wrong`
}

/** Whether these rows can be the torn beginning of a log: nothing, a hole, or lines that begin as ours do. */
function isStart(rows: readonly Row[]): boolean {
  const bytes = rows[0]?.bytes ?? Buffer.alloc(0)
  const opening = '{"seq":'
  return bytes[0] === 0 || opening.startsWith(bytes.toString('latin1', 0, opening.length))
}

function foreign(path: string): BrokerError {
  return new BrokerError('precondition_failed', `${path} is not an audit file: it has no line that ends a batch`, {
    hint: 'name another file in audit.file, or move this one away',
  })
}
