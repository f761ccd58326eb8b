import { createSecretKey, randomBytes } from 'node:crypto'
import { failure } from '@keyturn/conformance'
import { SecretValue, type Store, type StorePath, type VersionId } from '@keyturn/core'
import { afterAll, describe, expect, test } from 'vitest'
import { at, collect, intent, scratch } from '../test/scratch.ts'

const { context: contextIn, openStore, openUnsynced, remove } = scratch()
afterAll(remove)

const text = SecretValue.text
const path = at('app/password')
const states = async (store: Store, path: StorePath) =>
  (await collect(store.versions(path))).map(({ version, state }) => `${version} ${state}`)
const version = (number: number) => `${number}` as VersionId

describe('versions', () => {
  test('are numbered from 1 without gaps, staged ones among them, and one is current', async () => {
    const store = await openStore()
    expect((await store.write(path, text('a'), intent())).version).toBe('1')
    expect((await store.stage(path, text('b'), intent())).version).toBe('2')
    expect((await store.write(path, text('c'), intent())).version).toBe('3')
    await failure(store.write(path, text('d'), { ...intent(), ifMatch: null }))
    expect((await store.stage(path, text('e'), intent())).order).toBe(4)
    expect(await states(store, path)).toEqual(['4 pending', '3 current', '2 pending', '1 previous'])
    await store.promote(path, { from: version(3), to: version(4) })
    expect(await states(store, path)).toEqual(['4 current', '3 previous', '2 pending', '1 older'])
  })

  test('can become current again; no etag ever comes back', async () => {
    const store = await openStore()
    await store.write(path, text('a'), intent())
    await store.write(path, text('b'), intent())
    const etags = new Set<string>()
    for (const [from, to] of [
      [2, 1],
      [1, 2],
      [2, 1],
    ] as const) {
      etags.add((await store.read(path)).etag)
      await store.promote(path, { from: version(from), to: version(to) })
    }
    etags.add((await store.read(path)).etag)
    expect(etags.size).toBe(4)
    expect(await states(store, path)).toEqual(['2 previous', '1 current'])
  })

  test('a disabled or destroyed one cannot become current', async () => {
    const store = await openStore()
    await store.write(path, text('a'), intent())
    const [withheld, ended] = [await store.stage(path, text('b'), intent()), await store.stage(path, text('c'), intent())]
    await store.disable(path, withheld.version)
    await store.destroy(path, ended.version)
    for (const { version } of [withheld, ended]) {
      expect((await failure(store.promote(path, { from: '1' as VersionId, to: version }))).code).toBe('precondition_failed')
    }
    expect(await states(store, path)).toEqual(['3 destroyed', '2 disabled', '1 current'])
    expect((await failure(store.enable(path, ended.version))).code).toBe('precondition_failed')
  })

  test('more than a page of them are told, each once, newest first', async () => {
    const store = await openUnsynced()
    for (let count = 0; count < 300; count++) await store.stage(path, text(`${count}`), intent())
    expect((await collect(store.versions(path))).map(({ order }) => order)).toEqual(Array.from({ length: 300 }, (_, at) => 300 - at))
  })

  test('a secret with only staged versions is not there for readers, and its first promotion comes from none', async () => {
    const store = await openStore()
    const staged = await store.stage(path, text('a'), intent())
    const error = await failure(store.read(path))
    expect([error.code, error.hint]).toEqual(['not_found', 'promote a staged version, or write one'])
    expect(await collect(store.list(''))).toEqual([])
    await store.promote(path, { from: null, to: staged.version })
    expect((await store.read(path)).value.equals(text('a'))).toBe(true)
    expect(await collect(store.list(''))).toEqual([path])
  })

  test('ids that are no numbers are not found', async () => {
    const store = await openStore()
    await store.write(path, text('a'), intent())
    for (const id of ['0', '01', '-1', '1.0', '2', 'x', '', '99999999999999999999', '1 or 1=1']) {
      expect((await failure(store.read(path, { version: id as VersionId }))).code).toBe('not_found')
    }
  })
})

describe('one value or a set of fields', () => {
  test('stays what was first written, with the fix in the hint; text and bytes are one form', async () => {
    const store = await openStore()
    const fields = SecretValue.fields({ password: 'a' })
    await store.write(path, text('a'), intent())
    await store.write(path, SecretValue.bytes(Buffer.of(0, 255)), intent())
    for (const call of [store.write(path, fields, intent()), store.stage(path, fields, intent())]) {
      const error = await failure(call)
      expect(error.code).toBe('invalid_argument')
      expect(error.hint).toContain('delete the secret and write it anew')
    }
    await store.write(at('app/set'), fields, intent())
    expect((await failure(store.write(at('app/set'), text('a'), intent()))).message).toBe(
      'app/set is a set of fields, as it was first written',
    )
    await store.delete(path, intent())
    expect((await store.write(path, fields, intent())).version).toBe('3')
  })

  test('one unnamed JSON member is refused before anything is written', async () => {
    const store = await openStore()
    expect((await failure(store.write(path, SecretValue.decode(Buffer.from('{"j":"1"}')), intent()))).code).toBe('invalid_argument')
    expect((await failure(collect(store.versions(path)))).code).toBe('not_found')
  })
})

describe('deletion', () => {
  test('keeps the versions, goes on with their numbers, and says when it was', async () => {
    const store = await openStore()
    await store.write(path, text('a'), { ...intent(), ifMatch: null })
    await store.delete(path, intent())
    const error = await failure(store.read(path))
    expect(error.message).toMatch(/^app\/password was deleted at 20/)
    expect(error.hint).toContain('restore')
    expect(await collect(store.list('app/'))).toEqual([])
    expect((await failure(store.stage(path, text('b'), intent()))).code).toBe('precondition_failed')
    expect((await failure(store.delete(path, intent()))).code).toBe('not_found')
    const made = await store.write(path, text('b'), { ...intent(), ifMatch: null })
    expect(made.version).toBe('2')
    expect((await store.read(path, { version: version(1) })).value.equals(text('a'))).toBe(true)
  })

  test('one intent deletes once, also when the secret came back in between', async () => {
    const store = await openStore()
    await store.write(path, text('a'), intent())
    const once = intent()
    await store.delete(path, once)
    await store.delete(path, once)
    await store.restore(path)
    await store.delete(path, once)
    expect((await store.read(path)).version).toBe('1')
  })

  test('what was never there cannot be restored', async () => {
    expect((await failure((await openStore()).restore(path))).code).toBe('not_found')
  })
})

describe('an intent', () => {
  test('is remembered across a restart, with its own answer', async () => {
    const context = contextIn()
    const first = await openStore(context)
    const once = { ...intent(), ifMatch: null }
    await first.write(path, text('a'), once)
    await first.write(path, text('b'), intent())
    await first.close()
    const store = await openStore(context)
    expect(await store.write(path, text('a'), once)).toMatchObject({ version: '1', state: 'previous' })
    expect((await failure(store.write(path, text('A'), once))).code).toBe('conflict')
    expect((await failure(store.stage(path, text('a'), once))).code).toBe('conflict')
    expect(await states(store, path)).toEqual(['2 current', '1 previous'])
  })

  test('belongs to its secret', async () => {
    const store = await openStore()
    const once = intent()
    await store.write(path, text('a'), once)
    expect((await store.write(at('app/other'), text('b'), once)).version).toBe('1')
  })

  test('is known by a keyed fingerprint: under another key the same value is another one', async () => {
    const context = contextIn()
    const first = await openStore(context)
    const once = intent()
    await first.write(path, text('weak'), once)
    await first.close()
    const store = await openStore({ ...context, etagKey: createSecretKey(randomBytes(32)) })
    expect((await failure(store.write(path, text('weak'), once))).code).toBe('conflict')
  })
})

test('a list starts, ends and goes on at the right places whatever the names', async () => {
  const store = await openStore()
  const names = ['a', 'a/b', 'a/b/c', 'a-b', 'ab', 'aé', 'a\u{1f511}', 'a\uffee', 'b', 'A', 'é', '%', '_a'].filter(name => name !== '%')
  for (const name of names) await store.write(at(name), text('x'), intent())
  for (const prefix of ['', 'a', 'a/', 'a/b', 'b', 'c', 'é', 'a\u{1f511}', '_']) {
    const listed = await collect(store.list(prefix))
    expect([...listed].sort()).toEqual(names.filter(name => name.startsWith(prefix)).sort())
  }
})

test('a list goes on over a page while secrets come and go', async () => {
  const store = await openUnsynced()
  const name = (at: number) => `app/${String(at).padStart(4, '0')}`
  for (let count = 0; count < 600; count++) await store.write(at(name(count)), text('x'), intent())
  const listed: string[] = []
  for await (const path of store.list('app/')) {
    listed.push(path)
    if (listed.length === 100) {
      await store.delete(at(name(50)), intent())
      await store.delete(at(name(500)), intent())
      await store.write(at('app/0000a'), text('x'), intent())
    }
  }
  expect(listed).toEqual(Array.from({ length: 600 }, (_, at) => name(at)).filter(path => path !== name(500)))
})
