import { open, options } from '@keyturn/adapter-vault'
import { testContext, wallClock } from '@keyturn/conformance'
import { type BrokerError, type FieldInput, SecretValue, Store, type StoreAdapter, type StorePath, textOf } from '@keyturn/core'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import { findOpenBao, startOpenBao } from '../servers/openbao.ts'
import { findHvac } from './readers/hvac.ts'
import { nodeVault } from './readers/node-vault.ts'
import type { AbsentReader, Fields, Name, Place, Reader } from './readers/reader.ts'
import { findVaultVals } from './readers/vals.ts'
import { findVaultCli } from './readers/vault-cli.ts'
import type { Departure } from './table.ts'
import { tell } from './tell.ts'

/** What Keyturn writes into Vault others read, and the other way round: on OpenBao where it is, else on our own fake, and the row says which. */
const readers: readonly (Reader | AbsentReader)[] = [
  await findHvac(),
  nodeVault,
  await findVaultCli(),
  await findVaultVals('vault'),
  await findVaultVals('openbao'),
]
const context = testContext('readers')
const team = 'readers'
const intent = () => ({ idempotencyKey: crypto.randomUUID() })

/** A server of Vault's kind with KV v2 at `secret`, KV v1 at `kv`, and where it can a namespace with KV v2 at `secret`. */
interface Server extends Place {
  readonly title: string
  readonly namespaces: boolean
  stop(): Promise<void>
}

const binary = await findOpenBao()
let server: Server
const opened: StoreAdapter[] = []

beforeAll(async () => {
  server = binary === undefined ? await ownFake() : await realServer(binary)
})
afterAll(async () => {
  for (const each of opened) await each.close()
  await server?.stop()
})

async function realServer(program: string): Promise<Server> {
  const bao = await startOpenBao(program)
  await bao.api('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '1' } })
  const namespaces = await bao.api('POST', `sys/namespaces/${team}`).then(
    () => true,
    () => false,
  )
  if (namespaces) await bao.api('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } }, team)
  return { title: `openbao ${bao.version}`, url: bao.url, token: bao.rootToken, namespaces, stop: bao.stop }
}

async function ownFake(): Promise<Server> {
  const fake = await VaultFake.start()
  fake.mount('secret', 2)
  fake.mount('kv', 1)
  fake.namespaces.add(team)
  fake.mount(`${team}/secret`, 2)
  return { title: 'on our own fake', url: fake.url, token: fake.root, namespaces: true, stop: () => fake.close() }
}

async function store(kv: 1 | 2, namespace?: string): Promise<Store> {
  const section = { address: server.url, kv, ...(namespace === undefined ? {} : { namespace }) }
  const made = await open(options.parse(section), context, { env: { VAULT_TOKEN: server.token } })
  opened.push(made)
  return new Store(made, { name: 'vault', clock: wallClock, timeoutMs: 30_000 })
}

const pathOf = ({ mount, key, kv }: Name) => (kv === 2 ? `${mount}/data/${key}` : `${mount}/${key}`) as StorePath

describe.each(readers)('$title', reader => {
  const counted = { passed: 0, failed: 0 }
  const departures: Departure[] = []
  afterEach(({ task }) => {
    if ('absent' in reader || task.result?.state === 'skip') return
    counted[task.result?.state === 'pass' ? 'passed' : 'failed'] += 1
  })
  afterAll(async () => {
    if ('close' in reader) await reader.close?.()
    const title = 'absent' in reader ? reader.title : `${reader.title} (${server.title})`
    await tell({ adapter: 'vault', server: title, ...counted, departures, ...('absent' in reader ? { absent: reader.absent } : {}) })
  })

  if ('absent' in reader) {
    test('is not here, and the row says so', () => expect(reader.absent).not.toBe(''))
    return
  }
  const key = (name: string) => `${reader.title.replaceAll(/[^a-z]/g, '')}/${name}`

  test.each([2, 1] as const)('reads what Keyturn wrote into KV v%i, to the last character', async kv => {
    const keyturn = await store(kv)
    for (const [index, fields] of samples().entries()) {
      const name: Name = { mount: kv === 2 ? 'secret' : 'kv', key: key(`sample-${index}`), kv }
      await keyturn.write(pathOf(name), SecretValue.fields(fields), intent())
      const read = await reader.read(server, name, { names: Object.keys(fields) })
      expect(read).toEqual(expected(fields, reader.numbers))
    }
  })

  test('reads an earlier version', async () => {
    const keyturn = await store(2)
    const name: Name = { mount: 'secret', key: key('versions'), kv: 2 }
    for (const text of ['first', 'second', 'third']) await keyturn.write(pathOf(name), SecretValue.fields({ text }), intent())
    for (const [index, text] of ['first', 'second', 'third'].entries()) {
      expect(await reader.read(server, name, { names: ['text'], version: index + 1 })).toEqual({ text })
    }
  })

  test('sees that Keyturn took a secret away, and what is not there', async () => {
    const keyturn = await store(2)
    const name: Name = { mount: 'secret', key: key('gone'), kv: 2 }
    await keyturn.write(pathOf(name), SecretValue.fields({ text: 'here' }), intent())
    await keyturn.delete(pathOf(name), intent())
    expect(await reader.read(server, name, { names: ['text'] })).toBeUndefined()
    await keyturn.restore(pathOf(name))
    expect(await reader.read(server, name, { names: ['text'] })).toEqual({ text: 'here' })
    expect(await reader.read(server, { ...name, key: key('never') }, { names: ['text'] })).toBeUndefined()
  })

  test('reads in a namespace what Keyturn wrote there', async ({ skip }) => {
    if (!server.namespaces) {
      departures.push({ check: 'reads in a namespace what Keyturn wrote there', why: `${server.title} has no namespaces` })
      return skip()
    }
    const name: Name = { mount: 'secret', key: key('in-namespace'), kv: 2 }
    await (await store(2, team)).write(pathOf(name), SecretValue.fields({ text: 'of the team' }), intent())
    expect(await reader.read({ ...server, namespace: team }, name, { names: ['text'] })).toEqual({ text: 'of the team' })
    expect(await reader.read(server, name, { names: ['text'] })).toBeUndefined()
  })

  const { write, list, remove } = reader
  if (write === undefined || list === undefined || remove === undefined) return

  test.each([2, 1] as const)('writes into KV v%i what Keyturn reads, to the last character', async kv => {
    const keyturn = await store(kv)
    for (const [index, fields] of samples().entries()) {
      const name: Name = { mount: kv === 2 ? 'secret' : 'kv', key: key(`written-${index}`), kv }
      await write(server, name, expected(fields, 'kept'))
      expect(texts((await keyturn.read(pathOf(name))).value)).toEqual(texts(SecretValue.fields(fields)))
    }
  })

  test('and Keyturn lose nothing of each other by compare-and-set', async () => {
    const keyturn = await store(2)
    const name: Name = { mount: 'secret', key: key('turns'), kv: 2 }
    expect(await write(server, name, { text: 'theirs' }, 0)).toBe(true)
    const { etag } = await keyturn.read(pathOf(name))
    expect(await write(server, name, { text: 'theirs again' }, 1)).toBe(true)
    const late = await keyturn
      .write(pathOf(name), SecretValue.fields({ text: 'ours' }), { ...intent(), ifMatch: etag })
      .catch((error: BrokerError) => error.code)
    expect(late).toBe('conflict')
    const seen = await keyturn.read(pathOf(name))
    await keyturn.write(pathOf(name), SecretValue.fields({ text: 'ours' }), { ...intent(), ifMatch: seen.etag })
    expect(await write(server, name, { text: 'theirs, too late' }, 2)).toBe(false)
    expect(await reader.read(server, name, { names: ['text'] })).toEqual({ text: 'ours' })
  })

  test.each([2, 1] as const)('and Keyturn list the same names of KV v%i', async kv => {
    const keyturn = await store(kv)
    const mount = kv === 2 ? 'secret' : 'kv'
    const folder = key('folder')
    const names = ['a', 'b-1', 'c.d', 'e é', 'f+g']
    for (const [index, name] of names.entries()) {
      const at: Name = { mount, key: `${folder}/${name}`, kv }
      if (index % 2 === 0) await write(server, at, { text: name })
      else await keyturn.write(pathOf(at), SecretValue.fields({ text: name }), intent())
    }
    expect([...(await list(server, { mount, key: folder, kv }))].sort()).toEqual(names)
    const paths = await Array.fromAsync(keyturn.list(pathOf({ mount, key: `${folder}/`, kv })))
    expect(paths.sort()).toEqual(names.map(name => pathOf({ mount, key: `${folder}/${name}`, kv })))
  })

  test('takes a secret away, and Keyturn says which kind of gone it is', async () => {
    const keyturn = await store(2)
    const name: Name = { mount: 'secret', key: key('taken'), kv: 2 }
    await write(server, name, { text: 'here' })
    await remove(server, name)
    const error = await keyturn.read(pathOf(name)).then(
      () => expect.unreachable('it ended well'),
      (thrown: BrokerError) => thrown,
    )
    expect([error.code, error.detail?.reason]).toEqual(['not_found', 'soft_deleted'])
  })
})

/** Field sets that a careless reader or writer would change, and some by chance. */
function samples(): readonly Readonly<Record<string, FieldInput>>[] {
  const text = fc.string({ unit: 'binary', maxLength: 60 })
  const name = fc.string({ unit: fc.constantFrom(...'abcXYZ019_-.'), minLength: 1, maxLength: 12 }).filter(each => /^[a-zA-Z]/.test(each))
  return [
    { empty: '', space: ' ', lines: 'one\r\ntwo\n', nul: 'a\0b', key: '\u{1f511} \u00e9 \u2028 <&>', quotes: '"\\\'', last: 'end\n' },
    { number: { json: '12' }, truth: { json: 'true' }, list: { json: '[1,"a",null]' }, object: { json: '{"a":1,"b":{"c":"d"}}' } },
    {
      'x.y': 'dot',
      'x-y_z': 'more',
      UPPER: 'case',
      looksLikeNumber: '007',
      looksLikeJson: '{"a":1}',
      pem: `-----BEGIN-----\n${'A'.repeat(64)}\n`,
    },
    { long: 'x\u00e9'.repeat(20_000) },
    ...fc.sample(fc.dictionary(name, text, { minKeys: 1, maxKeys: 5, noNullPrototype: true }), { seed: 20_260_101, numRuns: 8 }),
  ]
}

/** As JSON has it, numbers as the reader gives them. */
function expected(fields: Readonly<Record<string, FieldInput>>, numbers: Reader['numbers']): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const value: unknown = typeof field === 'object' && 'json' in field ? JSON.parse(field.json) : field
      return [name, numbers === 'kept' ? value : withTexts(value)]
    }),
  )
}

function withTexts(value: unknown): unknown {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withTexts)
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withTexts(each)]))
}

function texts(value: SecretValue): Readonly<Record<string, string | undefined>> {
  const content = value.reveal()
  return 'fields' in content ? Object.fromEntries([...content.fields].map(([name, field]) => [name, textOf(field)])) : {}
}
