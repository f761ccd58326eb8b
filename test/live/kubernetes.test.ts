import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { open, options } from '@keyturn/adapter-kubernetes'
import { failure, runStoreChecks, type StoreHarness, testContext, wallClock } from '@keyturn/conformance'
import { type BrokerError, SecretValue, Store, type StoreAdapter, type StorePath, textOf } from '@keyturn/core'
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { testCertificates } from '../fakes/tls/certificates.ts'
import { findKubernetes, type Kubernetes, startKubernetes } from '../servers/kubernetes.ts'
import { KubernetesAccounts, type Rule } from '../servers/kubernetes-accounts.ts'
import { serversFolder } from '../servers/programs.ts'
import { tally, tell } from './tell.ts'

/** The adapter against a real API server with RBAC on. */
const binaries = await findKubernetes()
const context = testContext('live')
const all = ['get', 'list', 'create', 'update', 'delete']
let prepared = false

let cluster: Kubernetes
let accounts: KubernetesAccounts
let folder: string
let everything: string
const opened: StoreAdapter[] = []

const adapter = async (more: object, env: Record<string, string> = {}): Promise<StoreAdapter> => {
  const made = await open(options.parse(more), context, { env })
  opened.push(made)
  return made
}
const withToken = (token: string) => adapter({ address: cluster.url, ca: cluster.ca, auth: { method: 'token', token } })
const store = (of: StoreAdapter) => new Store(of, { name: 'kubernetes', clock: wallClock, timeoutMs: 30_000 })
const at = (path: string) => path as StorePath
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const secret = (fields: Record<string, string>) => SecretValue.fields(fields)
const secrets = (namespace: string, name = '') => `/api/v1/namespaces/${namespace}/secrets${name === '' ? '' : `/${name}`}`
const base64 = (text: string | Uint8Array) => Buffer.from(text).toString('base64')

describe.runIf(binaries === undefined)('without a Kubernetes API server', () => {
  test('the row says absent', async () => {
    const absent = 'no `etcd` and `kube-apiserver` in KUBEBUILDER_ASSETS, in the cache folder of servers or on PATH'
    await tell({ adapter: 'kubernetes', server: 'kubernetes', passed: 0, failed: 0, absent })
  })
})

describe.skipIf(binaries === undefined)('adapter-kubernetes on a real API server', () => {
  beforeAll(async () => {
    // skipped without the programs
    cluster = await startKubernetes(binaries as NonNullable<typeof binaries>)
    accounts = new KubernetesAccounts(cluster)
    folder = await mkdtemp(join(tmpdir(), 'keyturn-live-'))
    for (const name of ['conformance', 'shop', 'other', 'many']) await cluster.must('POST', '/api/v1/namespaces', { metadata: { name } })
    everything = await accounts.make('conformance', 'broker', [{ apiGroups: [''], resources: ['secrets'], verbs: all }])
    prepared = true
  })
  const counted = tally()
  afterAll(async () => {
    for (const each of opened) await each.close()
    if (!prepared) counted.failed += 1
    await tell({ adapter: 'kubernetes', server: `kubernetes ${cluster.version}`, ...counted })
    await cluster.stop()
    await rm(folder, { recursive: true })
  })

  describe('with the rights of its README, in one namespace', () => void runStoreChecks(harness(), { test }))

  test('needs exactly the rights that its README names, each for what it says there', async () => {
    const readme = await readFile(new URL('../../packages/adapter-kubernetes/README.md', import.meta.url), 'utf8')
    const role = parse(/```yaml\n(apiVersion: rbac[\s\S]*?)```/.exec(readme)?.[1] ?? '') as { rules: Rule[] }
    const rule = (verb: string) => role.rules.filter(each => each.verbs.includes(verb))
    await cluster.must('POST', secrets('shop'), { metadata: { name: 'stripe' }, data: { k: base64('v') } })
    await cluster.must('POST', secrets('shop'), { metadata: { name: 'neighbour' }, data: { k: base64('v') } })
    const may = async (rules: readonly Rule[]) => {
      const on = store(await withToken(await accounts.make('shop', `a${crypto.randomUUID()}`, rules)))
      const done = (call: Promise<unknown>) =>
        call.then(
          () => 'done',
          (error: BrokerError) => error.code,
        )
      const listed = async () => {
        for await (const _ of on.list('shop/')) return
      }
      return {
        read: await done(on.read(at('shop/stripe'))),
        neighbour: await done(on.read(at('shop/neighbour'))),
        write: await done(on.write(at('shop/stripe'), secret({ k: 'w' }), intent())),
        list: await done(listed()),
      }
    }
    const denied = 'permission_denied'
    expect(await may(rule('get'))).toEqual({ read: 'done', neighbour: denied, write: denied, list: denied })
    expect(await may([...rule('get'), ...rule('update')])).toEqual({ read: 'done', neighbour: denied, write: 'done', list: denied })
    expect(await may(rule('list'))).toEqual({ read: denied, neighbour: denied, write: denied, list: 'done' })
    const maker = store(
      await withToken(await accounts.make('shop', 'maker', [...rule('create'), { ...first(rule('get')), resourceNames: ['made'] }])),
    )
    await maker.write(at('shop/made'), secret({ k: 'v' }), { ...intent(), ifMatch: null })
    expect((await failure(maker.delete(at('shop/made'), intent()))).code).toBe(denied)
    const remover = store(await withToken(await accounts.make('shop', 'remover', [...rule('get'), ...rule('delete')])))
    await remover.delete(at('shop/stripe'), intent())
    expect((await cluster.api('GET', secrets('shop', 'stripe'))).status).toBe(404)
    const missing = await failure(remover.write(at('shop/stripe'), secret({ k: 'v' }), intent()))
    expect([missing.message, missing.hint]).toEqual([
      expect.stringContaining('may not create secrets in namespace shop'),
      expect.stringContaining('[create]'),
    ])
  })

  test('says by examine which rights are missing', async () => {
    await cluster.must('POST', secrets('shop'), { metadata: { name: 'seen' }, data: { api_key: base64('v') } })
    const reader = store(
      await withToken(
        await accounts.make('shop', 'seer', [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['seen'], verbs: ['get'] }]),
      ),
    )
    const well = await reader.examine(at('shop/seen'))
    expect(well.filter(finding => !finding.ok)).toEqual([])
    expect(well.map(finding => finding.detail).join()).toMatch(/create, update, delete.*fields: api_key/)
    const denied = await reader.examine(at('shop/neighbour'))
    expect(denied.find(finding => !finding.ok)).toMatchObject({ code: 'permission_denied', what: 'right to get shop/neighbour' })
    expect(await reader.examine(null)).toEqual([{ ok: true, what: 'login' }])
  })

  test('serves what others made, bytes and all, and leaves all but the data as it was', async () => {
    const metadata = { name: 'made-outside', labels: { team: 'shop' }, annotations: { note: 'kept' }, finalizers: ['example.com/kept'] }
    const data = {
      'tls.crt': base64('c'),
      'tls.key': base64(Uint8Array.of(0, 255, 10)),
      empty: '',
      __proto__x: base64('y'),
      ['__proto__']: base64('z'),
    }
    await cluster.must('POST', secrets('shop'), { metadata, type: 'kubernetes.io/tls', data })
    const on = store(await withToken(cluster.adminToken))
    const read = await on.read(at('shop/made-outside'))
    expect(read.value.fieldNames).toEqual(['__proto__', '__proto__x', 'empty', 'tls.crt', 'tls.key'])
    await on.write(at('shop/made-outside'), read.value.with({ 'tls.crt': 'new' }), { ...intent(), ifMatch: read.etag })
    const after = (await cluster.must('GET', secrets('shop', 'made-outside'))) as unknown as Shown
    expect(after).toMatchObject({ type: 'kubernetes.io/tls', metadata: { labels: metadata.labels, finalizers: metadata.finalizers } })
    expect(after.metadata.annotations).toEqual({ note: 'kept', 'keyturn-intents': expect.stringMatching(/^[0-9a-f]{32}=[0-9a-f]{16}$/) })
    expect(Object.entries(after.data)).toEqual(expect.arrayContaining(Object.entries({ ...data, 'tls.crt': base64('new') })))
    const broken = await failure(on.write(at('shop/made-outside'), secret({ other: 'canary-in-a-field' }), intent()))
    expect([broken.code, JSON.stringify(broken) + broken.stack]).toEqual(['invalid_argument', expect.not.stringContaining('canary')])
    await on.delete(at('shop/made-outside'), intent())
    expect((await failure(on.read(at('shop/made-outside')))).hint).toContain('finalizers')
  })

  test('is read by kubectl, vals and the SDK as it comes, and reads what they wrote', async () => {
    const file = await kubeconfig('readers', { token: cluster.adminToken })
    const on = store(await adapter({ auth: { method: 'kubeconfig', file } }))
    await on.write(at('shop/read-outside'), secret({ api_key: 'exact \u{1f511}\r\n\0' }), intent())
    const config = new KubeConfig()
    config.loadFromFile(file)
    const api = config.makeApiClient(CoreV1Api)
    expect((await api.readNamespacedSecret({ namespace: 'shop', name: 'read-outside' })).data).toEqual({
      api_key: base64('exact \u{1f511}\r\n\0'),
    })
    await api.createNamespacedSecret({ namespace: 'shop', body: { metadata: { name: 'by-sdk' }, stringData: { k: 'from the sdk' } } })
    expect(await textAt(on, 'shop/by-sdk', 'k')).toBe('from the sdk')
    const kubectl = await reader('kubectl', 'version --client', file)
    const path = '{.data.api_key}'
    expect(await kubectl?.('get', 'secret', 'read-outside', '-n', 'shop', '-o', `jsonpath=${path}`)).toBe(
      kubectl && base64('exact \u{1f511}\r\n\0'),
    )
    await kubectl?.('create', 'secret', 'generic', 'by-kubectl', '-n', 'shop', '--from-literal=k=from kubectl')
    if (kubectl !== undefined) expect(await textAt(on, 'shop/by-kubectl', 'k')).toBe('from kubectl')
    const vals = await reader('vals', 'version', file)
    const ref = `ref+k8s://v1/Secret/shop/by-sdk/k?kubeConfigPath=${file}`
    expect((await vals?.('get', ref))?.trim()).toBe(vals && 'from the sdk')
  })

  test('refuses to write what is not its own, and a namespace that is gone or going', async () => {
    const on = store(await withToken(cluster.adminToken))
    const owner = {
      apiVersion: 'external-secrets.io/v1',
      kind: 'ExternalSecret',
      name: 'stripe',
      uid: crypto.randomUUID(),
      controller: true,
    }
    const make = (name: string, more: object, metadata: object = {}) =>
      cluster.must('POST', secrets('shop'), { metadata: { name, ...metadata }, data: { k: base64('v') }, ...more })
    await make('immutable', { immutable: true })
    await make('owned', {}, { ownerReferences: [owner] })
    await make(
      'minted',
      { type: 'kubernetes.io/service-account-token' },
      { annotations: { 'kubernetes.io/service-account.name': 'maker' } },
    )
    await make('release', { type: 'helm.sh/release.v1' })
    await cluster.must('POST', '/api/v1/namespaces', { metadata: { name: 'ending' } })
    await cluster.must('DELETE', '/api/v1/namespaces/ending')
    for (const path of ['shop/immutable', 'shop/owned', 'shop/minted', 'shop/release', 'ending/x', 'nowhere/x']) {
      const error = await failure(on.write(at(path), secret({ k: 'w' }), intent()))
      expect([path, error.code, error.hint]).toEqual([path, 'precondition_failed', expect.any(String)])
    }
    expect((await failure(on.read(at('nowhere/x')))).code).toBe('not_found')
    expect(await textAt(on, 'shop/immutable', 'k')).toBe('v')
  })

  test('lets every unconditional writer in, one after the other, and loses nobody’s neighbour', async () => {
    const writers = await Promise.all(Array.from({ length: 4 }, () => withToken(everything).then(store)))
    await Promise.all(writers.map((on, index) => on.write(at('conformance/raced'), secret({ k: String(index) }), intent())))
    const kept = (await cluster.must('GET', secrets('conformance', 'raced'))) as unknown as Shown
    expect(kept.metadata.annotations?.['keyturn-intents']?.split(' ')).toHaveLength(4)
  })

  test('follows a service account’s token that is replaced, and says so when none is good', async () => {
    const pod = join(folder, 'pod')
    await mkdir(pod)
    await writeFile(join(pod, 'ca.crt'), cluster.ca)
    await accounts.make('shop', 'pod', [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }])
    await cluster.must('POST', secrets('shop'), { metadata: { name: 'life' } })
    await cluster.must('POST', secrets('shop'), { metadata: { name: 'for-pods' }, data: { k: base64('v') } })
    await writeFile(join(pod, 'token'), await accounts.token('shop', 'pod', { kind: 'Secret', apiVersion: 'v1', name: 'life' }))
    const { hostname, port } = new URL(cluster.url)
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
    const on = store(await adapter({ auth: { method: 'in-cluster', folder: pod } }, env))
    expect(await textAt(on, 'shop/for-pods', 'k')).toBe('v')
    // a token ends with the object that it is bound to
    await cluster.must('DELETE', secrets('shop', 'life'))
    let error: BrokerError | undefined
    for (
      const until = Date.now() + 60_000;
      error === undefined && Date.now() < until;
      await new Promise(resolve => setTimeout(resolve, 500))
    ) {
      error = await on.read(at('shop/for-pods')).then(
        () => undefined,
        (failed: BrokerError) => failed,
      )
    }
    expect([error?.code, error?.message]).toEqual(['unauthenticated', expect.stringContaining('the service account of the pod')])
    await writeFile(join(pod, 'token'), await accounts.token('shop', 'pod'))
    await Promise.all(Array.from({ length: 20 }, async () => expect(await textAt(on, 'shop/for-pods', 'k')).toBe('v')))
  })

  test('logs in by a client certificate, a kubeconfig of one, and a plugin that the section allows', async () => {
    await accounts.bind('shop', 'certified', { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'test-only-client' }, [
      { apiGroups: [''], resources: ['secrets'], verbs: ['get'] },
    ])
    await cluster.must('POST', secrets('shop'), { metadata: { name: 'for-all' }, data: { k: base64('v') } })
    const [certFile, keyFile] = [join(folder, 'client.pem'), join(folder, 'client.key')]
    await writeFile(certFile, testCertificates.client.cert)
    await writeFile(keyFile, testCertificates.client.key)
    const direct = await adapter({ address: cluster.url, ca: cluster.ca, auth: { method: 'certificate', certFile, keyFile } })
    expect(await textAt(store(direct), 'shop/for-all', 'k')).toBe('v')
    const user = { 'client-certificate-data': base64(testCertificates.client.cert), 'client-key': 'client.key' }
    const config = await adapter({ auth: { method: 'kubeconfig' } }, { KUBECONFIG: await kubeconfig('certified', user) })
    expect(await textAt(store(config), 'shop/for-all', 'k')).toBe('v')
    const script = join(folder, 'plugin')
    const answer = { kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status: { token: cluster.adminToken } }
    await writeFile(script, `#!/bin/sh\necho '${JSON.stringify(answer)}'\n`)
    await chmod(script, 0o700)
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin', interactiveMode: 'Never' }
    const file = await kubeconfig('plugged', { exec })
    const allowed = await adapter({ auth: { method: 'kubeconfig', file, exec: ['./plugin'] } })
    expect(await textAt(store(allowed), 'shop/for-all', 'k')).toBe('v')
    expect((await failure(store(await adapter({ auth: { method: 'kubeconfig', file } })).read(at('shop/for-all')))).hint).toContain(
      'auth.exec',
    )
    const nobody = await failure(store(await withToken('a-token-of-nobody')).read(at('shop/for-all')))
    expect(nobody.code).toBe('unauthenticated')
    const untrusted = await failure(
      store(await adapter({ address: cluster.url, auth: { method: 'token', token: everything } })).read(at('shop/for-all')),
    )
    expect([untrusted.code, untrusted.message]).toEqual(['unavailable', expect.stringMatching(/failed/)])
  })

  test('lists thousands of names and no value, in every namespace, and never a part of them', async () => {
    const names = Array.from({ length: 2_500 }, (_, index) => `n${index}`)
    await eachOf(names, name => cluster.must('POST', secrets('many'), { metadata: { name }, data: { k: base64('v') } }))
    const on = store(await withToken(cluster.adminToken))
    const listed: string[] = []
    for await (const path of on.list('many/')) listed.push(path)
    expect(listed.sort()).toEqual(names.map(name => `many/${name}`).sort())
    const whole: string[] = []
    for await (const path of on.list('')) whole.push(path)
    expect([new Set(whole).size, whole.filter(path => path.startsWith('many/')).length]).toEqual([whole.length, 2_500])
    const slow = on.list('many/')[Symbol.asyncIterator]()
    await slow.next()
    await cluster.must('PUT', secrets('many', 'n0'), { metadata: { name: 'n0' }, type: 'Opaque', data: {} })
    await cluster.compact()
    const rest = async () => {
      while (!(await slow.next()).done);
    }
    const late = await failure(rest())
    expect([late.code, late.hint]).toEqual(['unavailable', 'list it again'])
  })
})

/** A Secret as the server shows it. */
interface Shown {
  readonly type: string
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
  readonly data: Readonly<Record<string, string>>
}

function harness(): StoreHarness {
  let paths = 0
  const name = (path: string) => path.slice('conformance/'.length)
  const put = async (path: string, value: string) => {
    const body = { metadata: { name: name(path) }, type: 'Opaque', data: { value: base64(value) } }
    const made = await cluster.api('POST', secrets('conformance'), body)
    if (made.status === 409) await cluster.must('PUT', secrets('conformance', name(path)), body)
    else expect(made.status).toBe(201)
  }
  return {
    name: 'adapter-kubernetes, live',
    capabilities: ['cas', 'idempotent', 'delete'],
    forms: ['fields'],
    prefix: 'conformance/',
    open: () => withToken(everything),
    freshPath() {
      paths += 1
      return at(`conformance/n${paths}`)
    },
    behind: put,
    fill: paths => eachOf(paths, path => put(path, 'filled')),
    faults: [
      { title: 'the token was refused', code: 'unauthenticated', path: at('conformance/x'), open: () => withToken('a-token-that-ended') },
      ...(['read', 'write', 'list'] as const).map(operation => ({
        title: `${operation} is denied`,
        code: 'permission_denied' as const,
        operation,
        path: at('conformance/x'),
        open: async () => withToken(await accounts.make('conformance', `nobody-${operation}-${crypto.randomUUID()}`, [])),
      })),
      {
        title: 'nobody listens',
        code: 'unavailable',
        path: at('conformance/x'),
        open: () => adapter({ address: 'https://127.0.0.1:1', auth: { method: 'token', token: 't' } }),
      },
    ],
  }
}

async function kubeconfig(name: string, user: object): Promise<string> {
  const file = join(folder, `${name}.kubeconfig`)
  const server = { server: cluster.url, 'certificate-authority-data': base64(cluster.ca) }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'live',
    clusters: [{ name: 'live', cluster: server }],
    contexts: [{ name: 'live', context: { cluster: 'live', user: 'live' } }],
    users: [{ name: 'live', user }],
  }
  await writeFile(file, JSON.stringify(config), { mode: 0o600 })
  return file
}

/** A program on PATH or in the cache folder of servers, which reads this kubeconfig; undefined when there is none. */
async function reader(program: string, probe: string, file: string): Promise<((...args: string[]) => Promise<string>) | undefined> {
  const env = { PATH: `${process.env.PATH}:${join(serversFolder(), 'readers', 'bin')}`, HOME: folder, KUBECONFIG: file }
  const run = async (...args: string[]) => (await promisify(execFile)(program, args, { env })).stdout
  return run(...probe.split(' ')).then(
    () => run,
    () => undefined,
  )
}

async function textAt(on: Store, path: string, field: string): Promise<string | undefined> {
  const revealed = (await on.read(at(path))).value.reveal()
  const found = 'fields' in revealed ? revealed.fields.get(field) : undefined
  return found === undefined ? undefined : textOf(found)
}

/** All of them, a few at a time. */
async function eachOf<T>(items: readonly T[], run: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items]
  const work = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await run(item)
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

function first<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined) throw new Error('there is none')
  return item
}
