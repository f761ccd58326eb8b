import { readFileSync } from 'node:fs'
import { type SecretId, SecretValue } from '@keyturn/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fromWire } from './bundle-line.ts'
import { keysOf, readBundle, readHeader } from './bundle-reader.ts'
import { sealerOf } from './bundle-seal.ts'
import { Shelf } from './shelf.fixture.ts'

// The file was written once by the code under test: the shelf of this seed, as below. It is never written again: what it holds must open for ever.
const golden = new URL('bundle.golden.jsonl', import.meta.url).pathname

let shelf: Shelf
beforeEach(() => {
  shelf = new Shelf('golden bundle')
})
afterEach(() => shelf.close())

test('the golden content gives the golden bytes', async () => {
  await shelf.put('payments/stripe', ['correct horse', 'battery staple', ''], { disabled: [1] })
  await shelf.ledger.secrets.ensure('payments/stripe' as never, { type: 'api-key', labels: { tier: 'gold' } })
  shelf.hold('v2', 'v1')
  await shelf.put('gelöscht/ключ', ['€'])
  const [first, second] = shelf.secrets
  if (first === undefined || second === undefined) throw new Error('no secrets')
  const destroyed = first.versions.map(version => (version.number === 2 ? { ...version, sealed: null } : version))
  shelf.secrets.splice(0, 2, { ...first, versions: destroyed }, { ...second, deletedAt: new Date(shelf.nowMs) })
  const { file } = await shelf.bundles.create({ reason: 'golden' })
  expect(readFileSync(file, 'utf8')).toBe(readFileSync(golden, 'utf8'))
})

test('the golden bundle opens', async () => {
  shelf.hold('v2', 'v1')
  const header = await readHeader(golden)
  const values: unknown[] = []
  const { trailer } = await readBundle(golden, keysOf(shelf.parts, golden, header), item => {
    if ('damage' in item) throw new Error(`line ${item.damage.line}: ${item.damage.why}`)
    if ('name' in item) return void values.push(item.name)
    const { path, secret, number, kind, label, disabled, deleted, sealed, store } = item.version
    const slot = { secretId: secret as SecretId, number, kind }
    const value = sealed === null ? null : sealerOf(shelf.parts, store).open(slot, fromWire(sealed))
    values.push([path, number, label, disabled, deleted, value === null ? null : Buffer.from(value.encode()).toString()])
  })
  expect(values).toEqual([
    ['payments/stripe', 1, null, true, null, SecretValue.text('correct horse')].map(plain),
    ['payments/stripe', 2, 'previous', false, null, null],
    ['payments/stripe', 3, 'current', false, null, SecretValue.text('')].map(plain),
    ['gelöscht/ключ', 1, 'current', false, '2026-01-01T00:00:00.000Z', SecretValue.text('€')].map(plain),
    { name: 'payments/stripe', type: 'api-key', labels: { tier: 'gold' } },
  ])
  expect(trailer).toMatchObject({
    secrets: 2,
    versions: 4,
    names: 1,
    keks: [
      { id: 'v1', opens: 2 },
      { id: 'v2', opens: 2 },
    ],
  })
})

const plain = (part: unknown) => (part instanceof SecretValue ? Buffer.from(part.encode()).toString() : part)
