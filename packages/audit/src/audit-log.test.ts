import { readdirSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ForgetfulDisk, type Survival } from '../test/forgetful-disk.ts'
import { event, findKey, HandClock, key, linesOf, openLog, scratch, verifyBytes } from '../test/kit.ts'
import { AuditLog, verify } from './index.ts'

const path = '/audit.jsonl'
const turn = () => new Promise(resolve => setImmediate(resolve))

describe('the audit log', () => {
  it('writes the members of the design in their order, and nothing else', async () => {
    const { log, path } = await openLog()
    await log.append(event('r1', { secret: 'a/"b"', source: 'x\ny', outcome: 'denied', code: 'permission_denied' }))
    await log.close()
    const line = linesOf(path)[1] ?? ''
    expect(Object.keys(JSON.parse(line))).toEqual(
      'seq time principal action secret version field outcome code requestId source hash mac keyId'.split(' '),
    )
    expect(JSON.parse(line)).toMatchObject({ seq: 2, secret: 'a/"b"', source: 'x\ny', outcome: 'denied', requestId: 'r1', keyId: 'a1' })
  })

  it('gives all that arrive in one turn one write and one sync', async () => {
    const disk = new ForgetfulDisk()
    const { log } = await openLog({ disk, path })
    const before = disk.calls
    await Promise.all(Array.from({ length: 500 }, () => log.append(event())))
    expect(disk.calls - before).toBe(2)
    const lines = disk.text(path)?.trimEnd().split('\n') ?? []
    expect(lines.map(line => JSON.parse(line).seq)).toEqual(Array.from({ length: 501 }, (_, at) => at + 1))
    expect(lines.slice(1).filter(line => line.includes('"mac"'))).toHaveLength(1)
  })

  it('does not resolve before the sync has', async () => {
    const disk = new ForgetfulDisk()
    const { log } = await openLog({ disk, path })
    disk.held = []
    let isDone = false
    const append = log.append(event()).then(() => {
      isDone = true
    })
    for (let at = 0; at < 5; at += 1) await turn()
    expect(isDone).toBe(false)
    disk.held[0]?.()
    await append
    expect(isDone).toBe(true)
  })

  it('cuts a text that a caller made too long', async () => {
    const { log, path } = await openLog()
    await log.append(event('r', { secret: 'x'.repeat(100_000) }))
    await log.close()
    expect(JSON.parse(linesOf(path)[1] ?? '').secret).toHaveLength(1025)
  })

  it('refuses an outcome that is none', async () => {
    const { log } = await openLog({ disk: new ForgetfulDisk(), path })
    // @ts-expect-error: what a caller without types may send
    expect(() => log.append(event('r', { outcome: 'maybe' }))).toThrow('needs the outcome')
  })

  it('makes the file 0600 in a folder 0700, and cuts back a file that others could read', async () => {
    const folder = join(scratch(), 'a', 'b')
    const { log, path } = await openLog({ path: join(folder, 'audit.jsonl') })
    await log.close()
    expect([statSync(folder).mode & 0o777, statSync(dirname(folder)).mode & 0o777, statSync(path).mode & 0o777]).toEqual([
      0o700, 0o700, 0o600,
    ])
  })

  it('refuses a second broker on one file, and lets it in when the first has closed', async () => {
    const { log, path } = await openLog()
    await expect(openLog({ path })).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('another broker') })
    await log.close()
    const second = await openLog({ path })
    await second.log.close()
  })

  it('says that a place cannot be opened, and why', async () => {
    const folder = scratch()
    writeFileSync(join(folder, 'file'), '')
    await expect(openLog({ path: join(folder, 'file', 'audit.jsonl') })).rejects.toMatchObject({
      code: 'unavailable',
      message: 'audit cannot be written: ENOTDIR',
    })
  })

  it('refuses a file that is no audit file, and leaves it as it was', async () => {
    const path = join(scratch(), 'notes.txt')
    writeFileSync(path, 'dear diary\n')
    await expect(openLog({ path })).rejects.toMatchObject({ code: 'precondition_failed' })
    expect(linesOf(path)).toEqual(['dear diary'])
  })

  it('refuses appends after close, and writes what waited before it', async () => {
    const { log, path } = await openLog()
    const waiting = log.append(event('last'))
    await log.close()
    await waiting
    expect(linesOf(path)[1]).toContain('"last"')
    await expect(log.append(event())).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('a restart', () => {
  it('goes on with the number and the chain', async () => {
    const { log, path } = await openLog()
    await log.append(event())
    await log.close()
    const again = await openLog({ path })
    await again.log.append(event())
    await again.log.close()
    expect(again.troubles).toEqual([])
    expect(await verify(path, { findKey })).toMatchObject({ status: 'ok', lines: 4, last: { seq: 4 } })
  })

  it('cuts off a torn batch, keeps its bytes beside the file, and records that', async () => {
    const { log, path } = await openLog()
    await log.append(event('kept'))
    await log.close()
    const whole = linesOf(path)
    const torn = '{"seq":3,"time":"2026-11-21T15:00:00.000Z","principal":"to'
    writeFileSync(path, `${whole.join('\n')}\n${torn}`)
    const again = await openLog({ path })
    await again.log.close()
    expect(again.troubles.map(trouble => trouble.kind)).toEqual(['torn'])
    expect(statSync(`${path}.torn-3`).size).toBe(torn.length)
    const lines = linesOf(path)
    expect(lines.slice(0, 2)).toEqual(whole)
    expect(JSON.parse(lines[2] ?? '')).toMatchObject({ seq: 3, action: 'audit.torn', outcome: 'failed' })
    expect(await verify(path, { findKey })).toMatchObject({ status: 'ok' })
  })

  it.each([
    ['an edited line', (lines: string[]) => lines.with(-1, (lines.at(-1) ?? '').replace('api_key', 'api_kez'))],
    ['a forged mac', (lines: string[]) => lines.with(-1, (lines.at(-1) ?? '').replace(/"mac":"[0-9a-f]{8}/, '"mac":"00000000'))],
    ['a swap', (lines: string[]) => [...lines.slice(0, -2), lines.at(-1) ?? '', lines.at(-2) ?? '']],
  ])('reports %s at the end, touches nothing, and goes on so that verification still tells it', async (_, change) => {
    const { log, path } = await openLog()
    for (const id of ['a', 'b', 'c']) await log.append(event(id))
    await log.close()
    const changed = change(linesOf(path))
    writeFileSync(path, `${changed.join('\n')}\n`)
    const again = await openLog({ path })
    await again.log.append(event('later'))
    await again.log.close()
    expect(again.troubles.map(trouble => trouble.kind)).toEqual(['damaged'])
    const lines = linesOf(path)
    expect(lines.slice(0, changed.length)).toEqual(changed)
    expect(lines[changed.length]).toContain('"action":"audit.damaged"')
    expect(await verify(path, { findKey })).toMatchObject({ status: 'tampered' })
  })

  it('sees by the anchor that whole batches are gone from the end, and gives no number twice', async () => {
    const anchor = { path: join(scratch(), 'anchor.json'), everyMs: 60_000 }
    const { log, path } = await openLog({ anchor })
    for (const id of ['a', 'b', 'c']) await log.append(event(id))
    await log.close()
    writeFileSync(path, `${linesOf(path).slice(0, 2).join('\n')}\n`)
    const again = await openLog({ path, anchor })
    await again.log.close()
    expect(again.troubles).toMatchObject([
      { kind: 'damaged', message: expect.stringContaining('ends at number 2, its anchor holds number 4') },
    ])
    expect(JSON.parse(linesOf(path)[2] ?? '').seq).toBe(5)
    expect(await verify(path, { findKey })).toMatchObject({ status: 'tampered', complaints: [{ kind: 'gap', line: 3 }] })
  })

  it('loses no acknowledged event, wherever the power goes and whatever it leaves', async () => {
    const calls = await run(new ForgetfulDisk())
    expect(calls).toBeGreaterThan(12)
    let cuts = 0
    for (let dieAt = 2; dieAt <= calls; dieAt += 1) {
      for (const survival of ['nothing', 'half', 'all', 'hole'] satisfies Survival[]) {
        const disk = new ForgetfulDisk()
        disk.dieAt = dieAt
        const acknowledged = new Set<string>()
        await run(disk, acknowledged)
        const after = disk.cut(survival)
        const { log } = await openLog({ disk: after, path })
        const found = await log.contains(acknowledged)
        await log.close()
        expect(
          [...acknowledged].filter(id => !found.has(id)),
          `call ${dieAt}, ${survival}`,
        ).toEqual([])
        expect((await verifyBytes(after.files.get(path)?.seen ?? Buffer.alloc(0))).complaints, `call ${dieAt}, ${survival}`).toEqual([])
        cuts += 1
      }
    }
    expect(cuts).toBe((calls - 1) * 4)
  })
})

/** Three turns of events with a failing sync between them. Answers with the calls that changed the disk. */
async function run(disk: ForgetfulDisk, acknowledged = new Set<string>()): Promise<number> {
  const log = await AuditLog.open({ path, disk, key, clock: new HandClock() }).catch(() => undefined)
  for (const round of log === undefined ? [] : ['a', 'b', 'c', 'd', 'e']) {
    if (round === 'c') disk.fail.push({ call: 'sync', code: 'EIO' })
    if (round === 'd') disk.fail.push({ call: 'append', code: 'ENOSPC', short: true })
    const ids = [1, 2, 3].map(at => `${round}${at}`)
    await Promise.allSettled(ids.map(id => log?.append(event(id)).then(() => acknowledged.add(id))))
  }
  return disk.calls
}

describe('a failing disk', () => {
  it.each([
    ['append', 'ENOSPC'],
    ['sync', 'EIO'],
  ] as const)('refuses every waiting event when %s fails with %s, and goes on without a gap', async (call, code) => {
    const disk = new ForgetfulDisk()
    const { log, troubles } = await openLog({ disk, path })
    disk.fail.push({ call, code, short: true })
    const results = await Promise.allSettled([log.append(event('a')), log.append(event('b'))])
    for (const result of results) {
      expect(result).toMatchObject({ reason: { code: 'unavailable', message: `audit cannot be written: ${code}` } })
    }
    expect(log.healthy()).toBe(false)
    await log.append(event('c'))
    expect(log.healthy()).toBe(true)
    expect(troubles.map(trouble => trouble.kind)).toEqual(['unwritable', 'resumed'])
    const bytes = disk.files.get(path)?.durable ?? Buffer.alloc(0)
    expect(await verifyBytes(bytes)).toMatchObject({ status: 'ok', lines: 3 })
    expect(bytes.toString()).toContain('"action":"audit.resumed"')
    expect(bytes.toString()).toContain('2 events were refused')
    expect(await log.contains(['a', 'b', 'c'])).toEqual(new Set(['c']))
  })

  it('becomes healthy by itself when the disk does, without a request', async () => {
    const disk = new ForgetfulDisk()
    const { log, clock } = await openLog({ disk, path })
    disk.fail.push({ call: 'append', code: 'ENOSPC' }, { call: 'open', code: 'ENOSPC' })
    await expect(log.append(event())).rejects.toThrow('ENOSPC')
    clock.advance(1000)
    for (let at = 0; at < 4; at += 1) await turn()
    expect(log.healthy()).toBe(false)
    clock.advance(1000)
    for (let at = 0; at < 6; at += 1) await turn()
    expect(log.healthy()).toBe(true)
  })

  it('cuts an unacknowledged batch when the disk refused even to cut it', async () => {
    const disk = new ForgetfulDisk()
    const { log } = await openLog({ disk, path })
    disk.fail.push({ call: 'sync', code: 'EIO' }, { call: 'truncate', code: 'EIO' })
    await expect(log.append(event('a'))).rejects.toThrow('EIO')
    await log.append(event('b'))
    expect(await verifyBytes(disk.files.get(path)?.seen ?? Buffer.alloc(0))).toMatchObject({ status: 'ok' })
    expect(await log.contains(['a', 'b'])).toEqual(new Set(['b']))
  })

  it('refuses callers when a sync hangs, at once from then on, and comes back when it ends', async () => {
    const disk = new ForgetfulDisk()
    const { log, clock } = await openLog({ disk, path, stallMs: 5000 })
    disk.held = []
    const waiting = log.append(event('a'))
    await turn()
    clock.advance(5000)
    await expect(waiting).rejects.toThrow('the disk does not answer')
    await expect(log.append(event('b'))).rejects.toThrow('the disk does not answer')
    expect(log.healthy()).toBe(false)
    const [release] = disk.held
    disk.held = undefined
    release?.()
    for (let at = 0; at < 6; at += 1) await turn()
    expect(log.healthy()).toBe(true)
    await log.append(event('c'))
    expect(disk.text(path)).toContain('2 events were refused')
  })
})

describe('a rotated file', () => {
  it('goes on in a new file without a gap, and both are one chain', async () => {
    const { log, path } = await openLog()
    const appends: Promise<void>[] = []
    for (let at = 0; at < 200; at += 1) {
      appends.push(log.append(event(`r${at}`)))
      if (at === 70) renameSync(path, `${path}.2`)
      if (at === 140) renameSync(path, `${path}.1`)
      if (at % 10 === 0) await turn()
      if (at === 100) await Promise.all(appends)
    }
    await Promise.all(appends)
    expect(await log.contains(['r1', 'r199', 'r100', 'none'])).toEqual(new Set(['r1', 'r199', 'r100']))
    await log.close()
    const files = [`${path}.2`, `${path}.1`, path].filter(file => readdirSync(dirname(path)).includes(file.slice(dirname(path).length + 1)))
    expect(files).toHaveLength(3)
    expect(await verify(files, { findKey })).toMatchObject({ status: 'ok', lines: 201, first: { seq: 1 }, last: { seq: 201 } })
    expect(await verify([files[0] ?? '', path], { findKey })).toMatchObject({ status: 'tampered', complaints: [{ kind: 'gap' }] })
    expect(await verify(path, { findKey })).toMatchObject({ status: 'ok' })
  })

  it('says in a record that somebody deleted the file under it', async () => {
    const { log, path, troubles } = await openLog()
    await log.append(event('a'))
    rmSync(path)
    await log.append(event('b'))
    await log.close()
    expect(troubles).toMatchObject([
      { kind: 'damaged', message: expect.stringContaining('was deleted under the broker, with all up to number 2') },
    ])
    expect(linesOf(path).map(line => JSON.parse(line).seq)).toEqual([3, 4])
    expect(await verify(path, { findKey })).toMatchObject({ status: 'ok', first: { seq: 3 } })
  })

  it('goes on with the number when it was rotated away while no broker ran', async () => {
    const { log, path } = await openLog()
    await log.append(event())
    await log.close()
    renameSync(path, `${path}-20261121`)
    writeFileSync(path, '')
    const again = await openLog({ path })
    await again.log.close()
    expect(await verify([`${path}-20261121`, path], { findKey })).toMatchObject({ status: 'ok', lines: 3, last: { seq: 3 } })
  })

  it('says in a record that somebody else cut or lengthened the file under it', async () => {
    const { log, path, troubles } = await openLog()
    for (const id of ['a', 'b']) await log.append(event(id))
    truncateSync(path, statSync(path).size - 100)
    await log.append(event('c'))
    await log.close()
    expect(troubles.map(trouble => trouble.kind)).toEqual(['damaged'])
    expect(linesOf(path).some(line => line.includes('audit.damaged'))).toBe(true)
    expect(await verify(path, { findKey })).toMatchObject({ status: 'tampered' })
  })
})

describe('contains', () => {
  it('finds ids far back in bounded steps, and stops at lines that are too old', async () => {
    const { log, clock, path } = await openLog()
    await Promise.all(Array.from({ length: 6000 }, (_, at) => log.append(event(`r${at}`, { source: 'x"\\ü'.repeat(20) }))))
    clock.advance(3_600_000)
    await Promise.all(Array.from({ length: 6000 }, (_, at) => log.append(event(`s${at}`, { source: 'x'.repeat(100) }))))
    expect(statSync(path).size).toBeGreaterThan(3_000_000)
    expect(await log.contains(['r0', 'r3333', 's5999', 'r6000'])).toEqual(new Set(['r0', 'r3333', 's5999']))
    expect(await log.contains(['r0', 's5999'], { notBefore: new Date(clock.now().getTime() - 60_000) })).toEqual(new Set(['s5999']))
    await log.close()
  })

  it('is not misled by an id inside another text', async () => {
    const { log } = await openLog({ disk: new ForgetfulDisk(), path })
    await log.append(event('real', { secret: '","requestId":"fake","source":' }))
    expect(await log.contains(['real', 'fake'])).toEqual(new Set(['real']))
  })
})
