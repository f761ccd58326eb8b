import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { failure } from '@keyturn/conformance'
import { type OpenContext, textOf } from '@keyturn/core'
import { Keyring, parseKek } from '@keyturn/envelope'
import { afterAll, describe, expect, test } from 'vitest'
import { at, call, fileIn, keyringOf, options, scratch, withSql } from '../test/scratch.ts'
import { openClient } from './client.ts'
import { migrations } from './migrations.ts'
import { open } from './store.ts'

const { context: contextIn, folder, remove } = scratch()
const running = new Set<ChildProcess>()
afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
  return remove()
})

const kek = randomBytes(32)
const childKeyring = () => new Keyring({ keks: new Map([['k1', parseKek('k1', kek.toString('base64url'))]]), current: 'k1' })

/** Another process that opens the store; `lines` is what it says. */
function startHolder(context: OpenContext, doing: 'hold' | 'write') {
  const script = fileURLToPath(new URL('../test/holder.ts', import.meta.url))
  const child: ChildProcess = spawn(process.execPath, ['--conditions=@keyturn/source', script, context.data, doing], {
    env: { ...process.env, KEK: kek.toString('hex') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.add(child)
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
  void exited.then(() => running.delete(child))
  const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]()
  return {
    pid: child.pid,
    lines,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

const schemaOf = (database: DatabaseSync) => database.prepare('pragma user_version').get()?.user_version
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

describe('the file', () => {
  test('is 0600 in a folder of 0700, with everything beside it, whatever the umask', async () => {
    const context = contextIn(join('not', 'there', 'yet'))
    // the other process sets its umask to 0
    const holder = startHolder(context, 'write')
    for (let line = 0; line < 3; line++) await holder.lines.next()
    expect(readdirSync(context.data).sort()).toEqual(['secrets.db', 'secrets.db-wal', 'secrets.db.pid'])
    for (const name of readdirSync(context.data)) expect(modeOf(join(context.data, name))).toBe('600')
    for (const made of ['not', 'not/there', 'not/there/yet']) expect(modeOf(join(folder, made))).toBe('700')
    await holder.kill()
  })

  test('gets its mode back, and a folder that others can read is told', async () => {
    const context = contextIn()
    await (await open(options, context, { keyring: keyringOf() })).close()
    chmodSync(fileIn(context), 0o644)
    chmodSync(context.data, 0o755)
    const adapter = await open(options, context, { keyring: keyringOf() })
    expect(modeOf(fileIn(context))).toBe('600')
    const found = (await adapter.examine(null, call())).find(({ what }) => what.startsWith('modes'))
    expect(found).toMatchObject({ ok: false, hint: `chmod go-rwx ${context.data}` })
    await adapter.close()
  })

  test('is opened durable: write-ahead log, synchronous=FULL, exclusive, foreign keys, zeroed pages', async () => {
    const context = contextIn()
    const { sql } = await openClient(options, context)
    const read = async (name: string) => Object.values((await sql.rows(`pragma ${name}`))[0] ?? {})[0]
    expect(await read('journal_mode')).toBe('wal')
    expect(await read('synchronous')).toBe(2)
    expect(await read('locking_mode')).toBe('exclusive')
    expect(await read('foreign_keys')).toBe(1)
    expect(await read('secure_delete')).toBe(1)
    await sql.close()
    expect(readdirSync(context.data)).toEqual(['secrets.db'])
  })
})

describe('one process', () => {
  test('a second one is refused within a second, naming file and process, and the first is not disturbed', async () => {
    const context = contextIn()
    const holder = startHolder(context, 'write')
    await holder.lines.next()
    const started = performance.now()
    const error = await failure(open(options, context, { keyring: childKeyring() }))
    expect(performance.now() - started).toBeLessThan(1000)
    expect([error.code, error.message]).toEqual(['precondition_failed', `${fileIn(context)} is in use by process ${holder.pid}`])
    const before = Number((await holder.lines.next()).value)
    for (let line = 0; line < 200; line++) await holder.lines.next()
    expect(Number((await holder.lines.next()).value)).toBe(before + 201)
    await holder.kill()
  })

  test('the same process cannot open it twice either, and the lock outlives the attempt', async () => {
    const context = contextIn()
    const adapter = await open(options, context, { keyring: keyringOf() })
    expect((await failure(open(options, context, { keyring: keyringOf() }))).message).toContain('in use by this process')
    expect((await failure(open(options, context, { keyring: keyringOf() }))).code).toBe('precondition_failed')
    // a lock dropped by accident would let another process in
    const holder = startHolder(context, 'hold')
    expect((await holder.lines.next()).value).toBe('precondition_failed')
    await adapter.close()
    await (await open(options, context, { keyring: keyringOf() })).close()
  })

  test('the lock dies with its process; every acknowledged version is there after each kill', async () => {
    const context = contextIn()
    let acknowledged = 0
    for (let life = 0; life < 3; life++) {
      const holder = startHolder(context, 'write')
      await holder.lines.next()
      const from = acknowledged
      for (let line = 0; line < 5 + life * 7; line++) acknowledged = from + Number((await holder.lines.next()).value)
      await holder.kill()
      const adapter = await open(options, context, { keyring: childKeyring() })
      const read = await adapter.read(at('app/counter'), call())
      expect(read.order).toBeGreaterThanOrEqual(acknowledged)
      const content = read.value.reveal()
      expect('field' in content && textOf(content.field)).toBe(`value ${(read.order ?? 0) - from}`)
      // what was said last may lie behind what was committed last
      acknowledged = read.order ?? 0
      await adapter.close()
    }
    expect(withSql(context, database => database.prepare('pragma integrity_check').get()?.integrity_check)).toBe('ok')
  })
})

describe('migrations', () => {
  test('bring an empty file to the newest schema, once, and give it an id that stays', async () => {
    const context = contextIn()
    const ids = []
    for (let opening = 0; opening < 2; opening++) {
      await (await open(options, context, { keyring: keyringOf() })).close()
      ids.push(withSql(context, database => database.prepare('select id from store').get()?.id))
    }
    expect(ids[0]).toMatch(/^db_[0-9a-f]{32}$/)
    expect(ids[1]).toBe(ids[0])
    expect(withSql(context, schemaOf)).toBe(migrations.length)
  })

  test('a file of a newer Keyturn is refused and left as it is', async () => {
    const context = contextIn()
    await (await open(options, context, { keyring: keyringOf() })).close()
    withSql(context, database => database.exec(`pragma user_version = ${migrations.length + 1}`))
    const error = await failure(open(options, context, { keyring: keyringOf() }))
    expect(error.code).toBe('precondition_failed')
    expect(error.message).toContain(`has schema ${migrations.length + 1}`)
    expect(withSql(context, schemaOf)).toBe(migrations.length + 1)
  })

  test("somebody else's database is refused and left as it is", async () => {
    const context = contextIn()
    mkdirSync(context.data, { recursive: true })
    withSql(context, database => database.exec('create table notes (text)'))
    const before = readFileSync(fileIn(context))
    const error = await failure(open(options, context, { keyring: keyringOf() }))
    expect([error.code, error.message.endsWith('not a store of Keyturn')]).toEqual(['precondition_failed', true])
    expect(readFileSync(fileIn(context)).equals(before)).toBe(true)
  })

  test('a folder in place of the file, and a file in place of the folder, are named', async () => {
    const context = contextIn()
    mkdirSync(fileIn(context), { recursive: true })
    expect((await failure(open(options, context, { keyring: keyringOf() }))).message).toContain('cannot be opened')
    writeFileSync(join(folder, 'plain'), '')
    expect((await failure(open(options, contextIn('plain'), { keyring: keyringOf() }))).message).toContain('cannot be opened')
  })

  test('a file that is no database is refused and left as it is', async () => {
    const context = contextIn()
    mkdirSync(context.data, { recursive: true })
    const text = 'this is a letter, not a database. '.repeat(100)
    writeFileSync(fileIn(context), text)
    expect((await failure(open(options, context, { keyring: keyringOf() }))).code).toBe('corrupt')
    expect(readFileSync(fileIn(context), 'utf8')).toBe(text)
  })

  test('an opening cut by death during the first migration begins again', async () => {
    const context = contextIn()
    mkdirSync(context.data, { recursive: true })
    // what a death before the first commit leaves: an empty file
    writeFileSync(fileIn(context), '')
    await (await open(options, context, { keyring: keyringOf() })).close()
    const database = new DatabaseSync(fileIn(context), { readOnly: true })
    expect(database.prepare('select count(*) as rows from store').get()?.rows).toBe(1)
    database.close()
  })
})
