import { SecretValue, type StoreAdapter, type StorePath } from '@keyturn/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonFields } from './json-fields.ts'

const path = 'app/config' as StorePath
const plain = 'app/plain' as StorePath
const options = { signal: new AbortController().signal, idempotencyKey: 'k' }

/** A store of one text, with a member that only its class has. */
class TextStore {
  readonly kind = 'text'
  readonly guarantees = { cas: false, idempotent: false, valueBytesMax: 100 }
  #text = ''

  async read(): Promise<object> {
    return { version: 'v', value: SecretValue.text(this.#text) }
  }

  async write(_: string, value: SecretValue): Promise<object> {
    const content = value.reveal()
    this.#text = 'field' in content ? Buffer.from(content.field.bytes).toString() : 'fields came'
    return { version: 'v' }
  }

  refuses(value: SecretValue): string | undefined {
    return value.fieldNames === undefined ? undefined : 'it holds texts'
  }

  async close(): Promise<void> {
    this.#text = 'closed'
  }

  set(text: string): this {
    this.#text = text
    return this
  }

  get text(): string {
    return this.#text
  }
}

// the members that these tests use are there
const over = (store: TextStore) => jsonFields(store as unknown as StoreAdapter, asked => asked === path)

test('the members are the fields, and what is no string goes back as it came', async () => {
  const store = new TextStore().set('{ "user": "u\\u00e9\\"", "big": 12345678901234567890, "deep": { "a": [1, "}"] }, "none": null }')
  const adapter = over(store)
  const { value } = await adapter.read(path, options)
  expect(value.fieldNames).toEqual(['big', 'deep', 'none', 'user'])
  await adapter.write(path, value.with({ user: 'new "one"' }), options)
  expect(store.text).toBe('{"user":"new \\"one\\"","big":12345678901234567890,"deep":{ "a": [1, "}"] },"none":null}')
})

test('every object comes back with the same members', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.string({ minLength: 1, unit: 'grapheme' }), fc.jsonValue(), { minKeys: 1, noNullPrototype: true }),
      async object => {
        fc.pre(!Object.hasOwn(object, '__proto__'))
        const store = new TextStore().set(JSON.stringify(object, null, 1))
        const adapter = over(store)
        const { value } = await adapter.read(path, options)
        await adapter.write(path, value, options)
        expect(JSON.parse(store.text)).toEqual(JSON.parse(JSON.stringify(object)))
      },
    ),
  )
})

test.each(['', 'text', '[1]', '"x"', '{}', '{"a":1,"a":2}', '{"a":1'])('%s is no object with members', async text => {
  await expect(over(new TextStore().set(text)).read(path, options)).rejects.toMatchObject({ code: 'corrupt' })
})

test('other paths, and what the store has beside, are left as they are', async () => {
  const store = new TextStore().set('{"a":1}')
  const adapter = over(store)
  expect((await adapter.read(plain, options)).value.fieldNames).toBeUndefined()
  expect(adapter.kind).toBe('text')
  expect(adapter.stages).toBeUndefined()
  expect(adapter.refuses(SecretValue.fields({ a: 'b' }))).toBeUndefined()
  expect(adapter.refuses(SecretValue.fields({ a: Uint8Array.of(255) }))).toContain('no text')
  await adapter.close()
  expect(store.text).toBe('closed')
})
