import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BackupRecord } from '@keyturn/ledger'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { unfinishedName } from './bundle-file.ts'
import { readLine } from './bundle-line.ts'
import { type BundleItem, keysOf, readBundle, readHeader } from './bundle-reader.ts'
import { Bundles } from './bundles.ts'
import { Shelf } from './shelf.fixture.ts'

let shelf: Shelf
beforeEach(() => {
  shelf = new Shelf()
})
afterEach(() => shelf.close())

async function read(file: string) {
  const header = await readHeader(file)
  const items: BundleItem[] = []
  const end = await readBundle(file, keysOf(shelf.parts, file, header), item => void items.push(item))
  const damage = items.flatMap(item => ('damage' in item ? [item.damage] : []))
  const versions = items.flatMap(item => ('version' in item ? [item.version] : []))
  return { header, end, damage, versions }
}

async function made(): Promise<BackupRecord> {
  await shelf.put('app/one', ['1a', '1b', '1c'], { disabled: [2] })
  await shelf.put('app/two', ['2a'])
  return shelf.bundles.create({ reason: 'to see' })
}

describe('a bundle', () => {
  test('holds every version as it is in the store, and is private, registered and counted', async () => {
    const backup = await made()
    expect(backup).toMatchObject({ reason: 'to see', versions: 4, keks: { v1: 5 }, bytes: statSync(backup.file).size })
    expect(backup.keepUntil).toEqual(new Date(shelf.nowMs + 30 * 86_400_000))
    expect([statSync(backup.file).mode & 0o777, statSync(shelf.bundles.folder).mode & 0o777]).toEqual([0o600, 0o700])
    expect(readdirSync(shelf.bundles.folder)).toEqual([`${backup.id}.jsonl`])
    const { header, end, damage, versions } = await read(backup.file)
    expect(header).toMatchObject({ id: backup.id, reason: 'to see', stores: [{ id: shelf.store, section: 'database' }], generation: 1 })
    expect(damage).toEqual([])
    expect([end.bytes, end.sha256, end.trailer?.secrets]).toEqual([backup.bytes, backup.sha256, 2])
    expect(versions.map(({ path, number, label, disabled }) => [path, number, label, disabled])).toEqual([
      ['app/one', 1, null, false],
      ['app/one', 2, 'previous', true],
      ['app/one', 3, 'current', false],
      ['app/two', 1, 'current', false],
    ])
    expect(versions.map(({ sealed }) => sealed?.payload)).toEqual(
      shelf.secrets.flatMap(({ versions: all }) => all.map(({ sealed }) => Buffer.from(sealed?.payload ?? []).toString('base64url'))),
    )
  })

  test('is not there when it could not be made whole', async () => {
    await shelf.put('app/one', ['1a'])
    shelf.onDump = () => {
      throw new Error('the store went away')
    }
    await expect(shelf.bundles.create({ reason: '' })).rejects.toThrow('the store went away')
    expect(readdirSync(shelf.bundles.folder)).toEqual([])
    expect(await shelf.bundles.list()).toEqual([])
  })

  test('is refused in a folder that cannot be written, with the reason of the system', async () => {
    await shelf.put('app/one', ['1a'])
    writeFileSync(shelf.bundles.folder, '')
    await expect(shelf.bundles.create({ reason: '' })).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('that was changed in any byte is refused, or the line is named', async () => {
    await shelf.put('a', ['1', '2'])
    const { file } = await shelf.bundles.create({ reason: '' })
    const whole = readFileSync(file)
    const changed = (bytes: Buffer, at: number) => bytes.with(at, (bytes[at] ?? 0) ^ (1 << (at % 8)))
    const starts = [0, ...[...whole.entries()].flatMap(([at, byte]) => (byte === 10 ? [at + 1] : []))]
    const keys = keysOf(shelf.parts, file, await readHeader(file))
    for (const [n, start] of starts.slice(0, -1).entries()) {
      const line = whole.subarray(start, (starts[n + 1] ?? 0) - 1)
      expect(readLine(keys, line)).toMatchObject({ n: n + 1 })
      for (let at = 0; at < line.length; at++) if (readLine(keys, changed(line, at)) !== undefined) expect.fail(`line ${n + 1}, byte ${at}`)
    }
    // of the file every line feed, and of the rest a sample: what a changed line is, its reader has shown
    for (const [at] of [...whole.entries()].filter(([each, byte]) => byte === 10 || each % 19 === 0)) {
      writeFileSync(file, changed(whole, at))
      const outcome = await read(file).catch((error: { code?: string }) => error)
      const line = starts.filter(start => start <= at).length
      if ('damage' in outcome) expect([at, outcome.damage.map(each => each.line)]).toEqual([at, expect.arrayContaining([line])])
      else expect([at, ['corrupt', 'unsupported', 'unavailable']]).toEqual([at, expect.arrayContaining([outcome.code])])
    }
  })

  test('that was cut anywhere says so', async () => {
    const { file } = await made()
    const whole = readFileSync(file)
    const feeds = [...whole.entries()].flatMap(([at, byte]) => (byte === 10 ? [at] : []))
    const cuts = feeds.flatMap((feed, n) => [feed, feed + 1, feed + 2, Math.floor((feed + (feeds[n + 1] ?? feed)) / 2)])
    for (const length of cuts.filter(each => each > (feeds[0] ?? 0) && each < whole.length)) {
      writeFileSync(file, whole.subarray(0, length))
      expect((await read(file)).damage).not.toEqual([])
    }
  })

  test('whose lines were removed, doubled, swapped or added to names the place', async () => {
    const { file } = await made()
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
    const arranged = async (order: readonly number[]) => {
      writeFileSync(file, order.map(n => `${lines[n - 1]}\n`).join(''))
      return (await read(file)).damage.map(({ line, why }) => `${line}: ${why}`)
    }
    expect(lines.length).toBe(6)
    expect(await arranged([1, 2, 3, 4, 5, 6])).toEqual([])
    expect(await arranged([1, 2, 4, 5, 6])).toEqual(['3: it is missing'])
    expect(await arranged([1, 4, 5, 6])).toEqual(['2: it and all up to line 3 are missing'])
    expect(await arranged([1, 2, 2, 3, 4, 5, 6])).toEqual(['2: it is here twice, or out of its place'])
    expect(await arranged([1, 2, 4, 3, 5, 6])).toEqual(['3: it is missing', '3: it is here twice, or out of its place'])
    expect(await arranged([1, 2, 3, 4, 5])).toEqual(['6: the end of the bundle is missing'])
    expect(await arranged([1, 2, 3, 4, 5, 6, 6])).toEqual(['7: it stands behind the end'])
  })

  test('takes no line of another bundle', async () => {
    const { file } = await made()
    const other = await shelf.bundles.create({ reason: 'another' })
    const [mine, theirs] = [file, other.file].map(each => readFileSync(each, 'utf8').split('\n'))
    writeFileSync(file, [...(mine ?? []).slice(0, 2), theirs?.[2], ...(mine ?? []).slice(3)].join('\n'))
    expect((await read(file)).damage.map(({ line }) => line)).toEqual([3])
    writeFileSync(file, [theirs?.[0], ...(mine ?? []).slice(1)].join('\n'))
    expect((await read(file)).damage.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7])
  })

  test('of any arrangement of its lines but its own is never whole', async () => {
    const { file } = await made()
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
    const own = lines.map((_, at) => at)
    const arrangement = fc.array(fc.integer({ min: 1, max: lines.length - 1 }), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(arrangement, async rest => {
        const order = [0, ...rest]
        writeFileSync(file, order.map(at => `${lines[at]}\n`).join(''))
        const { damage } = await read(file)
        expect(damage.length === 0).toBe(order.join() === own.join())
      }),
      { numRuns: 60 },
    )
  })

  test('names the KEK that seals it when that is not loaded, or is another key by its id', async () => {
    const { file } = await made()
    const fingerprint = shelf.keyring.fingerprint('v1')
    shelf.hold('v2')
    await expect(read(file)).rejects.toMatchObject({ code: 'unavailable', detail: { kekId: 'v1', fingerprint } })
  })
})

describe('the bundle that an operation begins after', () => {
  const id = 'bak_0123456789ABCDEFGHJKMNPQRS'
  const make = (of = shelf) => of.bundles.create({ reason: 'before', id })

  test('is made once, however often it is asked for', async () => {
    await shelf.put('app/one', ['1'])
    const first = await make()
    await shelf.put('app/two', ['2'])
    expect(await make()).toEqual(first)
    expect([first.id, (await shelf.bundles.list()).length]).toEqual([id, 1])
  })

  test('that a death left whole and not registered is registered; a half one is made again', async () => {
    await shelf.put('app/one', ['1'])
    const first = await make()
    await shelf.ledger.backups.remove(id)
    expect(await make()).toMatchObject({ id, sha256: first.sha256 })
    await shelf.ledger.backups.remove(id)
    writeFileSync(first.file, readFileSync(first.file).subarray(0, 700))
    const again = await make()
    expect((await read(again.file)).end.sha256).toBe(again.sha256)
  })

  test.each(['a folder of its own', 'the same folder'])(
    'made by two brokers at once, each in %s, is there once, and its row is right',
    async where => {
      await shelf.put('app/one', ['1'])
      const folder = where === 'the same folder' ? shelf.parts.folder : join(shelf.folder, 'other')
      const other = new Bundles({ ...shelf.parts, folder })
      let release: () => void = () => undefined
      const both = new Promise<void>(resolve => {
        release = resolve
      })
      let waiting = 0
      const add = shelf.ledger.backups.add.bind(shelf.ledger.backups)
      Object.assign(shelf.ledger.backups, {
        add: async (row: Parameters<typeof add>[0]) => {
          waiting += 1
          if (waiting === 2) release()
          await both
          return add(row)
        },
      })
      const first = make()
      // in one folder the other one finds it written, and not yet registered
      if (where === 'the same folder') await vi.waitUntil(() => waiting === 1)
      const [one, two] = await Promise.all([first, other.create({ reason: 'before', id })])
      expect([one.id, two.id]).toEqual([id, id])
      const [row, ...more] = await shelf.bundles.list()
      expect([more, row?.isThere]).toEqual([[], true])
      expect((await read(row?.file ?? '')).end.sha256).toBe(row?.sha256)
      const files = [shelf.parts.folder, folder].flatMap(each => readdirSync(each).map(name => join(each, name)))
      expect([...new Set(files)]).toEqual([row?.file])
    },
  )

  test('that is called off leaves nothing', async () => {
    const end = new AbortController()
    await shelf.put('app/one', ['1'])
    shelf.onDump = () => end.abort()
    await expect(shelf.bundles.create({ reason: '', id, signal: end.signal })).rejects.toThrow(/abort/)
    expect([readdirSync(shelf.bundles.folder), await shelf.bundles.list()]).toEqual([[], []])
  })
})

describe('the folder', () => {
  test('at start: half bundles that nobody writes go, those of others stay, whole ones are registered', async () => {
    const backup = await made()
    await shelf.ledger.backups.remove(backup.id)
    const { folder } = shelf.bundles
    const dead = unfinishedName('bak_00000000000000000000000000')
    const elsewhere = '.bak_00000000000000000000000001.another-host.77'
    const foreign = 'bak_00000000000000000000000002.jsonl'
    for (const name of [dead, elsewhere, foreign, 'notes.txt']) writeFileSync(join(folder, name), '{}\n')
    shelf.nowMs = Date.now()
    await shelf.bundles.settle()
    expect(readdirSync(folder).sort()).toEqual([elsewhere, foreign, `${backup.id}.jsonl`, 'notes.txt'].sort())
    const [again] = await shelf.bundles.list()
    expect(again).toMatchObject({ id: backup.id, sha256: backup.sha256, keks: backup.keks, isThere: true })
    shelf.nowMs = Date.now() + 2 * 86_400_000
    await shelf.bundles.settle()
    expect(existsSync(join(folder, elsewhere))).toBe(false)
    expect((await shelf.bundles.list()).length).toBe(1)
  })

  test('a bundle of another deployment is nobody of ours', async () => {
    const backup = await made()
    const other = new Shelf('other')
    try {
      await other.put('app/x', ['x'])
      const theirs = await other.bundles.create({ reason: '' })
      renameSync(theirs.file, join(shelf.bundles.folder, `${theirs.id}.jsonl`))
      await shelf.bundles.settle()
      expect((await shelf.bundles.list()).map(({ id }) => id)).toEqual([backup.id])
    } finally {
      other.close()
    }
  })

  test('what has expired goes, and never the newest', async () => {
    await shelf.put('app/one', ['1'])
    const first = await shelf.bundles.create({ reason: 'first' })
    const kept = await shelf.bundles.create({ reason: 'kept', keepMs: null })
    const last = await shelf.bundles.create({ reason: 'last' })
    shelf.nowMs += 31 * 86_400_000
    expect(await shelf.bundles.removeExpired()).toBe(1)
    expect((await shelf.bundles.list()).map(({ id }) => id)).toEqual([kept.id, last.id])
    expect([first, kept, last].map(({ file }) => existsSync(file))).toEqual([false, true, true])
    expect(await shelf.bundles.removeExpired()).toBe(0)
  })
})

describe('renewal', () => {
  const signal = new AbortController().signal
  const opened = async (file: string) => {
    const { versions } = await read(file)
    return versions.map(({ sealed }) => sealed?.kek)
  }

  test('over two generations: what was closed under the first needs it until it is renewed', async () => {
    await shelf.put('app/one', ['1a', '1b'])
    const old = await shelf.bundles.create({ reason: 'under v1' })
    shelf.hold('v2', 'v1')
    await shelf.put('app/two', ['2a'])
    const mixed = await shelf.bundles.create({ reason: 'under both' })
    expect(mixed.keks).toEqual({ v1: 2, v2: 2 })
    shelf.hold('v2')
    await expect(read(old.file)).rejects.toMatchObject({ detail: { kekId: 'v1' } })
    expect(await shelf.bundles.renew({ kind: 'rewrap', pass: 'op_1', toKek: 'v2', signal })).toMatchObject({
      done: 0,
      failed: 5,
      bundles: 2,
    })

    shelf.hold('v2', 'v1')
    expect(await shelf.bundles.renew({ kind: 'rewrap', pass: 'op_2', toKek: 'v2', signal })).toEqual({
      bundles: 2,
      done: 4,
      failed: 0,
      notes: [],
    })
    shelf.hold('v2')
    expect((await shelf.bundles.list()).map(({ keks }) => keks)).toEqual([{ v2: 3 }, { v2: 4 }])
    expect(await opened(old.file)).toEqual(['v2', 'v2'])
    expect((await read(mixed.file)).damage).toEqual([])
    expect(await shelf.bundles.renew({ kind: 'rewrap', pass: 'op_3', toKek: 'v2', signal })).toMatchObject({ done: 0, failed: 0 })
    for (const { sha256, bytes } of await shelf.bundles.list()) expect([sha256.length, bytes > 0]).toEqual([64, true])
  })

  test('of a damaged bundle leaves it as it is, and says which line', async () => {
    const { file, id } = await made()
    const text = readFileSync(file, 'utf8').replace('app/two', 'app/tvo')
    writeFileSync(file, text)
    shelf.hold('v2', 'v1')
    const renewed = await shelf.bundles.renew({ kind: 'rewrap', pass: 'op_1', toKek: 'v2', signal })
    expect(renewed).toMatchObject({ done: 0, failed: 5, notes: [expect.stringContaining('line 5')] })
    expect(renewed.notes[0]).toContain(id)
    expect(readFileSync(file, 'utf8')).toBe(text)
    expect(readdirSync(shelf.bundles.folder).filter(name => name !== '.renewal.lock')).toEqual([`${id}.jsonl`])
  })

  test('as re-encryption leaves no old ciphertext, and once done is not done again', async () => {
    const { file } = await made()
    const before = (await read(file)).versions.map(({ sealed }) => sealed?.payload)
    shelf.hold('v2', 'v1')
    expect(await shelf.bundles.renew({ kind: 'reencrypt', pass: 'op_1', toKek: 'v2', signal })).toMatchObject({ done: 4, failed: 0 })
    const after = (await read(file)).versions.map(({ sealed }) => sealed?.payload)
    expect(after.filter(payload => before.includes(payload))).toEqual([])
    const whole = readFileSync(file)
    expect(await shelf.bundles.renew({ kind: 'reencrypt', pass: 'op_1', toKek: 'v2', signal })).toMatchObject({ done: 0, failed: 0 })
    expect(readFileSync(file).equals(whole)).toBe(true)
  })

  test('by several brokers of a machine is done once', async () => {
    await made()
    const after = (_: number, run: () => void) => {
      const soon = setImmediate(run)
      return () => clearImmediate(soon)
    }
    const clock = { ...shelf.parts.clock, after }
    shelf.hold('v2', 'v1')
    const brokers = [1, 2, 3].map(() => new Bundles({ ...shelf.parts, clock }))
    const renewed = await Promise.all(brokers.map(bundles => bundles.renew({ kind: 'reencrypt', pass: 'op_1', toKek: 'v2', signal })))
    expect(renewed.map(({ done }) => done).sort()).toEqual([0, 0, 4])
    expect(renewed.flatMap(({ notes }) => notes)).toEqual([])
    const [backup] = await shelf.bundles.list()
    expect(backup?.keks).toEqual({ v2: 5 })
    expect(await read(backup?.file ?? '')).toMatchObject({ header: { generation: 2 }, damage: [] })
  })

  test('after a death between the file and its row, the row is set right', async () => {
    const { id } = await made()
    shelf.hold('v2', 'v1')
    const { renew } = shelf.ledger.backups
    Object.assign(shelf.ledger.backups, { renew: () => Promise.reject(new Error('killed')) })
    await expect(shelf.bundles.renew({ kind: 'rewrap', pass: 'op_1', toKek: 'v2', signal })).rejects.toThrow('killed')
    Object.assign(shelf.ledger.backups, { renew })
    expect((await shelf.bundles.list())[0]?.keks).toEqual({ v1: 5 })
    await shelf.bundles.renew({ kind: 'rewrap', pass: 'op_1', toKek: 'v2', signal })
    expect((await shelf.bundles.list())[0]).toMatchObject({ id, keks: { v2: 5 } })
  })
})

test('a line reads without a key as it stands, and with one only if it is whole', async () => {
  const { file } = await made()
  const line = readFileSync(file).subarray(0, readFileSync(file).indexOf(10))
  expect(readLine(null, line)).toMatchObject({ n: 1, content: { format: 'keyturn-backup/1' } })
  expect(readLine(keysOf(shelf.parts, file, await readHeader(file)), line)).toMatchObject({ n: 1 })
  expect(readLine(null, Buffer.from('{}'))).toBeUndefined()
})
