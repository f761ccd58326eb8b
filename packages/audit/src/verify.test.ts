import { createHash, createSecretKey } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { event, findKey, linesOf, openLog, scratch, writtenLog } from '../test/kit.ts'
import { readAnchor, verify } from './index.ts'

/** What a person with rights on the file can do; `line` is where it must be told, counted from 1. */
const tamperings: ReadonlyArray<{ title: string; change: (lines: string[]) => string[]; kind: string; line: number; status?: string }> = [
  { title: 'an edited line', change: lines => lines.with(4, (lines[4] ?? '').replace('checkout', 'somebody')), kind: 'edited', line: 5 },
  { title: 'an inserted copy', change: lines => lines.toSpliced(4, 0, lines[3] ?? ''), kind: 'inserted', line: 5 },
  { title: 'an inserted line of another kind', change: lines => lines.toSpliced(4, 0, '{"note":"hello"}'), kind: 'inserted', line: 5 },
  { title: 'an empty line', change: lines => lines.toSpliced(4, 0, ''), kind: 'inserted', line: 5 },
  { title: 'a deleted line', change: lines => lines.toSpliced(4, 1), kind: 'gap', line: 5 },
  { title: 'a swap', change: lines => lines.with(4, lines[5] ?? '').with(5, lines[4] ?? ''), kind: 'swapped', line: 5 },
  { title: 'a deleted beginning', change: lines => lines.slice(3), kind: 'headless', line: 1 },
  {
    title: 'an edited line with all hashes computed anew',
    change: lines => rehash(lines.with(4, (lines[4] ?? '').replace('checkout', 'somebody')), 4),
    kind: 'forged',
    line: 5,
  },
  {
    title: 'a mac taken away',
    change: lines => lines.with(-1, (lines.at(-1) ?? '').replace(/,"mac".*\}$/, '}')),
    kind: 'cut',
    line: 11,
    status: 'cut',
  },
]

/** Everything that needs no key. */
function rehash(lines: string[], from: number): string[] {
  let prev = JSON.parse(lines[from - 1] ?? '').hash
  return lines.map((line, at) => {
    if (at < from) return line
    const text = line.slice(0, line.indexOf(',"hash":'))
    const closing = line.slice(line.indexOf(',"hash":') + 9 + 64 + 1)
    prev = createHash('sha256').update(prev).update(text).digest('hex')
    return `${text},"hash":"${prev}"${closing}`
  })
}

const put = (path: string, lines: string[]) => writeFileSync(path, lines.map(line => `${line}\n`).join(''))

describe('verify', () => {
  it('holds what was written, batched or not', async () => {
    expect(await verify(await writtenLog(10), { findKey })).toMatchObject({ status: 'ok', lines: 11, first: { seq: 1 }, last: { seq: 11 } })
    expect(await verify(await writtenLog(3000, true), { findKey })).toMatchObject({ status: 'ok', lines: 3001, complaintCount: 0 })
  })

  it.each(tamperings)('finds $title, and tells where', async ({ change, kind, line, status }) => {
    const path = await writtenLog(10)
    put(path, change(linesOf(path)))
    const verdict = await verify(path, { findKey, settleMs: 0 })
    expect(verdict.status).toBe(status ?? 'tampered')
    expect(verdict.complaints[0]).toMatchObject({ kind, line })
  })

  it('finds an edit inside a batch even when every hash was computed anew', async () => {
    const path = await writtenLog(10, true)
    put(path, rehash(linesOf(path).with(4, (linesOf(path)[4] ?? '').replace('checkout', 'somebody')), 4))
    expect(await verify(path, { findKey })).toMatchObject({ status: 'tampered', complaints: [{ kind: 'forged', line: 11 }] })
  })

  it('finds every single changed byte', async () => {
    const path = await writtenLog(0)
    const bytes = readFileSync(path)
    const folder = scratch()
    const copy = join(folder, 'copy')
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 0x80
      writeFileSync(copy, changed)
      expect((await verify(copy, { findKey, settleMs: 0 })).status, `byte ${at}`).not.toBe('ok')
    }
  })

  it('calls a file that ends within a batch cut, and an empty one too', async () => {
    const path = await writtenLog(10, true)
    put(path, linesOf(path).slice(0, 6))
    expect(await verify(path, { findKey, settleMs: 0 })).toMatchObject({ status: 'cut', complaints: [{ kind: 'cut', line: 6 }] })
    writeFileSync(path, linesOf(path).join('\n'))
    expect(await verify(path, { findKey, settleMs: 0 })).toMatchObject({ status: 'cut' })
    writeFileSync(path, '')
    expect(await verify(path, { findKey, settleMs: 0 })).toMatchObject({ status: 'cut', lines: 0 })
  })

  it('finds by the anchor what the file alone cannot show: a tail cut at a batch, a fork, an old snapshot, everything gone', async () => {
    const anchorPath = join(scratch(), 'anchor.json')
    const { log, path } = await openLog({ anchor: { path: anchorPath, everyMs: 60_000 } })
    const snapshot = join(scratch(), 'snapshot.jsonl')
    for (const id of ['a', 'b', 'c', 'd']) {
      await log.append(event(id))
      if (id === 'b') copyFileSync(path, snapshot)
    }
    await log.close()
    const anchor = readAnchor(readFileSync(anchorPath, 'utf8'))
    expect(await verify(path, { findKey, anchor })).toMatchObject({ status: 'ok' })

    const fork = join(scratch(), 'fork', 'audit.jsonl')
    mkdirSync(join(fork, '..'))
    copyFileSync(snapshot, fork)
    const forked = await openLog({ path: fork })
    await forked.log.append(event('e'))
    await forked.log.append(event('f'))
    await forked.log.close()
    expect(await verify(fork, { findKey })).toMatchObject({ status: 'ok' })
    expect(await verify(fork, { findKey, anchor })).toMatchObject({ status: 'tampered', complaints: [{ kind: 'anchor' }] })

    expect(await verify(snapshot, { findKey })).toMatchObject({ status: 'ok' })
    expect(await verify(snapshot, { findKey, anchor })).toMatchObject({ status: 'tampered', complaints: [{ kind: 'anchor' }] })
    writeFileSync(path, '')
    expect(await verify(path, { findKey, anchor, settleMs: 0 })).toMatchObject({ status: 'tampered' })
  })

  it('says when the key is not at hand, and when it is another one', async () => {
    const path = await writtenLog(2)
    expect(await verify(path, { findKey: () => undefined })).toMatchObject({
      status: 'tampered',
      complaints: [{ kind: 'unknown_key', line: 1 }, {}, {}],
    })
    const other = createSecretKey(Buffer.alloc(32, 9))
    expect(await verify(path, { findKey: () => other })).toMatchObject({
      status: 'tampered',
      complaints: [{ kind: 'forged', line: 1 }, {}, {}],
    })
  })

  it('calls what cannot be read unreadable, never valid', async () => {
    expect(await verify(join(scratch(), 'none'), { findKey })).toMatchObject({ status: 'unreadable', what: 'ENOENT' })
    expect(await verify(scratch(), { findKey })).toMatchObject({ status: 'unreadable', what: 'EISDIR' })
  })

  it('reads on when a broker is still writing the end', async () => {
    const path = await writtenLog(10, true)
    const whole = linesOf(path)
    put(path, whole.slice(0, 5))
    const verdict = verify(path, { findKey, settleMs: 50 })
    await new Promise(resolve => setTimeout(resolve, 10))
    writeFileSync(path, `${whole.slice(5).join('\n')}\n`, { flag: 'a' })
    expect(await verdict).toMatchObject({ status: 'ok', lines: 11 })
  })

  it('bounds what it tells about a file that is all wrong', async () => {
    const path = join(scratch(), 'wrong')
    writeFileSync(path, 'x\n'.repeat(5000))
    const verdict = await verify(path, { findKey })
    expect([verdict.status, verdict.complaints.length, verdict.complaintCount]).toEqual(['tampered', 100, 5001])
  })
})
