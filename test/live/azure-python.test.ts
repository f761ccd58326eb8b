import { open, options } from '@keyturn/adapter-azure'
import { failure, testContext, wallClock } from '@keyturn/conformance'
import { escapedName, SecretValue, Store, type StoreAdapter, type StorePath, type VersionId } from '@keyturn/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { AzureVault } from '../fakes/azure-vault.ts'
import { testCertificates } from '../fakes/tls/certificates.ts'
import { type AzureGiven, givenAzure } from '../servers/azure-given.ts'
import { type AzurePython, openAzurePython } from '../servers/azure-python.ts'
import type { Departure } from './table.ts'
import { tell } from './tell.ts'

/**
 * An independent reader: what Keyturn writes, Azure's own client of another language reads, and the other way round, in the vault that
 * `KEYTURN_TEST_AZURE_*` names, and in our own fake. `KEYTURN_TEST_AZURE_PYTHON` is a Python that has `azure-keyvault-secrets` and `azure-identity`.
 */
const given = givenAzure(process.env)
const python = process.env.KEYTURN_TEST_AZURE_PYTHON || undefined
const absent = python === undefined ? 'KEYTURN_TEST_AZURE_PYTHON names no Python that has it' : 'absent' in given ? given.absent : undefined

const run = `kt-${crypto.randomUUID().slice(0, 8)}`
const at = (path: string) => `${run}/${path}` as StorePath
const text = (value: string) => SecretValue.text(value)
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const nameOf = (path: string) => escapedName(path, { allowed: /^[0-9A-Za-z-]+$/, literal: /[0-9a-z]/ })

/** What a careless client would alter. */
const valuesToPass: readonly (readonly [title: string, value: string])[] = [
  ['line ends, NUL and four bytes', 'one\r\ntwo\rthree\0 \u{1f511}\u{10ffff}'],
  ['what looks like nothing', '\ufeff \u2028\u2029\u200b\t\n '],
  ['accents in two forms', '\u00e9 e\u0301 \u212b'],
  ['JSON', '{"b":12345678901234567890,"a":"<&>\\u0041\\n"}'],
  ['text that looks escaped', '%00 \\u0000 &amp; "quoted" \\'],
  ['the most bytes, of one each', 'x'.repeat(25_600)],
  ['the most bytes, of four each', '\u{1f511}'.repeat(6_400)],
]

const nothing: readonly [title: string, value: string] = ['nothing', '']

describe.runIf(absent !== undefined)('without a vault or another reader', () => {
  test('the row says absent', async () => {
    await tell({ adapter: 'azure', server: 'azure-keyvault-secrets for Python', passed: 0, failed: 0, absent: absent ?? '' })
  })
})

describe.skipIf(absent !== undefined)('in a vault that nobody here wrote', () => {
  // an account of Azure has the authority of its cloud
  const isEmulator = !('absent' in given) && given.authority !== undefined
  const departures: readonly Departure[] = isEmulator
    ? [{ check: `what it writes Keyturn reads: ${nothing[0]}`, why: 'the emulator answers 400 to an empty value' }]
    : []
  bothWays({
    values: isEmulator ? valuesToPass : [...valuesToPass, nothing],
    departures,
    async start() {
      if ('absent' in given) throw new Error(given.absent)
      return { ...given, end: purgeAll }
    },
  })
})

describe.skipIf(python === undefined)('in our own fake', () => {
  bothWays({
    values: [...valuesToPass, nothing],
    departures: [],
    async start() {
      const fake = await AzureVault.start()
      const { url: authority, tenant } = fake.authority
      const login = { authority, tenant, clientId: 'app', clientSecret: 'secret-of-the-app' }
      const end = async () => {
        await fake.close()
        expect(fake.broken).toEqual([])
      }
      return { vault: fake.url, ...login, ca: testCertificates.ca, name: 'our own fake', end }
    },
  })
})

interface Place {
  /** What the other client may write there. */
  readonly values: typeof valuesToPass
  readonly departures: readonly Departure[]
  start(): Promise<AzureGiven & { end(sdk: AzurePython | undefined): Promise<void> }>
}

/** Every check of this file, in one place, and its row. */
function bothWays({ values, departures, start }: Place): void {
  const counted = { passed: 0, failed: 0 }
  let place: Awaited<ReturnType<Place['start']>>
  let sdk: AzurePython
  let adapter: StoreAdapter
  let store: Store
  beforeAll(async () => {
    const { end, ...server } = await start()
    place = { ...server, end }
    sdk = await openAzurePython(python ?? '', server)
    const { vault, authority, tenant: tenantId, clientId, clientSecret, ca } = server
    const section = {
      vault,
      auth: { method: 'client-secret', tenantId, clientId, clientSecret },
      ...(authority === undefined ? {} : { authority, verifyChallenge: false }),
      ...(ca === undefined ? {} : { ca }),
    }
    adapter = await open(options.parse(section), testContext('live'), { env: {} })
    store = new Store(adapter, { name: 'azure', clock: wallClock, timeoutMs: 30_000 })
  })
  afterEach(({ task }) => {
    counted[task.result?.state === 'pass' ? 'passed' : 'failed'] += 1
  })
  afterAll(async () => {
    if (store === undefined) counted.failed += 1
    const server = `azure-keyvault-secrets ${sdk?.version ?? ''} for Python (${place?.name ?? ''})`
    await tell({ adapter: 'azure', server, ...counted, departures })
    await adapter?.close()
    await place?.end(sdk)
    await sdk?.stop()
  })

  const written = async (path: string, more: object = {}) => {
    const made = await sdk.ask('set', { name: nameOf(at(path)), value: 'theirs', ...more })
    return String(made.version) as VersionId
  }
  const states = async (path: string) => (await Array.fromAsync(store.versions(at(path)))).map(({ version, state }) => [version, state])

  test.each(valuesToPass)('what Keyturn writes it reads: %s', async (title, value) => {
    const path = at(`to/${title}`)
    const once = intent()
    const { version, createdAt } = await store.write(path, text(value), once)
    const read = await sdk.ask('get', { name: nameOf(path) })
    expect(read.value === value).toBe(true)
    const mark = { 'keyturn-mark': `${once.idempotencyKey} 1 ${nameOf(path)}` }
    expect(read).toMatchObject({ name: nameOf(path), version, enabled: true, tags: mark, contentType: null })
    expect(Date.parse(String(read.createdAt))).toBe(createdAt.getTime())
    expect((await sdk.ask('get', { name: nameOf(path), version })).value === value).toBe(true)
  })

  test.each(values)('what it writes Keyturn reads: %s', async (title, value) => {
    const path = at(`from/${title}`)
    const made = await sdk.ask('set', { name: nameOf(path), value, tags: { owner: 'shop' }, content_type: 'text/plain' })
    const read = await store.read(path)
    expect([read.value.equals(text(value)), read.version, read.state]).toEqual([true, made.version, 'current'])
    expect(read.createdAt.getTime()).toBe(Date.parse(String(made.createdAt)))
    expect((await store.read(path, { version: read.version })).value.equals(text(value))).toBe(true)
  })

  test('each lists what the other wrote, by its own name for it', async () => {
    const paths = [at('listed/ours_1'), at('listed/theirs.2'), `${run}-plain` as StorePath]
    await store.write(at('listed/ours_1'), text('ours'), intent())
    await written('listed/theirs.2')
    await sdk.ask('set', { name: `${run}-plain`, value: 'theirs' })
    const listed = await Array.fromAsync(store.list(`${run}`))
    const { names } = await sdk.ask('names')
    expect(listed).toEqual(expect.arrayContaining(paths))
    expect(names).toEqual(expect.arrayContaining(paths.map(nameOf)))
  })

  test('tags and content type that it set go on in what Keyturn writes', async () => {
    await written('tagged', { tags: { owner: 'shop', note: 'é \u{1f511}' }, content_type: 'application/json' })
    const once = intent()
    const { version } = await store.write(at('tagged'), text('{}'), once)
    const tags = { owner: 'shop', note: 'é \u{1f511}', 'keyturn-mark': `${once.idempotencyKey} 2 ${nameOf(at('tagged'))}` }
    expect(await sdk.ask('get', { name: nameOf(at('tagged')) })).toMatchObject({
      version,
      value: '{}',
      tags,
      contentType: 'application/json',
    })
  })

  test('versions of both, made by turns, are the same to both, and Keyturn knows their order', async () => {
    const path = at('turns')
    const newestFirst: VersionId[] = []
    for (let turn = 0; turn < 2; turn += 1) {
      newestFirst.unshift((await store.write(path, text(`ours ${turn}`), intent())).version)
      // the vault counts whole seconds, and a version of the other has no mark that would tell within one
      await nextSecond()
      newestFirst.unshift(await written('turns'))
      await nextSecond()
    }
    expect((await states('turns')).map(([version]) => version)).toEqual(newestFirst)
    expect((await states('turns')).map(([, state]) => state)).toEqual(['current', 'previous', 'older', 'older'])
    const { versions } = await sdk.ask('versions', { name: nameOf(path) })
    // as the verb answers
    const theirs = versions as readonly { readonly version: string; readonly enabled: boolean }[]
    expect(theirs.map(({ version }) => version).toSorted()).toEqual(newestFirst.toSorted())
    expect(theirs.every(({ enabled }) => enabled)).toBe(true)
  })

  test('versions that it made within one second: the current one is the one that it reads', async () => {
    const made = []
    for (let index = 0; index < 4; index += 1) made.push(await written('second'))
    const current = await sdk.ask('get', { name: nameOf(at('second')) })
    const told = await states('second')
    expect([current.version, told[0]]).toEqual([made.at(-1), [made.at(-1), 'current']])
    expect(told.map(([version]) => version).toSorted()).toEqual(made.toSorted())
  })

  test('an intent that is sent again finds its version below one that the other made', async () => {
    const once = intent()
    const ours = await store.write(at('again'), text('ours'), once)
    const theirs = await written('again')
    expect(await store.write(at('again'), text('ours'), once)).toMatchObject({ version: ours.version, state: 'previous', etag: theirs })
    expect((await sdk.ask('get', { name: nameOf(at('again')) })).version).toBe(theirs)
  })

  test('tags that the other replaces take the mark with them, and Keyturn reads and writes on', async () => {
    const { version } = await store.write(at('unmarked'), text('ours'), intent())
    await sdk.ask('update', { name: nameOf(at('unmarked')), version, tags: { owner: 'shop' } })
    expect(await store.read(at('unmarked'))).toMatchObject({ version, state: 'current' })
    const next = await store.write(at('unmarked'), text('newer'), intent())
    expect((await states('unmarked'))[0]).toEqual([next.version, 'current'])
    const { tags } = await sdk.ask('get', { name: nameOf(at('unmarked')) })
    expect(tags).toMatchObject({ owner: 'shop', 'keyturn-mark': expect.stringContaining(nameOf(at('unmarked'))) })
  })

  test('a version that Keyturn disables is withheld from it, keeps its tags, and comes back', async () => {
    const path = at('disabled')
    const name = nameOf(path)
    const first = await store.write(path, text('one'), intent())
    const { tags } = await sdk.ask('get', { name })
    await store.write(path, text('two'), intent())
    await store.disable(path, first.version)
    expect(await sdk.ask('get', { name, version: first.version })).toEqual({ error: 'HttpResponseError', status: 403 })
    const { versions } = await sdk.ask('versions', { name })
    expect(versions).toContainEqual(expect.objectContaining({ version: first.version, enabled: false, tags }))
    expect((await sdk.ask('get', { name })).value).toBe('two')
    await store.enable(path, first.version)
    expect(await sdk.ask('get', { name, version: first.version })).toMatchObject({ value: 'one', enabled: true, tags })
  })

  test('a version that it disables is withheld by Keyturn, and comes back from either', async () => {
    const path = at('withheld')
    const name = nameOf(path)
    const first = await written('withheld')
    await nextSecond()
    const second = await written('withheld')
    await sdk.ask('update', { name, version: first, enabled: false })
    expect((await failure(store.read(path, { version: first }))).code).toBe('precondition_failed')
    expect(await states('withheld')).toEqual([
      [second, 'current'],
      [first, 'disabled'],
    ])
    await store.enable(path, first)
    expect(await sdk.ask('get', { name, version: first })).toMatchObject({ value: 'theirs', enabled: true })
    await sdk.ask('update', { name, version: second, enabled: false })
    const current = await failure(store.read(path))
    expect([current.code, current.message.includes('disabled')]).toEqual(['precondition_failed', true])
    await sdk.ask('update', { name, version: second, enabled: true })
    expect((await store.read(path)).version).toBe(second)
  })

  test('what Keyturn deletes it finds deleted, and what it recovers Keyturn reads', async () => {
    const path = at('deleted')
    const name = nameOf(path)
    const { version } = await store.write(path, text('kept'), intent())
    await store.delete(path, intent())
    expect(await sdk.ask('get', { name })).toEqual({ error: 'ResourceNotFoundError', status: 404 })
    const gone = await sdk.ask('deleted', { name })
    expect([gone.name, Number.isNaN(Date.parse(String(gone.deletedAt)))]).toEqual([name, false])
    await sdk.ask('recover', { name })
    const read = await store.read(path)
    expect([read.version, read.value.equals(text('kept'))]).toEqual([version, true])
    expect(await sdk.ask('deleted', { name })).toEqual({ error: 'ResourceNotFoundError', status: 404 })
  })

  test('what it deletes Keyturn calls soft-deleted, and what Keyturn restores it reads', async () => {
    const path = at('restored')
    const name = nameOf(path)
    const version = await written('restored', { tags: { owner: 'shop' } })
    await sdk.ask('delete', { name })
    const gone = await failure(store.read(path))
    expect([gone.code, gone.detail?.reason]).toEqual(['not_found', 'soft_deleted'])
    expect(await Array.fromAsync(store.list(path))).toEqual([])
    await store.restore(path)
    expect(await sdk.ask('get', { name })).toMatchObject({ value: 'theirs', version, enabled: true, tags: { owner: 'shop' } })
  })

  test('a write of Keyturn to what it deleted comes above the versions that were there', async () => {
    const path = at('revived')
    const before = await written('revived')
    await sdk.ask('delete', { name: nameOf(path) })
    const { version } = await store.write(path, text('ours'), intent())
    expect(await sdk.ask('get', { name: nameOf(path) })).toMatchObject({ value: 'ours', version })
    expect(await sdk.ask('get', { name: nameOf(path), version: before })).toMatchObject({ value: 'theirs' })
  })
}

function nextSecond(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, 1_010))
}

async function purgeAll(sdk: AzurePython | undefined): Promise<void> {
  if (sdk === undefined) return
  for (const name of await ofThisRun(sdk, 'names')) await sdk.ask('delete', { name })
  for (const name of await ofThisRun(sdk, 'deletedNames')) await sdk.ask('purge', { name })
}

async function ofThisRun(sdk: AzurePython, verb: string): Promise<readonly string[]> {
  const { names } = await sdk.ask(verb)
  // as both verbs answer
  return (names as readonly string[]).filter(name => name.startsWith(run))
}
