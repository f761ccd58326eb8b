import { invalid, notFound, Refusal } from './kubernetes-status.ts'

export type Json = Readonly<Record<string, unknown>>

/** A Secret as the fake keeps it. */
export interface Stored {
  readonly apiVersion: 'v1'
  readonly kind: 'Secret'
  readonly metadata: Json & { readonly name: string; readonly namespace: string; readonly uid: string; readonly resourceVersion: string }
  readonly type: string
  readonly data?: Readonly<Record<string, string>>
  readonly immutable?: boolean
}

/** What happened to an object, as a watch tells it. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: Stored
}

const dataBytesMax = 1_048_576
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const keyName = /^[-._a-zA-Z0-9]{1,253}$/

/**
 * The Secrets of a cluster. It copies: one counter of `resourceVersion` for everything, `uid` anew for an object made anew, AlreadyExists, Conflict
 * for a stale `resourceVersion` or another `uid`, replacing without one, `immutable`, a `type` that stays, checks of names, keys, base64 and size,
 * `managedFields` with the time of the last write, finalizers that hold a deleted object, namespaces that are absent or end, and lists of one moment that
 * are read in pages and expire. Seen on kube-apiserver 1.20.2; https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
export class KubernetesSecrets {
  readonly #objects = new Map<string, Stored>()
  readonly #snapshots = new Map<string, readonly string[]>()
  readonly #watchers = new Set<(change: Change) => void>()
  readonly #now: () => number
  readonly namespaces = new Set(['default'])
  readonly ending = new Set<string>()
  #version = 100

  constructor(now: () => number) {
    this.#now = now
  }

  get version(): string {
    return String(this.#version)
  }

  /** Whoever wants to know each change from now on; the answer ends that. */
  watch(tell: (change: Change) => void): () => void {
    this.#watchers.add(tell)
    return () => this.#watchers.delete(tell)
  }

  /** Writes past the API, as another client would: makes or replaces. */
  put(namespace: string, name: string, fields: Readonly<Record<string, string | Uint8Array>>, more: Json = {}): Stored {
    const data = Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, Buffer.from(value).toString('base64')]))
    const { metadata = {}, ...rest } = more
    const found = this.#objects.get(`${namespace}/${name}`)
    const body = { ...found, ...rest, data, metadata: { ...found?.metadata, ...(metadata as Json), name, namespace } }
    return found === undefined ? this.create(namespace, body, 'another') : this.replace(namespace, name, body, 'another')
  }

  get(namespace: string, name: string): Stored {
    const found = this.#objects.get(`${namespace}/${name}`)
    if (found === undefined) throw notFound('secrets', name)
    return found
  }

  /** Everything that is kept in a namespace, for tests. */
  all(namespace: string): readonly Stored[] {
    return [...this.#objects.values()].filter(each => each.metadata.namespace === namespace)
  }

  create(namespace: string, body: Json, manager: string): Stored {
    const metadata = body.metadata as Json & { name: string }
    const { name } = metadata
    if (!this.namespaces.has(namespace)) throw notFound('namespaces', namespace)
    if (this.ending.has(namespace)) {
      const message = `secrets "${name}" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`
      throw new Refusal(403, 'Forbidden', message, {
        name,
        kind: 'secrets',
        causes: [{ reason: 'NamespaceTerminating', field: 'metadata.namespace' }],
      })
    }
    if (!subdomain.test(name)) throw invalid(name, 'metadata.name', 'FieldValueInvalid', `Invalid value: "${name}"`)
    const key = `${namespace}/${name}`
    if (this.#objects.has(key)) throw new Refusal(409, 'AlreadyExists', `secrets "${name}" already exists`, { name, kind: 'secrets' })
    const creationTimestamp = this.#second()
    const fresh = { ...metadata, namespace, uid: crypto.randomUUID(), creationTimestamp }
    return this.#keep(key, { ...body, type: body.type ?? 'Opaque', metadata: fresh }, manager, 'ADDED')
  }

  replace(namespace: string, name: string, body: Json, manager: string): Stored {
    const { uid, resourceVersion } = body.metadata as Json
    const stale = (why: string) =>
      new Refusal(409, 'Conflict', `Operation cannot be fulfilled on secrets "${name}": ${why}`, { name, kind: 'secrets' })
    if (uid !== undefined && !this.#objects.has(`${namespace}/${name}`)) throw stale('StorageError: invalid object, Code: 4')
    const found = this.get(namespace, name)
    if (uid !== undefined && uid !== found.metadata.uid) throw stale('Precondition failed: UID in precondition')
    if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== found.metadata.resourceVersion) {
      throw stale('the object has been modified; please apply your changes to the latest version and try again')
    }
    const isSame = JSON.stringify(body.data ?? {}) === JSON.stringify(found.data ?? {})
    if (found.immutable === true && (!isSame || body.immutable !== true)) {
      throw invalid(name, 'data', 'FieldValueForbidden', 'Forbidden: field is immutable when `immutable` is set')
    }
    if (body.type !== found.type) throw invalid(name, 'type', 'FieldValueInvalid', 'Invalid value: "Opaque": field is immutable')
    const { creationTimestamp } = found.metadata
    const metadata = { ...(body.metadata as Json), name, namespace, uid: found.metadata.uid, creationTimestamp }
    return this.#keep(`${namespace}/${name}`, { ...body, metadata }, manager, 'MODIFIED')
  }

  delete(namespace: string, name: string, { preconditions }: { readonly preconditions?: Json }): Stored {
    const found = this.get(namespace, name)
    for (const what of ['uid', 'resourceVersion'] as const) {
      const wanted = preconditions?.[what]
      if (wanted === undefined || wanted === found.metadata[what]) continue
      const message = `Operation cannot be fulfilled on Secret "${name}": the ${what} in the precondition (${String(wanted)}) does not match`
      throw new Refusal(409, 'Conflict', message, { name, kind: 'Secret' })
    }
    const finalizers = found.metadata.finalizers
    this.#version += 1
    if (Array.isArray(finalizers) && finalizers.length > 0) {
      const metadata = { ...found.metadata, deletionTimestamp: this.#second(), resourceVersion: this.version }
      const held = { ...found, metadata }
      this.#objects.set(`${namespace}/${name}`, held)
      return held
    }
    this.#objects.delete(`${namespace}/${name}`)
    const gone = { ...found, metadata: { ...found.metadata, resourceVersion: this.version } }
    this.#tell({ type: 'DELETED', object: gone })
    return gone
  }

  /** One page of names in their order, of the moment at which the first page was read. */
  page(
    kind: 'secrets' | 'namespaces',
    namespace: string,
    query: URLSearchParams,
  ): { readonly names: readonly string[]; readonly next: string } {
    const [version = this.version, from = '0'] = Buffer.from(query.get('continue') ?? '', 'base64url')
      .toString()
      .split(' ')
      .filter(Boolean)
    const id = `${kind}/${namespace}/${version}`
    if (!query.has('continue')) this.#snapshots.set(id, this.#names(kind, namespace))
    const names = this.#snapshots.get(id)
    if (names === undefined) {
      throw new Refusal(
        410,
        'Expired',
        'The provided continue parameter is too old to display a consistent list result. You can start a new list.',
      )
    }
    const limit = Number(query.get('limit') ?? 0) || names.length
    const end = Number(from) + limit
    const next = end < names.length ? Buffer.from(`${version} ${end}`).toString('base64url') : ''
    return { names: names.slice(Number(from), end), next }
  }

  /** The server keeps its snapshots for minutes; now they are over. */
  expireLists(): void {
    this.#snapshots.clear()
  }

  #names(kind: 'secrets' | 'namespaces', namespace: string): readonly string[] {
    if (kind === 'namespaces') return [...this.namespaces].sort()
    return this.all(namespace)
      .map(each => each.metadata.name)
      .sort()
  }

  #keep(key: string, body: Json, manager: string, type: Change['type']): Stored {
    const data = checkedData(body, key.split('/')[1] ?? '')
    this.#version += 1
    const metadata = body.metadata as Stored['metadata']
    const others = (Array.isArray(metadata.managedFields) ? (metadata.managedFields as readonly Json[]) : []).filter(
      each => each.manager !== manager,
    )
    const own = {
      manager,
      operation: 'Update',
      apiVersion: 'v1',
      time: this.#second(),
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:data': {}, 'f:type': {} },
    }
    const stored: Stored = {
      ...body,
      apiVersion: 'v1',
      kind: 'Secret',
      type: String(body.type),
      ...(data === undefined ? {} : { data }),
      metadata: { ...metadata, resourceVersion: this.version, managedFields: [...others, own] },
    }
    this.#objects.set(key, stored)
    this.#tell({ type, object: stored })
    return stored
  }

  #tell(change: Change): void {
    for (const tell of this.#watchers) tell(change)
  }

  #second(): string {
    return new Date(this.#now()).toISOString().replace(/\.\d+Z$/, 'Z')
  }
}

function checkedData(body: Json, name: string): Stored['data'] {
  const data = body.data as Readonly<Record<string, string>> | undefined
  if (data === undefined) return undefined
  let bytes = 0
  for (const [key, text] of Object.entries(data)) {
    if (!keyName.test(key) || key === '.' || key.startsWith('..'))
      throw invalid(name, `data[${key}]`, 'FieldValueInvalid', `Invalid value: "${key}"`)
    const value = Buffer.from(text, 'base64')
    if (value.toString('base64') !== text)
      throw new Refusal(400, 'BadRequest', 'Secret in version "v1" cannot be handled as a Secret: illegal base64 data')
    bytes += value.byteLength
  }
  if (bytes > dataBytesMax) throw invalid(name, 'data', 'FieldValueTooLong', 'Too long: must have at most 1048576 bytes')
  if (body.type === 'kubernetes.io/tls' && !('tls.crt' in data && 'tls.key' in data))
    throw invalid(name, 'data[tls.crt]', 'FieldValueRequired', 'Required value')
  return Object.keys(data).length === 0 ? undefined : data
}
