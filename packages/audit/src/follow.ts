import type { AuditDisk } from './disk.ts'

/** Where a reader of the chain stands: behind line `seq`, `offset` bytes into the file of this id, whatever its name has become. */
export interface ChainPlace {
  readonly seq: number
  readonly file: string
  readonly offset: number
}

/** The durable end of the file under the log. */
interface Durable {
  readonly id: string
  readonly size: number
}

/** Lines of the chain, oldest first, and where the next ones begin. `missing` is how many lines before the first one are gone from the disk. */
export interface Followed {
  readonly lines: readonly string[]
  readonly place: ChainPlace | null
  readonly missing: number
}

const readBytes = 256 * 1024
const opening = /^\{"seq":(\d+),/

/** The durable lines behind a place (null: from the oldest file that can be read), at most 256 KiB of them; files rotated away come before the current one. */
export function follow(disk: AuditDisk, path: string, durable: Durable, place: ChainPlace | null): Followed {
  const files = [...disk.rotated(path).toReversed(), path]
  const ids = files.map(file => disk.look(file)?.id)
  const known = place === null ? -1 : ids.indexOf(place.file)
  for (let at = Math.max(known, 0); at < files.length; at += 1) {
    const [file, id] = [files[at], ids[at]]
    if (file === undefined || id === undefined) continue
    const offset = at === known ? (place?.offset ?? 0) : 0
    // of the file that is written to, only what the disk is known to have
    const end = id === durable.id ? durable.size : file === path ? 0 : Number.POSITIVE_INFINITY
    const read = readFrom(disk, file, offset, end, place?.seq ?? 0)
    if (read !== undefined) return { lines: read.lines, place: { seq: read.seq, file: id, offset: read.offset }, missing: read.missing }
  }
  return { lines: [], place, missing: 0 }
}

/** The whole lines behind `offset` whose number is above `seq`; undefined when there is none. */
function readFrom(disk: AuditDisk, path: string, from: number, end: number, seq: number) {
  const file = disk.open(path)
  try {
    for (let offset = from; ; ) {
      const bytes = file.read(offset, Math.min(readBytes, Math.max(0, end - offset)))
      const whole = bytes.lastIndexOf(10) + 1
      if (whole === 0) return undefined
      offset += whole
      const lines = bytes
        .toString('utf8', 0, whole - 1)
        .split('\n')
        .filter(line => numberOf(line) > seq)
      const [first, last] = [lines[0], lines.at(-1)]
      if (first !== undefined && last !== undefined) return { lines, offset, seq: numberOf(last), missing: numberOf(first) - seq - 1 }
    }
  } finally {
    file.close()
  }
}

/** A line that somebody damaged has none: it goes along with the next one that has. */
const numberOf = (line: string): number => Number(opening.exec(line)?.[1] ?? 0)
