import type { AuditDisk, AuditFile } from './disk.ts'

const chunkBytes = 1024 * 1024
const requestId = /"requestId":("(?:[^"\\]|\\.)*"),"source":/
const opening = /^\{"seq":(\d+),"time":"([^"]+)"/

/** Which of `wanted` are request ids in the chain: the first `size` bytes of the file at `path`, then the files rotated away before it. */
export async function findIds(
  disk: AuditDisk,
  path: string,
  size: number,
  wanted: Set<string>,
  notBefore: Date | undefined,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  const search = { wanted, found, notBefore: notBefore?.toISOString() ?? '' }
  if (wanted.size === 0 || (await searchFile(disk.open(path), size, search))) return found
  for (const older of disk.rotated(path)) {
    const file = disk.open(older)
    if (await searchFile(file, file.size(), search)) break
  }
  return found
}

interface Search {
  readonly wanted: Set<string>
  readonly found: Set<string>
  readonly notBefore: string
}

/** True when nothing older needs to be read. Closes the file. */
async function searchFile(file: AuditFile, size: number, search: Search): Promise<boolean> {
  try {
    let rest = Buffer.alloc(0)
    for (let end = size; end > 0; ) {
      const from = Math.max(0, end - chunkBytes)
      const bytes = Buffer.concat([file.read(from, end - from), rest])
      const first = from === 0 ? 0 : bytes.indexOf(10) + 1
      // the beginning of a chunk is the end of a line that the next one holds
      rest = Buffer.from(bytes.subarray(0, first))
      if (searchLines(bytes.toString('utf8', first), search, from === 0)) return true
      end = from
      await new Promise(resolve => setImmediate(resolve))
    }
    return false
  } finally {
    file.close()
  }
}

function searchLines(text: string, search: Search, isStart: boolean): boolean {
  const lines = text.split('\n')
  for (const line of lines) {
    const quoted = requestId.exec(line)?.[1]
    if (quoted === undefined) continue
    const id: unknown = JSON.parse(quoted)
    if (typeof id === 'string' && search.wanted.has(id)) search.found.add(id)
  }
  const [, seq, time = ''] = opening.exec(lines[0] ?? '') ?? []
  return search.found.size === search.wanted.size || (time !== '' && time < search.notBefore) || (isStart && seq === '1')
}
