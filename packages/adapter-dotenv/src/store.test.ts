import { createSecretKey } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failure, seededRandom, testContext, wallClock } from '@keyturn/conformance'
import { type Etag, SecretValue, Store, type StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { open } from './index.ts'

const at = (path: string) => path as StorePath
const text = (value: string) => SecretValue.text(value)
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-dotenv-store-'))
  file = join(folder, '.env')
})

afterEach(() => rm(folder, { recursive: true, force: true }))

function openStore(names: 'same' | 'kebab' = 'same', key = 1): Store {
  const context = { clock: wallClock, random: seededRandom('store'), etagKey: createSecretKey(Buffer.alloc(32, key)), data: folder }
  return new Store(open({ file, names }, context), { name: 'local', clock: wallClock, timeoutMs: 30_000 })
}

describe('a version', () => {
  test('is named by 16 hex characters that depend on the key, the variable and the value, and on nothing else', async () => {
    const store = openStore()
    const first = await store.write(at('A'), text('one'), intent())
    expect(first.version).toMatch(/^[0-9a-f]{16}$/)
    expect((await store.write(at('B'), text('one'), intent())).version).not.toBe(first.version)
    expect((await store.write(at('A'), text('two'), intent())).version).not.toBe(first.version)
    expect((await store.write(at('A'), text('one'), intent())).version).toBe(first.version)
    expect((await openStore('same', 2).read(at('A'))).version).not.toBe(first.version)
    await writeFile(file, 'A="one" # quoted by hand\n')
    expect((await store.read(at('A'))).version).toBe(first.version)
  })

  test('is gone once it is overwritten', async () => {
    const store = openStore()
    const { version } = await store.write(at('A'), text('one'), intent())
    await store.write(at('A'), text('two'), intent())
    expect((await failure(store.read(at('A'), { version }))).message).toContain('keeps the current one only')
  })

  test('is dated by the file', async () => {
    const wrote = await openStore().write(at('A'), text('one'), intent())
    expect((await openStore().read(at('A'))).createdAt).toEqual(wrote.createdAt)
  })
})

describe('errors say what and why, and no value', () => {
  test('an absent variable, an absent file', async () => {
    expect((await failure(openStore().read(at('A')))).message).toContain('does not exist, so it has no A')
    await writeFile(file, 'B=secret-value\n')
    expect((await failure(openStore().read(at('A')))).message).toContain('has no variable A')
  })

  test('a change in between', async () => {
    await writeFile(file, 'A=secret-value\n')
    const error = await failure(openStore().write(at('A'), text('new-secret'), { ...intent(), ifMatch: 'stale' as Etag }))
    expect(error).toMatchObject({ code: 'conflict', hint: 'read it again' })
    expect(await readFile(file, 'utf8')).toBe('A=secret-value\n')
  })

  test('a quote that is not closed', async () => {
    await writeFile(file, "OPEN='secret-value\n")
    const error = await failure(openStore().write(at('A'), text('# "x"'), intent()))
    expect(error.code).toBe('precondition_failed')
    expect(error.hint).toContain('quote that is not closed')
    expect(JSON.stringify(error)).not.toContain('secret-value')
    expect(await readFile(file, 'utf8')).toBe("OPEN='secret-value\n")
  })

  test('a value that not every parser could read', async () => {
    const error = await failure(openStore().write(at('A'), text(`secret ' and "`), intent()))
    expect(error).toMatchObject({ code: 'invalid_argument', detail: { reason: 'not_representable' } })
    expect(error.message).not.toContain('secret')
  })

  test('a name that not every parser could read', async () => {
    await writeFile(file, 'app.key=1\n')
    const store = openStore()
    expect((await store.read(at('app.key'))).value.equals(text('1'))).toBe(true)
    expect((await failure(store.write(at('app.key'), text('2'), intent()))).code).toBe('invalid_argument')
  })
})

describe('examining', () => {
  test('tells an absent file, a misspelt variable and one that has no name', async () => {
    expect(await openStore().examine(null)).toMatchObject([{ ok: false, detail: 'it does not exist' }])
    await writeFile(file, 'DATABASE_URL=x\nA=1\nA=2\ntest-secret=y\n', { mode: 0o600 })
    const found = await openStore('kebab').examine(at('DATABASE_URl'))
    expect(found).toMatchObject([
      { ok: true, what: `file ${file}` },
      { ok: true, what: 'variable A', detail: 'it is set more than once; the last one counts' },
      { ok: false, what: 'variable test-secret', hint: expect.stringContaining('TEST_SECRET') },
      { ok: false, what: 'variable DATABASE_URl', hint: 'did you mean DATABASE_URL?' },
    ])
  })

  test.each([
    [0o600, undefined],
    [0o644, 'others on this machine can read or write it'],
    [0o400, 'read-only: values can be read, not written'],
  ])('says who can read a file of mode %o', async (mode, detail) => {
    await writeFile(file, 'A=1\n', { mode })
    expect((await openStore().examine(at('A')))[0]?.detail).toBe(detail)
  })
})

describe('a section that says readOnly', () => {
  test('serves the file and leaves it, and its folder, as they are', async () => {
    await writeFile(file, 'A=one\n')
    const context = testContext('store', { data: folder })
    const store = new Store(open({ file, names: 'same', readOnly: true }, context), { name: 'local', clock: wallClock, timeoutMs: 30_000 })
    expect((await store.read(at('A'))).value.equals(text('one'))).toBe(true)
    expect(await failure(store.write(at('A'), text('two'), intent()))).toMatchObject({ code: 'unsupported' })
    expect(await failure(store.delete(at('A'), intent()))).toMatchObject({ code: 'unsupported' })
    expect(await readFile(file, 'utf8')).toBe('A=one\n')
    expect(await readdir(folder)).toEqual(['.env'])
  })
})
