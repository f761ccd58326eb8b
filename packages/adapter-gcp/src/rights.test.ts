import { readFileSync } from 'node:fs'
import { failure } from '@keyturn/conformance'
import { SecretValue, type Store, type VersionId } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { at, intent, parent, Scene } from './scene.fixture.ts'

/** What the README says that each needs, tried with exactly that, and with one right less. */
const scene = new Scene()
const first = '1' as VersionId

const rows: readonly {
  readonly row: string
  readonly alias?: string
  readonly rights: readonly string[]
  readonly act: (store: Store) => Promise<unknown>
}[] = [
  { row: 'read', rights: ['versions.access'], act: store => store.read(at('app')) },
  {
    row: 'write to a secret that is there',
    rights: ['versions.add'],
    act: store => store.write(at('app'), SecretValue.text('x'), intent()),
  },
  {
    row: 'write to one that is not',
    rights: ['secrets.create', 'versions.add'],
    act: store => store.write(at('new'), SecretValue.text('x'), intent()),
  },
  {
    row: 'tell versions, disable, enable, destroy',
    rights: ['versions.list', 'versions.get', 'versions.disable', 'versions.enable', 'versions.destroy'],
    async act(store) {
      await Array.fromAsync(store.versions(at('app')))
      await store.disable(at('app'), first)
      await store.enable(at('app'), first)
      await store.destroy(at('app'), first)
    },
  },
  {
    row: 'write, stage, promote with `alias`',
    alias: 'current',
    rights: ['secrets.get', 'secrets.update', 'versions.access', 'versions.add', 'versions.get', 'versions.list'],
    async act(store) {
      const { version: from } = await store.write(at('app'), SecretValue.text('x'), intent())
      const { version: to } = await store.stage(at('app'), SecretValue.text('y'), intent())
      await store.promote(at('app'), { from, to })
      await store.read(at('app'), { version: from })
    },
  },
  {
    row: 'tell versions, disable, enable, destroy with `alias`',
    alias: 'current',
    rights: ['secrets.get', 'versions.list', 'versions.get', 'versions.disable', 'versions.enable', 'versions.destroy'],
    async act(store) {
      await Array.fromAsync(store.versions(at('app')))
      await store.disable(at('app'), first)
      await store.enable(at('app'), first)
      await store.destroy(at('app'), first)
    },
  },
  {
    row: 'read an earlier version with `alias`',
    alias: 'current',
    rights: ['secrets.get', 'versions.access', 'versions.list'],
    act: store => store.read(at('app'), { version: first }),
  },
  { row: 'list (`under`)', rights: ['secrets.list'], act: store => Array.fromAsync(store.list('')) },
  { row: 'delete', rights: ['secrets.delete'], act: store => store.delete(at('app'), intent()) },
  {
    row: 'delete with `alias`',
    alias: 'current',
    rights: ['secrets.get', 'secrets.delete'],
    act: store => store.delete(at('app'), intent()),
  },
]

const allow = (rights: readonly string[]) => {
  scene.fake.anonymous = { may: permission => rights.some(right => permission === `secretmanager.${right}`) }
}

const ready = async (alias: string | undefined) => {
  scene.fake.secrets(parent).putAs('current', 'app', 'one')
  scene.fake.secrets(parent).putAs('current', 'app', 'two')
  return scene.store(alias === undefined ? {} : { alias })
}

describe.each(rows)('to $row', ({ row, alias, rights, act }) => {
  test('these rights are enough', async () => {
    const store = await ready(alias)
    allow(rights)
    await act(store)
  })

  test.each(rights.map(right => ({ right })))('$right is needed', async ({ right }) => {
    const store = await ready(alias)
    allow(rights.filter(each => each !== right))
    expect((await failure(act(store))).code).toBe('permission_denied')
  })

  test('the README says so', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const said = readme.split('\n').find(line => line.startsWith(`| ${row} `)) ?? ''
    for (const right of rights) expect(said).toContain(`\`${right}\``)
  })
})
