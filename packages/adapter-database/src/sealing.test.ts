import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { failure } from '@keyturn/conformance'
import { type OpenContext, SecretValue, type Store, type StorePath, type VersionId } from '@keyturn/core'
import { Keyring, wrapsHard, wrapsSoft } from '@keyturn/envelope'
import { afterAll, describe, expect, test } from 'vitest'
import { passBesideWriter } from '../test/pass-beside-writer.ts'
import { at, collect, intent, keks, keyringOf, options, scratch, withSql } from '../test/scratch.ts'
import { open } from './store.ts'

const { context: contextIn, openStore, remove } = scratch()
afterAll(remove)

const text = SecretValue.text
const path = at('app/password')
const states = async (store: Store, path: StorePath) =>
  (await collect(store.versions(path))).map(({ version, state }) => `${version} ${state}`)
const version = (number: number) => `${number}` as VersionId

describe('KEKs', () => {
  test('a row that is written while a re-wrap goes by is skipped, and the next pass takes it', async () => {
    const keyring = keyringOf('k1', 'k2')
    const adapter = await open(options, contextIn(), { keyring })
    try {
      await passBesideWriter(adapter, keyring)
    } finally {
      await adapter.close()
    }
  })

  test('new versions go under the current one, old ones stay readable while theirs is loaded', async () => {
    const ring = keyringOf('k1', 'k2')
    const context = contextIn()
    const store = await openStore(context, ring)
    await store.write(path, text('a'), intent())
    ring.load({ keks, current: 'k2' })
    await store.write(path, text('b'), intent())
    expect((await store.read(path, { version: version(1) })).value.equals(text('a'))).toBe(true)
    await store.close()
    const used = withSql(context, database =>
      database
        .prepare('select kek_id from versions order by number')
        .all()
        .map(({ kek_id }) => kek_id),
    )
    expect(used).toEqual(['k1', 'k2'])
  })

  test('one that is missing makes only its own versions unreadable, is told with their number, and can be put back', async () => {
    const context = contextIn()
    const first = await openStore(context)
    await first.write(path, text('a'), intent())
    await first.write(path, text('b'), intent())
    await first.close()
    const ring = keyringOf('k2')
    const store = await openStore(context, ring)
    const other = at('app/other')
    await store.write(other, text('c'), intent())
    const error = await failure(store.read(path))
    expect([error.code, error.detail?.kekId]).toEqual(['unavailable', 'k1'])
    expect((await store.read(other)).value.equals(text('c'))).toBe(true)
    expect(await collect(store.list('app/'))).toEqual([other, path])
    expect(await states(store, path)).toEqual(['2 current', '1 previous'])
    expect((await store.examine(null)).filter(({ ok }) => !ok)).toEqual([
      { ok: false, what: 'KEK k1', detail: 'not loaded; closes 2 versions, unreadable until then', hint: 'put KEK k1 back' },
    ])
    ring.load({ keks, current: 'k2' })
    expect((await store.read(path)).value.equals(text('b'))).toBe(true)
    expect((await store.examine(null)).every(({ ok }) => ok)).toBe(true)
  })

  test('another key under a known id is refused when the store is opened, and when it comes later', async () => {
    const context = contextIn()
    const first = await openStore(context)
    await first.write(path, text('a'), intent())
    await first.close()
    const swapped = new Map([...keks].map(([id], at, all) => [id, all[(at + 1) % all.length]![1]]))
    const error = await failure(openStore(context, new Keyring({ keks: swapped, current: 'k1' })))
    expect([error.code, error.detail]).toEqual(['precondition_failed', { kekId: 'k1' }])
    const k3 = createSecretKey(randomBytes(32))
    const ring = new Keyring({ keks: new Map([['k3', k3]]), current: 'k3' })
    const store = await openStore(context, ring)
    const late = new Map([
      ['k3', k3],
      ['k1', createSecretKey(randomBytes(32))],
    ])
    ring.load({ keks: late, current: 'k1' })
    expect((await failure(store.write(path, text('b'), intent()))).message).toBe('KEK k1 is not the key that this store knows by that id')
    expect(await states(store, path)).toEqual(['1 current'])
  })

  test('their use is counted before it happens, and survives a restart', async () => {
    const context = contextIn()
    for (let opening = 1; opening <= 2; opening++) {
      const store = await openStore(context)
      for (let count = 0; count < 10; count++) await store.write(path, text(`${opening}/${count}`), intent())
      await store.close()
      const wraps = withSql(context, database => database.prepare("select wraps from keks where id = 'k1'").get()?.wraps)
      expect(wraps).toBe(opening * 4096)
    }
  })

  test('a worn one is told at 2^30 and closes nothing more at 2^31', async () => {
    const context = contextIn()
    const first = await openStore(context)
    await first.write(path, text('a'), intent())
    await first.close()
    withSql(context, database => database.exec(`update keks set wraps = ${wrapsSoft}`))
    const worn = await openStore(context)
    expect((await worn.examine(null)).find(({ ok }) => !ok)).toMatchObject({ what: 'KEK k1', hint: 'make a new KEK and promote it' })
    await worn.write(path, text('b'), intent())
    await worn.close()
    withSql(context, database => database.exec(`update keks set wraps = ${wrapsHard}`))
    const store = await openStore(context)
    expect((await failure(store.write(path, text('c'), intent()))).code).toBe('precondition_failed')
    expect((await store.read(path)).value.equals(text('b'))).toBe(true)
  })
})

describe('the file', () => {
  const filesOf = (context: OpenContext) => Buffer.concat(readdirSync(context.data).map(name => readFileSync(join(context.data, name))))

  test('holds no value in any form, open or closed', async () => {
    const context = contextIn()
    const store = await openStore(context)
    const canary = `canary ${randomUUID()}`
    await store.write(path, text(canary), intent())
    await store.write(at('app/set'), SecretValue.fields({ [`name ${canary}`]: canary }), intent())
    await store.stage(path, text(canary), intent())
    const look = () => {
      const bytes = filesOf(context)
      for (const form of ['utf8', 'hex', 'base64', 'utf16le'] as const) {
        const wanted =
          form === 'utf8' || form === 'utf16le' ? Buffer.from(canary, form) : Buffer.from(Buffer.from(canary).toString(form).slice(0, 40))
        expect(bytes.includes(wanted)).toBe(false)
      }
      expect(bytes.includes(path)).toBe(true)
    }
    look()
    await store.close()
    look()
  })

  test('holds nothing of a destroyed version but its row', async () => {
    const context = contextIn()
    const first = await openStore(context)
    await first.write(path, text('a'.repeat(9000)), intent())
    await first.write(path, text('b'), intent())
    await first.close()
    const row = withSql(context, database => database.prepare('select payload, wrap from versions where number = 1').get())
    const [payload, wrap] = [row?.payload, row?.wrap] as [Uint8Array, Uint8Array]
    const middle = Buffer.from(payload.subarray(4000, 4100))
    const store = await openStore(context)
    expect(filesOf(context).includes(middle)).toBe(true)
    await store.destroy(path, version(1))
    for (const part of [middle, payload.subarray(0, 77), payload.subarray(-64), wrap])
      expect(filesOf(context).includes(Buffer.from(part))).toBe(false)
    expect(await states(store, path)).toEqual(['2 current', '1 destroyed'])
  })

  test.each([
    ['another payload', "update versions set payload = x'00' where number = 1", 'a version is immutable'],
    ['another number', 'update versions set number = 9 where number = 1', 'a version is immutable'],
    ['another time', 'update versions set created_at = 0', 'a version is immutable'],
    ['half a version', 'update versions set wrap = null where number = 1', 'CHECK'],
    ['no version', 'delete from versions', 'a version is never removed'],
    ['no secret', 'delete from secrets', 'a secret is never removed'],
    ['another path', "update secrets set path = 'x'", 'a secret keeps its id and path'],
    ['two current', "update versions set label = 'current'", 'UNIQUE'],
    ['a current one that is disabled', "update versions set disabled = 1 where label = 'current'", 'CHECK'],
    ['a current one without a payload', "update versions set payload = null, wrap = null, kek_id = null where label = 'current'", 'CHECK'],
    [
      'a gap',
      "insert into versions select secret, 4, kind, null, disabled, created_at, 'x', fingerprint, kek_id, payload, wrap from versions where number = 1",
      'without gaps',
    ],
    ['a KEK in use gone', "delete from keks where id = 'k1'", 'never forgotten'],
    ['a smaller count', 'update keks set wraps = 0', 'only grows'],
    ['another fingerprint', "update keks set fingerprint = ''", 'keeps its fingerprint'],
    ['another store id', "update store set id = 'x'", 'keeps its id'],
    ['no store id', 'delete from store', 'keeps its id'],
    ['a second store id', "insert into store values (2, 'x')", 'CHECK'],
  ])('refuses by itself %s', async (_, sql, reason) => {
    const context = contextIn()
    const store = await openStore(context)
    for (const value of ['a', 'b']) await store.write(path, text(value), intent())
    await store.close()
    const run = (database: DatabaseSync) => database.exec(sql)
    expect(() => withSql(context, run)).toThrow(reason)
  })
})
