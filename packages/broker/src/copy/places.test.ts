import { type Config, loadConfig } from '@keyturn/config'
import type { SecretName, StorePath } from '@keyturn/core'
import { expect, test } from 'vitest'
import { kinds } from '../compose.ts'
import { keptIn, placeIn } from './places.ts'

async function configOf(text: string): Promise<Config> {
  const reader = { read: async () => Buffer.from(text) }
  return loadConfig('keyturn.yaml', { env: { T: 't' }, kinds: await kinds(), reader, cwd: '/' })
}

const vault = (name: string, secrets: string) =>
  `${name}: { kind: vault, address: "http://${name}.example", auth: { method: token, token: "\${T}" }, secrets: [${secrets}] }\n`

/** What a store lists below a prefix. */
const listing = (...paths: string[]) =>
  async function* (under: string): AsyncIterable<StorePath> {
    for (const path of paths) if (path.startsWith(under)) yield path as StorePath
  }

async function namesIn(config: Config, store: string, heir: string | null, ...paths: string[]) {
  const all = await Array.fromAsync(keptIn(config, store, listing(...paths), heir))
  return all.map(each => {
    if ('elsewhere' in each) return `${each.elsewhere} is of ${each.stores.join()}`
    return 'unnamed' in each ? `(${each.unnamed})` : `${each.name} at ${each.place.path}`
  })
}

test('a section keeps what its entries name and its prefixes list, each path once, and says which path can have no name', async () => {
  const config = await configOf(
    vault('vault', '{ under: kv/data/a/, name: app/ }, { path: kv/data/a/x, name: special }, { path: kv/data/z, name: z }') +
      vault('other', '{ path: kv/data/y, name: app/y }'),
  )
  expect(await namesIn(config, 'vault', null, 'kv/data/a/x', 'kv/data/a/b', 'kv/data/a/y', 'kv/data/a/with space')).toEqual([
    'special at kv/data/a/x',
    'z at kv/data/z',
    'app/b at kv/data/a/b',
    'app/y is of other',
    '(kv/data/a/with space)',
  ])
})

test('a name that another store of the config keeps now is told apart, unless that is where it is to go', async () => {
  const config = await configOf(
    `database: {}\n${vault('vault', '{ path: kv/data/y, name: app/y }')}${vault('third', '{ path: kv/data/t, name: app/t }')}`,
  )
  expect(await namesIn(config, 'database', null, 'app/y', 'app/t', 'app/own')).toEqual([
    'app/y is of vault',
    'app/t is of third',
    'app/own at app/own',
  ])
  expect(await namesIn(config, 'database', 'vault', 'app/y', 'app/t', 'app/own')).toEqual([
    'app/y at app/y',
    'app/t is of third',
    'app/own at app/own',
  ])
})

test('a name goes to the entry that has it, else below the longest prefix, else anywhere where any name is taken', async () => {
  const config = await configOf(
    `database: {}\n${vault('vault', '{ path: kv/data/e, name: app/e, key: k }, { under: kv/data/a/, name: app/ }, { under: kv/data/b/, name: app/b/ }')}`,
  )
  const at = (store: string, name: string) => placeIn(config, store, name as SecretName)
  expect(at('vault', 'app/e')).toMatchObject({ path: 'kv/data/e', fields: ['k'], format: 'fields' })
  expect(at('vault', 'app/b/c')).toMatchObject({ path: 'kv/data/b/c', fields: null })
  expect(at('vault', 'app/c')).toMatchObject({ path: 'kv/data/a/c' })
  expect(at('vault', 'else')).toBeUndefined()
  expect(at('database', 'app/e')).toMatchObject({ path: 'app/e', format: 'stored' })
})
