import { spawn } from 'node:child_process'
import { SecretManagerServiceClient } from '@google-cloud/secret-manager'
import { credentials } from '@grpc/grpc-js'
import { open, options } from '@keyturn/adapter-gcp'
import { failure, runStoreChecks, type StoreHarness, testContext, wallClock } from '@keyturn/conformance'
import { escapedName, SecretValue, Store, type StoreAdapter, type StorePath, type VersionId } from '@keyturn/core'
import { GoogleAuth, PassThroughClient } from 'google-auth-library'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GcpSecretManagerFake } from '../fakes/gcp-secret-manager.ts'
import type { Departure } from './table.ts'
import { tally, tell } from './tell.ts'

/**
 * The adapter against the server that `KEYTURN_TEST_GCP` names as host:port: an emulator on the loopback, in plaintext, or
 * `secretmanager.googleapis.com:443` with application default credentials and `KEYTURN_TEST_GCP_PROJECT`. `KEYTURN_TEST_GCP_SERVER` is its name in the
 * table, `KEYTURN_TEST_GCP_PYTHON` a Python that has `google-cloud-secret-manager`. Every name is fresh, and what was written is deleted at the end.
 */
const { KEYTURN_TEST_GCP: endpoint, KEYTURN_TEST_GCP_PYTHON: python, KEYTURN_TEST_GCP_SERVER: told } = process.env
const isLoopback = /^(?:127\.|localhost:|\[::1\])/.test(endpoint ?? '')
const project = process.env.KEYTURN_TEST_GCP_PROJECT ?? 'keyturn-live'
const server = told ?? (isLoopback ? 'an emulator' : 'Google Cloud')

const aliased = 'every check of a section with alias'
/** What the emulator does not do as Google does; asked of our own fake in the same run. */
const departures: readonly Departure[] = !isLoopback
  ? []
  : [
      {
        check: 'says that the newest version is disabled or destroyed, and gives no older one',
        why: '`latest` is the highest enabled version there; at Google it is the newest in any state',
      },
      {
        check: 'lists over several pages, each path once',
        why: 'pages of ListSecrets repeat secrets and miss others: of 250 rows 134 to 212 were distinct',
      },
      {
        check: aliased,
        why: 'secrets have the etag "", and an update of version_aliases is dropped without a word',
      },
      {
        check: 'changes a version by its etag: a stale one is a conflict',
        why: 'versions have the etag "", and any is accepted',
      },
    ]

const context = testContext('live')
const run = `kt-${crypto.randomUUID().slice(0, 8)}`
const at = (path: string) => `${run}/${path}` as StorePath
const text = (value: string) => SecretValue.text(value)
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const idOf = (path: string) => escapedName(path, { allowed: /^[\w-]+$/, literal: /\w/ })
/** What a careless client would alter. */
const valuesToPass = [
  { title: 'line ends and NUL and four bytes', bytes: Buffer.from('one\r\ntwo\0 \u{1f511}\ufeff\u2028 ') },
  { title: 'JSON', bytes: Buffer.from('{"b":12345678901234567890,"a":"<&>"}') },
  { title: 'bytes that are no text', bytes: Buffer.of(0xff, 0xfe, 0x00, 0xc3, 0x28) },
  { title: 'the most bytes', bytes: Buffer.alloc(65_536, 'x') },
]
const opened: StoreAdapter[] = []

const adapterAt = (where: string, more: object = {}) =>
  // its lists repeat and miss where they have several pages
  open(options.parse({ endpoint: where, project, pageSize: 25_000, ...more }), context, { env: process.env })

describe.runIf(endpoint === undefined)('without a server', () => {
  test('the row says absent', async () => {
    await tell({ adapter: 'gcp', server: 'none', passed: 0, failed: 0, absent: 'KEYTURN_TEST_GCP names no server' })
  })
})

describe.skipIf(endpoint === undefined)('adapter-gcp on a server that nobody here wrote', () => {
  let google: SecretManagerServiceClient
  beforeAll(() => {
    google = bareClient()
  })
  const counted = tally()
  afterAll(async () => {
    await tell({ adapter: 'gcp', server, ...counted, departures })
    await deleteAll(google)
    for (const each of opened) await each.close()
    await google.close()
  })

  const left = new Set(departures.map(({ check }) => check))
  describe('conformance', () => {
    runStoreChecks(
      harnessAt(
        () => endpoint ?? '',
        put(() => google),
      ),
      { test },
    )
  })
  furtherChecks(
    () => endpoint ?? '',
    put(() => google),
    title => !left.has(title),
  )
})

describe.skipIf(departures.length === 0)('our own fake, where the server departs', () => {
  let fake: GcpSecretManagerFake
  beforeAll(async () => {
    fake = await GcpSecretManagerFake.start()
  })
  afterAll(async () => {
    expect(fake.broken).toEqual([])
    await fake.close()
  })
  const titles = new Set(departures.map(({ check }) => check))
  const asked = furtherChecks(
    () => fake.endpoint,
    async (path, value) => fake.secrets(`projects/${project}`).put(idOf(path), value),
    title => titles.has(title),
  )
  describe(aliased, () => {
    const outside: Put = async (path, value) => fake.secrets(`projects/${project}`).putAs('current', idOf(path), value)
    runStoreChecks(
      harnessAt(() => fake.endpoint, outside, 'current'),
      { test },
    )
  })
  test('is asked every check that is left out there', () => {
    expect(new Set([...asked, aliased])).toEqual(titles)
  })
})

describe.runIf(endpoint !== undefined && python === undefined)('without another reader', () => {
  test('the row says absent', async () => {
    await tell({
      adapter: 'gcp',
      server: 'google-cloud-secret-manager',
      passed: 0,
      failed: 0,
      absent: 'KEYTURN_TEST_GCP_PYTHON names no Python that has it',
    })
  })
})

describe.skipIf(endpoint === undefined || python === undefined)('adapter-gcp and Google’s client for Python', () => {
  const pythonCounted = tally()
  let google: SecretManagerServiceClient
  let version = ''
  beforeAll(async () => {
    google = bareClient()
    version = String((await ask('version', {})).version)
  })
  afterAll(async () => {
    if (version === '') pythonCounted.failed += 1
    await tell({ adapter: 'gcp', server: `google-cloud-secret-manager ${version} (${server})`, ...pythonCounted })
    await deleteAll(google)
    for (const each of opened.splice(0)) await each.close()
    await google.close()
  })

  test.each(valuesToPass)('reads what Keyturn writes: $title', async ({ title, bytes }) => {
    const path = at(`to-python/${title.replaceAll(' ', '-')}`)
    const { version: made } = await (await storeAt(endpoint ?? '')).write(path, SecretValue.bytes(bytes), intent())
    const read = await ask('access', { name: `projects/${project}/secrets/${idOf(path)}/versions/latest` })
    expect([read.data, String(read.name).endsWith(`/versions/${made}`)]).toEqual([bytes.toString('base64'), true])
  })

  test.each(valuesToPass)('writes what Keyturn reads: $title', async ({ title, bytes }) => {
    const path = at(`from-python/${title.replaceAll(' ', '-')}`)
    const made = await ask('put', { parent: `projects/${project}`, id: idOf(path), data: bytes.toString('base64') })
    const read = await (await storeAt(endpoint ?? '')).read(path)
    expect([read.value.equals(SecretValue.bytes(bytes)), String(made.name).endsWith(`/versions/${read.version}`)]).toEqual([true, true])
  })

  test('sees the states that Keyturn gives', async () => {
    const store = await storeAt(endpoint ?? '')
    const path = at('states')
    for (const each of ['first', 'second', 'third']) await store.write(path, text(each), intent())
    await store.disable(path, '1' as VersionId)
    await store.destroy(path, '2' as VersionId)
    const name = (number: number) => ({ name: `projects/${project}/secrets/${idOf(path)}/versions/${number}` })
    const states = [await ask('state', name(1)), await ask('state', name(2)), await ask('state', name(3))].map(({ state }) => state)
    expect(states).toEqual(['DISABLED', 'DESTROYED', 'ENABLED'])
  })
})

const program = `
import base64, importlib.metadata, json, sys
import grpc
from google.cloud import secretmanager
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport
call = json.load(sys.stdin)
def client():
    if not call["plain"]:
        return secretmanager.SecretManagerServiceClient()
    return secretmanager.SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=grpc.insecure_channel(call["endpoint"])))
if call["verb"] == "version":
    answer = {"version": importlib.metadata.version("google-cloud-secret-manager")}
elif call["verb"] == "access":
    made = client().access_secret_version(name=call["name"])
    answer = {"name": made.name, "data": base64.b64encode(made.payload.data).decode()}
elif call["verb"] == "state":
    answer = {"state": client().get_secret_version(name=call["name"]).state.name}
else:
    google = client()
    google.create_secret(request={"parent": call["parent"], "secret_id": call["id"], "secret": {"replication": {"automatic": {}}}})
    made = google.add_secret_version(request={"parent": call["parent"] + "/secrets/" + call["id"], "payload": {"data": base64.b64decode(call["data"])}})
    answer = {"name": made.name}
print(json.dumps(answer))
`

/** Asks the other client, in a process of its own. */
async function ask(verb: string, more: object): Promise<Record<string, unknown>> {
  const child = spawn(python ?? '', ['-c', program], { stdio: ['pipe', 'pipe', 'pipe'] })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (part: Buffer) => out.push(part))
  child.stderr.on('data', (part: Buffer) => err.push(part))
  child.stdin.end(JSON.stringify({ verb, endpoint, plain: isLoopback, ...more }))
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`the other client failed: ${Buffer.concat(err).toString().trim().split('\n').at(-1)}`)
  return JSON.parse(Buffer.concat(out).toString()) as Record<string, unknown>
}

/** What the conformance checks do not ask. Answers with the titles that were asked. */
function furtherChecks(where: () => string, outside: Put, wanted: (title: string) => boolean): readonly string[] {
  const asked: string[] = []
  const check = (title: string, run: () => Promise<void>) => {
    if (!wanted(title)) return
    asked.push(title)
    test(title, run)
  }

  check('serves what was written outside, byte for byte', async () => {
    const store = await storeAt(where())
    for (const [index, { bytes }] of valuesToPass.entries()) {
      await outside(at(`outside/${index}`), bytes)
      expect((await store.read(at(`outside/${index}`))).value.equals(SecretValue.bytes(bytes))).toBe(true)
    }
  })

  check('makes thirty versions of thirty writes at once, and tells them by their numbers', async () => {
    const store = await storeAt(where())
    await store.write(at('many'), text('first'), intent())
    const made = await Promise.all(Array.from({ length: 30 }, (_, index) => store.write(at('many'), text(`v${index}`), intent())))
    expect(new Set(made.map(({ version }) => version)).size).toBe(30)
    const versions = await Array.fromAsync(store.versions(at('many')))
    expect(versions.map(({ version }) => Number(version))).toEqual(Array.from({ length: 31 }, (_, index) => 31 - index))
  })

  check('tells absent, disabled and destroyed apart, and starts anew after a deletion', async () => {
    const store = await storeAt(where())
    for (const each of ['first', 'second', 'third']) await store.write(at('apart'), text(each), intent())
    await store.disable(at('apart'), '1' as VersionId)
    await store.destroy(at('apart'), '2' as VersionId)
    const codes = []
    for (const version of ['1', '2', '4', 'latest'])
      codes.push((await failure(store.read(at('apart'), { version: version as VersionId }))).code)
    expect([...codes, (await failure(store.read(at('never')))).code]).toEqual([
      'precondition_failed',
      'not_found',
      'not_found',
      'not_found',
      'not_found',
    ])
    await store.delete(at('apart'), intent())
    await outside(at('apart'), 'anew')
    const read = await store.read(at('apart'))
    expect([read.value.equals(text('anew')), read.version]).toEqual([true, '1'])
  })

  check('says that the newest version is disabled or destroyed, and gives no older one', async () => {
    const store = await storeAt(where())
    for (const each of ['first', 'second']) await store.write(at('newest'), text(each), intent())
    const google = bareClient(where())
    const name = `projects/${project}/secrets/${idOf(at('newest'))}/versions/2`
    // another process, which has not seen the second version
    const other = await storeAt(where())
    await google.disableSecretVersion({ name })
    expect((await failure(other.read(at('newest')))).code).toBe('precondition_failed')
    await google.destroySecretVersion({ name })
    expect((await failure(other.read(at('newest')))).code).toBe('not_found')
    await google.close()
  })

  check('changes a version by its etag: a stale one is a conflict', async () => {
    const store = await storeAt(where())
    for (const each of ['first', 'second']) await store.write(at('etag'), text(each), intent())
    const google = bareClient(where())
    const name = `projects/${project}/secrets/${idOf(at('etag'))}/versions/1`
    const [before] = await google.getSecretVersion({ name })
    await google.enableSecretVersion({ name })
    const stale = await google.disableSecretVersion({ name, etag: before.etag ?? '' }).catch((error: { code?: number }) => error.code)
    expect([before.etag !== '', stale]).toEqual([true, 9])
    await store.disable(at('etag'), '1' as VersionId)
    await google.close()
  })

  check('lists over several pages, each path once', async () => {
    for (let index = 0; index < 45; index += 1) await outside(at(`pages/${index}`), 'x')
    const listed = await Array.fromAsync((await storeAt(where(), { pageSize: 10 })).list(`${run}/pages/`))
    expect([listed.length, new Set(listed).size]).toEqual([45, 45])
  })

  check('finds all well where it is, and an absent secret', async () => {
    const store = await storeAt(where())
    await store.write(at('well'), text('x'), intent())
    expect([...(await store.examine(null)), ...(await store.examine(at('well')))].filter(({ ok }) => !ok)).toEqual([])
    expect((await store.examine(at('none'))).some(({ code }) => code === 'not_found')).toBe(true)
  })
  return asked
}

async function storeAt(where: string, more: object = {}): Promise<Store> {
  const adapter = await adapterAt(where, more)
  opened.push(adapter)
  return new Store(adapter, { name: 'gcp', clock: wallClock, timeoutMs: 30_000 })
}

type Put = (path: string, value: string | Uint8Array) => Promise<void>

/** Adds a version past the adapter, and lets an alias name it. */
function put(google: () => SecretManagerServiceClient, alias?: string): Put {
  return async (path, value) => {
    const parent = `projects/${project}`
    const name = `${parent}/secrets/${idOf(path)}`
    await google()
      .createSecret({ parent, secretId: idOf(path), secret: { replication: { automatic: {} } } })
      .catch((error: { code?: number }) => {
        if (error.code !== 6) throw error
      })
    const [made] = await google().addSecretVersion({ parent: name, payload: { data: Buffer.from(value) } })
    if (alias === undefined) return
    const versionAliases = { [alias]: Number(made.name?.split('/').at(-1)) }
    await google().updateSecret({ secret: { name, versionAliases }, updateMask: { paths: ['version_aliases'] } })
  }
}

function harnessAt(where: () => string, outside: Put, alias?: string): StoreHarness {
  let paths = 0
  const more = alias === undefined ? {} : { alias }
  return {
    name: `adapter-gcp, ${server}`,
    capabilities: [
      'versions',
      'disable',
      'enable',
      'destroy',
      'delete',
      ...(alias === undefined ? [] : (['cas', 'idempotent', 'stages'] as const)),
    ],
    forms: ['text'],
    prefix: `${run}/conformance${alias ?? ''}/`,
    open: () => adapterAt(where(), more),
    freshPath() {
      paths += 1
      return at(`conformance${alias ?? ''}/${paths}`)
    },
    behind: outside,
    async fill(all) {
      for (const path of all) await outside(path, 'filled')
    },
    faults: [{ title: 'nobody listens', code: 'unavailable', path: at('x'), open: () => adapterAt('127.0.0.1:1', more) }],
  }
}

function bareClient(where = endpoint ?? ''): SecretManagerServiceClient {
  const [host = '', port = '443'] = where.split(':')
  return new SecretManagerServiceClient(
    /^(?:127\.|localhost)/.test(host)
      ? {
          apiEndpoint: host,
          port: Number(port),
          sslCreds: credentials.createInsecure(),
          auth: new GoogleAuth({ authClient: new PassThroughClient() }),
        }
      : { apiEndpoint: host, projectId: project },
  )
}

async function deleteAll(google: SecretManagerServiceClient): Promise<void> {
  const [all] = await google.listSecrets({ parent: `projects/${project}`, pageSize: 25_000 }, { autoPaginate: false })
  for (const { name } of all) if (name?.includes(`/secrets/${run}`)) await google.deleteSecret({ name })
}
