import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { failure } from '@keyturn/conformance'
import { type OpenContext, type SecretId, SecretValue, type VersionId } from '@keyturn/core'
import { EnvelopeSealer } from '@keyturn/envelope'
import { afterAll, describe, expect, test } from 'vitest'
import { at, collect, fileIn, intent, keyringOf, random, scratch, withSql } from '../test/scratch.ts'
import { migrations } from './migrations.ts'

const { context: contextIn, openStore, remove } = scratch()
afterAll(remove)

const schema = readFileSync(new URL('../test/first-schema.sql', import.meta.url), 'utf8')
const store = 'db_0123456789abcdef0123456789abcdef'
const id = (letter: string) => `sec_${letter.repeat(26)}` as SecretId
const deletion = randomUUID()

/** A store as the first schema kept it, its version number in the head of the file alone. */
function firstStore(): OpenContext {
  const context = contextIn()
  mkdirSync(context.data, { recursive: true })
  const database = new DatabaseSync(fileIn(context))
  database.exec(`${schema}; pragma application_id = ${0x4b545344}; pragma user_version = 1`)
  const insert = (table: string, row: Record<string, SQLInputValue>) =>
    database.prepare(`insert into ${table} (${Object.keys(row)}) values (${Object.keys(row).map(() => '?')})`).run(...Object.values(row))
  insert('store', { one: 1, id: store })
  for (const [index, kek] of ['k1', 'k2'].entries())
    insert('keks', { id: kek, fingerprint: keyringOf().fingerprint(kek), wraps: 4096 * (index + 1) })
  insert('secrets', { number: 7, id: id('A'), path: 'app/password', revision: 5 })
  insert('secrets', { number: 9, id: id('B'), path: 'app/gone', revision: 2, deleted_at: 1_700_000_000_000, deletion })
  const version = (kek: string, secret: number, number: number, label: string | null, text: string) => {
    const sealer = new EnvelopeSealer({ keyring: keyringOf(kek), random, store, meter: null })
    const slot = { secretId: id(secret === 7 ? 'A' : 'B'), number, kind: 'text' as const }
    const { payload, wrap } = sealer.seal(slot, SecretValue.text(text))
    const sealed = { fingerprint: Buffer.alloc(32), kek, payload, wrap }
    insert('versions', { secret, number, kind: 'text', label, created_at: 1_600_000_000_000 + number, intent: `i${number}`, ...sealed })
  }
  version('k1', 7, 1, null, 'ended')
  version('k1', 7, 2, 'previous', 'before')
  version('k2', 7, 3, 'current', 'now')
  version('k2', 7, 4, 'pending', 'next')
  version('k1', 9, 1, 'current', 'gone')
  database.exec('update versions set kek = null, payload = null, wrap = null where secret = 7 and number = 1')
  database.close()
  return context
}

describe('a file of the first schema', () => {
  test('opens, is brought to the newest, and keeps everything', async () => {
    const context = firstStore()
    const opened = await openStore(context)
    const path = at('app/password')
    const read = await opened.read(path)
    expect([read.value.equals(SecretValue.text('now')), read.etag, read.createdAt.getTime()]).toEqual([true, 'r5', 1_600_000_000_003])
    expect((await opened.read(path, { version: '2' as VersionId })).value.equals(SecretValue.text('before'))).toBe(true)
    const told = (await collect(opened.versions(path))).map(({ version, state }) => `${version} ${state}`)
    expect(told).toEqual(['4 pending', '3 current', '2 previous', '1 destroyed'])
    expect((await opened.read(path, { version: '4' as VersionId })).value.equals(SecretValue.text('next'))).toBe(true)
    expect((await failure(opened.read(at('app/gone')))).message).toBe('app/gone was deleted at 2023-11-14T22:13:20.000Z')
    await opened.delete(at('app/gone'), { ...intent(), idempotencyKey: deletion })
    expect((await failure(opened.write(path, SecretValue.text('x'), { ...intent(), idempotencyKey: 'i3' }))).code).toBe('conflict')
    expect((await opened.examine(null)).filter(({ what }) => what.startsWith('KEK')).map(({ detail }) => detail)).toEqual([
      'closes 2 versions',
      'closes 2 versions',
    ])
    expect((await opened.write(path, SecretValue.text('after'), intent())).version).toBe('5')
    await opened.close()
    withSql(context, database => {
      const all = (sql: string) =>
        database
          .prepare(sql)
          .all()
          .map(row => Object.values(row))
      expect(all('select id from store')).toEqual([[store]])
      expect(all('select id, wraps from keks order by id')).toEqual([
        ['k1', 4096 * 2],
        ['k2', 8192],
      ])
      expect(all('pragma user_version')).toEqual([[migrations.length]])
      expect(all("select name from sqlite_schema where type = 'table' and name glob '*_1'")).toEqual([])
      expect(all('pragma integrity_check')).toEqual([['ok']])
      expect(all('pragma foreign_key_check')).toEqual([])
    })
  })

  test('of another KEK under a known id is refused all the same', async () => {
    const context = firstStore()
    withSql(context, database => database.exec("drop trigger keks_count_up; update keks set fingerprint = 'other' where id = 'k1'"))
    expect((await failure(openStore(context))).message).toBe('KEK k1 is not the key that this store knows by that id')
  })

  test('that cannot be brought to the newest is left as it was', async () => {
    const context = firstStore()
    const look = () =>
      withSql(context, database =>
        database
          .prepare('select * from sqlite_schema order by name')
          .all()
          .map(row => JSON.stringify(row)),
      )
    // in the way of a table of the newest schema
    withSql(context, database => database.exec('create table passes (id text)'))
    const before = look()
    expect((await failure(openStore(context))).message).toContain('cannot be opened')
    expect(look()).toEqual(before)
    withSql(context, database => database.exec('drop table passes'))
    expect((await (await openStore(context)).read(at('app/password'))).order).toBe(3)
  })
})
