import { createHmac, hash, type KeyObject, timingSafeEqual } from 'node:crypto'

/**
 * The chain. One event is one line of JSON, UTF-8, ended by a line feed:
 *
 *     {"seq":7,"time":"2026-11-21T15:00:00.000Z","principal":…,"action":…,"secret":…,"version":…,"field":…,"outcome":…,
 *      "code":…,"requestId":…,"source":…[,"prev":"<hash>"],"hash":"<hash>"[,"mac":"<mac>","keyId":"<id>"]}
 *
 * - The canonical line is its bytes as they stand, from `{` up to and without `,"hash":`. Nothing is parsed and written again.
 * - `hash` = SHA-256(hash of the line before, as 64 lower-case hex characters ‖ canonical line), in hex. Before the first line: 64 zeros.
 * - `seq` grows by one from 1. It goes on in the next file when a file is rotated away.
 * - `prev` stands on the first line of every file, and where the log went on behind a damage: the hash that it continues.
 * - `mac` and `keyId` stand on the last line of every batch:
 *   HMAC-SHA-256(key, "keyturn/audit/1\n" ‖ seq in decimal ‖ "\n" ‖ hash), in hex.
 *
 * A batch is written by one write and acknowledged after one sync, so that a file whose last line has no `mac` was cut.
 */
export const genesis = '0'.repeat(64)

/** Where a chain stands: its last number and hash. */
export interface Head {
  readonly seq: number
  readonly hash: string
}

/** A key of the chain, as HKDF makes it from the root secret; `id` is what its records name: letters, digits and `._-`, at most 64. */
export interface AuditKey {
  readonly id: string
  readonly key: KeyObject
}

/** Finds a key by the id that a record names; undefined when it is not at hand. */
export type FindKey = (id: string) => KeyObject | undefined

/** A line as it was read; `text` is the canonical part. */
export interface Line extends Head {
  readonly time: string
  readonly text: Buffer
  readonly prev: string | undefined
  readonly mac: string | undefined
  readonly keyId: string | undefined
}

const start = /^\{"seq":([1-9]\d{0,15}),"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","principal":/
const end = /(?:,"prev":"([0-9a-f]{64})")?(,"hash":"([0-9a-f]{64})"(?:,"mac":"([0-9a-f]{64})","keyId":"([A-Za-z0-9._-]{1,64})")?\})$/
const endBytesMax = 400

/** Writes a batch behind `head`: the text, and the head it leads to. `parts` are the members from `principal` to `source`. */
export function writeBatch(
  parts: readonly string[],
  head: Head,
  time: string,
  key: AuditKey,
  joint: boolean,
): { text: string; head: Head } {
  let { seq, hash: prev } = head
  let out = ''
  const stamp = `,"time":"${time}",`
  for (const [index, part] of parts.entries()) {
    seq += 1
    const text = `{"seq":${seq}${stamp}${part}${joint && index === 0 ? `,"prev":"${prev}"` : ''}`
    // the digest of the one-shot call as hex is twice as fast as through a hash object
    prev = hash('sha256', prev + text, 'hex')
    out += `${text},"hash":"${prev}"${index === parts.length - 1 ? `,"mac":"${macOf(key.key, seq, prev)}","keyId":"${key.id}"` : ''}}\n`
  }
  return { text: out, head: { seq, hash: prev } }
}

/** Reads one line without its line feed; undefined when it is no line of a chain. Whether its hash is right is not asked here. */
export function readLine(bytes: Buffer): Line | undefined {
  // latin1 keeps every byte apart: as UTF-8, two different invalid bytes would read the same
  const first = start.exec(bytes.toString('latin1', 0, 80))
  const from = Math.max(0, bytes.length - endBytesMax)
  const last = end.exec(bytes.toString('latin1', from))
  const [, seq, time] = first ?? []
  const [, prev, closing, hashed, mac, keyId] = last ?? []
  if (seq === undefined || time === undefined || closing === undefined || hashed === undefined) return undefined
  return { seq: Number(seq), time, text: bytes.subarray(0, bytes.length - closing.length), prev, hash: hashed, mac, keyId }
}

const scratch = Buffer.alloc(64 * 1024)

/** The hash that `line` must have behind `prev`. */
export function hashAfter(prev: string, text: Buffer): string {
  const length = prev.length + text.length
  const joined = length <= scratch.length ? scratch.subarray(0, length) : Buffer.alloc(length)
  joined.write(prev, 'latin1')
  text.copy(joined, prev.length)
  return hash('sha256', joined, 'hex')
}

/** Whether the mac of a line is of this key. */
export function macHolds(key: KeyObject, line: Line): boolean {
  const expected = Buffer.from(macOf(key, line.seq, line.hash))
  return line.mac !== undefined && timingSafeEqual(expected, Buffer.from(line.mac))
}

function macOf(key: KeyObject, seq: number, hashed: string): string {
  return createHmac('sha256', key).update(`keyturn/audit/1\n${seq}\n${hashed}`).digest('hex')
}
