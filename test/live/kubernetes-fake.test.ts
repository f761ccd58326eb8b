import { request } from 'node:https'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KubernetesFake } from '../fakes/kubernetes.ts'
import { findKubernetes, type Kubernetes, startKubernetes } from '../servers/kubernetes.ts'
import { tally, tell } from './tell.ts'

/** Our own fake beside the real server: what one answers to a request, the other must. Where they differ, the fake is wrong. */
const binaries = await findKubernetes()

let cluster: Kubernetes
let fake: KubernetesFake

const namespace = '/api/v1/namespaces/same'
const secrets = `${namespace}/secrets`
const table = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const data = { k: 'dg==' }
const body = (name: string, more: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, ...metadata },
  data,
  ...more,
})
const other = '00000000-0000-0000-0000-000000000000'

interface Ask {
  readonly method: string
  readonly path: string
  readonly body?: object | string
  readonly accept?: string
  /** Default: the administrator's; null: none. */
  readonly token?: string | null
}

/** One story, in its order: later requests meet what earlier ones left. */
const story: readonly (readonly [string, Ask])[] = [
  ['what is not there', { method: 'GET', path: `${secrets}/none` }],
  ['what is not there, in a namespace that is not there', { method: 'GET', path: '/api/v1/namespaces/none/secrets/none' }],
  ['making it where no namespace is', { method: 'POST', path: '/api/v1/namespaces/none/secrets', body: body('one') }],
  ['making it', { method: 'POST', path: `${secrets}?fieldManager=keyturn`, body: body('one', {}, { labels: { a: 'b' } }) }],
  ['making it again', { method: 'POST', path: secrets, body: body('one') }],
  ['reading it', { method: 'GET', path: `${secrets}/one` }],
  ['reading it as a table without objects', { method: 'GET', path: `${secrets}?limit=1&includeObject=None`, accept: table }],
  ['namespaces as a table without objects', { method: 'GET', path: '/api/v1/namespaces?limit=1&includeObject=None', accept: table }],
  ['replacing it, stale', { method: 'PUT', path: `${secrets}/one`, body: body('one', { type: 'Opaque' }, { resourceVersion: '1' }) }],
  ['replacing another of its name', { method: 'PUT', path: `${secrets}/one`, body: body('one', { type: 'Opaque' }, { uid: other }) }],
  [
    'replacing what is not there',
    { method: 'PUT', path: `${secrets}/none`, body: body('none', { type: 'Opaque' }, { uid: other, resourceVersion: '1' }) },
  ],
  ['replacing its type', { method: 'PUT', path: `${secrets}/one`, body: body('one', { type: 'other' }) }],
  ['replacing it without a version', { method: 'PUT', path: `${secrets}/one?fieldManager=keyturn`, body: body('one', { type: 'Opaque' }) }],
  ['taking another of its name away', { method: 'DELETE', path: `${secrets}/one`, body: { preconditions: { uid: other } } }],
  ['taking it away, stale', { method: 'DELETE', path: `${secrets}/one`, body: { preconditions: { resourceVersion: '1' } } }],
  ['taking it away', { method: 'DELETE', path: `${secrets}/one`, body: {} }],
  ['taking it away again', { method: 'DELETE', path: `${secrets}/one`, body: {} }],
  ['making what never changes', { method: 'POST', path: secrets, body: body('fixed', { immutable: true }) }],
  [
    'changing it',
    { method: 'PUT', path: `${secrets}/fixed`, body: body('fixed', { type: 'Opaque', immutable: true, data: { k: 'dw==' } }) },
  ],
  ['making what is held', { method: 'POST', path: secrets, body: body('held', {}, { finalizers: ['example.com/kept'] }) }],
  ['taking that away', { method: 'DELETE', path: `${secrets}/held`, body: {} }],
  ['reading it then', { method: 'GET', path: `${secrets}/held` }],
  ['too much of it', { method: 'POST', path: secrets, body: body('big', { data: { k: Buffer.alloc(1_048_577).toString('base64') } }) }],
  [
    'as much as it takes',
    { method: 'POST', path: secrets, body: body('most', { data: { k: Buffer.alloc(1_048_576).toString('base64') } }) },
  ],
  [
    'more than a request takes',
    { method: 'POST', path: secrets, body: body('huge', { data: { k: Buffer.alloc(3_000_000).toString('base64') } }) },
  ],
  ['a field that cannot be called so', { method: 'POST', path: secrets, body: body('named', { data: { 'a b': '' } }) }],
  ['a name that cannot be', { method: 'POST', path: secrets, body: body('Named') }],
  ['what is no base64', { method: 'POST', path: secrets, body: body('named', { data: { k: '!' } }) }],
  [
    'a field that its type wants',
    { method: 'POST', path: secrets, body: body('pair', { type: 'kubernetes.io/tls', data: { 'tls.key': '' } }) },
  ],
  ['a token of nobody', { method: 'GET', path: `${secrets}/one`, token: 'nobody' }],
  ['nobody at all', { method: 'GET', path: `${secrets}/one`, token: null }],
  ['a resource that it does not have', { method: 'GET', path: '/api/v1/nothing' }],
  [
    'a review of access',
    {
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: { spec: { resourceAttributes: { verb: 'get', resource: 'secrets', namespace: 'same' } } },
    },
  ],
]

describe.skipIf(binaries === undefined)('our own fake answers as the real API server does to', () => {
  beforeAll(async () => {
    // skipped without the programs
    cluster = await startKubernetes(binaries as NonNullable<typeof binaries>)
    fake = await KubernetesFake.start()
    await cluster.must('POST', '/api/v1/namespaces', { metadata: { name: 'same' } })
    fake.secrets.namespaces.add('same')
  })
  const counted = tally()
  afterAll(async () => {
    await tell({ adapter: 'kubernetes (our fake beside it)', server: `kubernetes ${cluster.version}`, ...counted })
    await fake.close()
    await cluster.stop()
    expect(fake.broken).toEqual([])
  })

  test.each(story)('%s', async (_, ask) => {
    const real = await send(cluster.url, cluster.adminToken, ask)
    expect(await send(fake.url, fake.admin, ask)).toEqual(real)
  })
})

/** What of an answer a client goes by: not its times, counters and sentences. */
async function send(url: string, admin: string, { method, path, body: sent, accept, token = admin }: Ask): Promise<object> {
  const text = sent === undefined ? '' : JSON.stringify(sent)
  const headers = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(text)),
    ...(accept === undefined ? {} : { accept }),
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  }
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, url), { method, headers, ca: fake.ca, agent: false }, response => {
      response
        .toArray()
        .then(parts =>
          resolve({ status: response.statusCode, type: response.headers['content-type'], ...shape(JSON.parse(parts.join('')) as Answer) }),
        )
        .catch(reject)
    })
    asked.on('error', reject)
    asked.end(text)
  })
}

interface Answer {
  readonly kind: string
  readonly reason?: string
  readonly details?: {
    readonly kind?: string
    readonly name?: string
    readonly causes?: readonly { readonly reason: string; readonly field: string }[]
  }
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly type?: string
  readonly immutable?: boolean
  readonly data?: object
  readonly columnDefinitions?: readonly { readonly format?: string }[]
  readonly rows?: readonly { readonly cells: readonly unknown[]; readonly object?: unknown }[]
  readonly status?: { readonly allowed?: boolean } | string
}

function shape({ kind, reason, details, metadata = {}, type, immutable, data: held, columnDefinitions, rows, status }: Answer): object {
  const { name, namespace: within, labels, finalizers, deletionTimestamp, managedFields, continue: next } = metadata
  const managers =
    kind === 'Secret' && Array.isArray(managedFields)
      ? managedFields.map(({ manager, fieldsV1 }) => [manager, 'f:data' in fieldsV1])
      : undefined
  return {
    kind,
    reason,
    about: details?.kind,
    causes: details?.causes?.map(cause => [cause.reason, cause.field]).slice(0, 1),
    object: { name, within, labels, finalizers, isGoing: deletionTimestamp !== undefined, managers, type, immutable, held },
    nameAt: columnDefinitions?.findIndex(({ format }) => format === 'name'),
    rows: rows?.map(({ cells, object }) => [typeof cells[0], object ?? null]),
    hasMore: typeof next === 'string' && next !== '',
    allowed: typeof status === 'object' ? status.allowed : undefined,
  }
}
