import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SqliteDatabase } from '@keyturn/sql/sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { refused } from '../contract/subject.ts'
import { openLedger } from '../open.ts'

const clock = { now: () => new Date(), after: () => () => {} }
const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const folder = mkdtempSync(join(tmpdir(), 'keyturn-open-'))
afterAll(() => rmSync(folder, { recursive: true }))
const fresh = () => join(mkdtempSync(join(folder, 'case-')), 'data')

/** Another process with the ledger open, once it says so. */
async function holder(data: string, umask = '022'): Promise<{ readonly child: ChildProcess; readonly said: string; end(): Promise<void> }> {
  const program = join(import.meta.dirname, '../../test/holding.ts')
  const child = spawn(process.execPath, ['--conditions=@keyturn/source', program, data, umask], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise<void>(done => child.once('close', () => done()))
  const said = await new Promise<string>(done => {
    child.stdout.setEncoding('utf8').once('data', (text: string) => done(text.trim()))
    child.once('close', () => done('nothing'))
  })
  const end = async () => {
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await ended
  }
  return { child, said, end }
}

describe('a ledger that another process has open', () => {
  test('is refused within a second, naming the file and the process, even when that one stands still; once it is dead, it opens', async () => {
    const data = fresh()
    const other = await holder(data)
    try {
      expect(other.said).toBe('open')
      for (const stopped of [false, true]) {
        if (stopped) other.child.kill('SIGSTOP')
        const started = performance.now()
        const error = await refused('conflict', openLedger({ data, clock, random }))
        expect(performance.now() - started).toBeLessThan(1_000)
        expect(error.message).toBe(`ledger locked: another broker (pid ${other.child.pid}) uses ${join(data, 'ledger.db')}`)
        expect(error.detail).toEqual({ file: join(data, 'ledger.db'), pid: other.child.pid })
      }
    } finally {
      await other.end()
    }
    const ledger = await openLedger({ data, clock, random })
    await ledger.check()
    await ledger.close()
  })

  test('shuts out a second opening of the same process too, which does not loosen the lock', async () => {
    const data = fresh()
    const ledger = await openLedger({ data, clock, random })
    await refused('conflict', openLedger({ data, clock, random }))
    const other = await holder(data)
    expect(other.said).toBe('refused conflict')
    await other.end()
    await ledger.check()
    await ledger.close()
  })
})

test.each(['000', '077', '777'])('files are 0600 in a folder 0700 under umask %s', async umask => {
  const data = fresh()
  const other = await holder(data, umask)
  try {
    expect(other.said).toBe('open')
    const modes = Object.fromEntries(readdirSync(data).map(name => [name, statSync(join(data, name)).mode & 0o777]))
    expect(modes).toEqual({ 'ledger.db': 0o600, 'ledger.db-wal': 0o600, 'ledger.db.pid': 0o600 })
    expect(statSync(data).mode & 0o777).toBe(0o700)
  } finally {
    await other.end()
  }
})

test('commits are synchronous, and SQLite says so itself', async () => {
  mkdirSync(join(folder, 'settings'))
  const database = new SqliteDatabase({ file: join(folder, 'settings/ledger.db'), clock, what: 'ledger' })
  expect(database.setting('synchronous')).toBe(2)
  expect(database.setting('journal_mode')).toBe('wal')
  expect(database.setting('locking_mode')).toBe('exclusive')
  expect(database.setting('foreign_keys')).toBe(1)
  await database.close()
})

test('a full disk is unavailable, changes nothing and hides nothing that was there', async () => {
  mkdirSync(join(folder, 'full'))
  const database = new SqliteDatabase({ file: join(folder, 'full/ledger.db'), clock, what: `ledger ${join(folder, 'full/ledger.db')}` })
  await database.transaction(tx => tx.change('create table kept (value blob) strict'))
  await database.transaction(tx => tx.rows('pragma max_page_count = 40'))
  const insert = () => database.transaction(tx => tx.change('insert into kept values ($1)', [new Uint8Array(20_000)]))
  let kept = 0
  const error = await (async () => {
    for (; kept < 100; kept += 1) await insert()
  })().catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'unavailable', message: `ledger ${join(folder, 'full/ledger.db')}: the disk is full` })
  expect(await database.transaction(tx => tx.rows('select count(*) as n from kept'))).toEqual([{ n: kept }])
  await database.close()
})

test('an error of a statement shows no parameter', async () => {
  const database = new SqliteDatabase({ file: join(folder, 'marked.db'), clock, what: 'ledger' })
  await database.transaction(tx => tx.change('create table marked (value text unique check (length(value) < 30)) strict'))
  const insert = (value: string) => database.transaction(tx => tx.change('insert into marked values ($1)', [value]))
  await insert('marker-5db1')
  for (const value of ['marker-5db1', `marker-5db1-${'long'.repeat(10)}`]) {
    const error = await refused('internal', insert(value))
    expect(JSON.stringify(error) + error.message + error.stack).not.toContain('marker-5db1')
  }
  await database.close()
})

test('what is no ledger is refused and not overwritten', async () => {
  const data = fresh()
  mkdirSync(data, { recursive: true })
  writeFileSync(join(data, 'ledger.db'), 'this is no database, and somebody may need it'.repeat(50))
  const size = statSync(join(data, 'ledger.db')).size
  await refused('corrupt', openLedger({ data, clock, random }))
  expect(statSync(join(data, 'ledger.db')).size).toBe(size)
})

test('a data folder that cannot be made is unavailable, with its reason', async () => {
  const file = join(folder, 'file')
  writeFileSync(file, '')
  const error = await refused('unavailable', openLedger({ data: join(file, 'data'), clock, random }))
  expect(error.message).toContain('ENOTDIR')
})

test('transactions of many callers run one after another, and a failed one leaves nothing', async () => {
  const database = new SqliteDatabase({ file: join(folder, 'turns.db'), clock, what: 'ledger' })
  await database.transaction(tx => tx.change('create table turns (n integer) strict'))
  const tries = Array.from({ length: 20 }, (_, index) =>
    database.transaction(async tx => {
      const [row] = await tx.rows('select count(*) as n from turns')
      await new Promise(done => setImmediate(done))
      await tx.change('insert into turns values ($1)', [Number(row?.n)])
      if (index % 5 === 4) throw new Error('changed its mind')
    }),
  )
  const failed = (await Promise.allSettled(tries)).filter(({ status }) => status === 'rejected').length
  expect(failed).toBe(4)
  const rows = await database.transaction(tx => tx.rows('select n from turns order by n'))
  expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: 16 }, (_, index) => index))
  await database.close()
})
