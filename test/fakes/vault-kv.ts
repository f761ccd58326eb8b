/** What a mount of the fake answers: a status, and what stands in `data` or in the whole body. */
export interface Reply {
  readonly status: number
  readonly data?: unknown
  readonly errors?: readonly string[]
  readonly warnings?: readonly string[]
}

export interface KvRequest {
  readonly operation: 'read' | 'list' | 'write' | 'delete'
  readonly key: string
  readonly query: URLSearchParams
  readonly body: Record<string, unknown>
}

export interface Engine {
  readonly version: '1' | '2'
  handle(request: KvRequest): Reply
  /** Puts a secret there without a request. */
  put(key: string, fields: Record<string, unknown>): void
}

const absent: Reply = { status: 404, errors: [] }
const done: Reply = { status: 204 }

/** One value to a key, overwritten in place; an empty body is refused; deleting nothing is 204. https://openbao.org/api-docs/secret/kv/kv-v1/ */
export class KvOne implements Engine {
  readonly version = '1'
  readonly #values = new Map<string, Record<string, unknown>>()

  put(key: string, fields: Record<string, unknown>): void {
    this.#values.set(key, fields)
  }

  handle({ operation, key, body }: KvRequest): Reply {
    if (operation === 'list') return listed([...this.#values.keys()], key)
    if (operation === 'delete') this.#values.delete(key)
    if (operation === 'write') {
      if (Object.keys(body).length === 0) return { status: 400, errors: ['missing data fields'] }
      this.put(key, body)
    }
    if (operation !== 'read') return done
    const data = this.#values.get(key)
    return data === undefined ? absent : { status: 200, data }
  }
}

interface Version {
  readonly created_time: string
  deletion_time: string
  destroyed: boolean
  data: Record<string, unknown> | null
}

interface Secret {
  readonly versions: Map<number, Version>
  current: number
}

/**
 * Numbered versions, compare-and-set, soft delete, undelete, destroy, metadata and subkeys. Numbers in values come back as 64-bit floats, as the
 * server's own `json.Unmarshal` makes them; a version that is deleted or destroyed answers 404 with its metadata; acting on versions that are not
 * there is 204; soft deletion moves no number. https://openbao.org/api-docs/secret/kv/kv-v2/
 */
export class KvTwo implements Engine {
  readonly version = '2'
  readonly secrets = new Map<string, Secret>()
  casRequired = false

  put(key: string, fields: Record<string, unknown>): void {
    const secret = this.secrets.get(key) ?? { versions: new Map(), current: 0 }
    this.secrets.set(key, secret)
    secret.current += 1
    const created = new Date().toISOString().replace('Z', '096778Z')
    secret.versions.set(secret.current, { created_time: created, deletion_time: '', destroyed: false, data: floats(fields) })
  }

  handle({ operation, key: path, query, body }: KvRequest): Reply {
    if (operation === 'list' && query.get('limit') !== null)
      return paged(this.handle({ operation, key: path, query: new URLSearchParams(), body }), query)
    const [part = '', ...rest] = path.split('/')
    const key = rest.join('/')
    if (part === 'metadata') return this.#metadata(operation, key)
    if (key === '' && ['data', 'delete', 'undelete', 'destroy'].includes(part))
      return { status: 404, warnings: ['Non-listing operations on the root of a K/V v2 mount are not supported.'] }
    if (part === 'data' && operation === 'read') return this.#read(key, query, 'data')
    if (part === 'subkeys' && operation === 'read') return this.#read(key, query, 'subkeys')
    if (part === 'data' && operation === 'write') return this.#write(key, body)
    if (part === 'data' && operation === 'delete') return this.#mark(key, [this.secrets.get(key)?.current ?? 0], softDelete)
    if (part === 'delete') return this.#mark(key, body.versions, softDelete)
    if (part === 'undelete') return this.#mark(key, body.versions, version => (version.deletion_time = ''))
    if (part === 'destroy') return this.#mark(key, body.versions, destroy)
    return {
      status: 404,
      warnings: ['Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use.'],
    }
  }

  #read(key: string, query: URLSearchParams, part: 'data' | 'subkeys'): Reply {
    const secret = this.secrets.get(key)
    const number = Number(query.get('version') ?? 0) || (secret?.current ?? 0)
    const version = secret?.versions.get(number)
    if (version === undefined) return absent
    const { data, ...times } = version
    const metadata = { ...times, custom_metadata: null, version: number }
    const gone = version.destroyed || version.deletion_time !== ''
    const value = gone ? null : part === 'data' ? data : Object.fromEntries(Object.keys(data ?? {}).map(name => [name, null]))
    return { status: gone ? 404 : 200, data: { [part]: value, metadata } }
  }

  #write(key: string, { data, options }: Record<string, unknown>): Reply {
    if (typeof data !== 'object' || data === null) return { status: 400, errors: ['no data provided'] }
    // the body came from JSON, so that what is an object here is a plain one
    const cas = (options as Record<string, unknown> | undefined)?.cas
    if (cas === undefined && this.casRequired) return { status: 400, errors: ['check-and-set parameter required for this call'] }
    if (cas !== undefined && plainNumber(cas) !== (this.secrets.get(key)?.current ?? 0)) {
      return { status: 400, errors: ['check-and-set parameter did not match the current version'] }
    }
    this.put(key, data as Record<string, unknown>)
    const { metadata } = this.#read(key, new URLSearchParams(), 'data').data as { metadata: unknown }
    return { status: 200, data: metadata }
  }

  #mark(key: string, versions: unknown, change: (version: Version) => void): Reply {
    if (!Array.isArray(versions) || versions.length === 0) return { status: 400, errors: ['No version number provided'] }
    for (const number of versions) {
      const version = this.secrets.get(key)?.versions.get(plainNumber(number))
      if (version !== undefined && !version.destroyed) change(version)
    }
    return done
  }

  #metadata(operation: KvRequest['operation'], key: string): Reply {
    if (operation === 'list') return listed([...this.secrets.keys()], key)
    const secret = this.secrets.get(key)
    if (operation === 'delete') this.secrets.delete(key)
    if (operation !== 'read') return done
    if (secret === undefined) return absent
    const versions = Object.fromEntries([...secret.versions].map(([number, { data: _, ...times }]) => [String(number), times]))
    return {
      status: 200,
      data: { cas_required: false, current_version: secret.current, custom_metadata: null, oldest_version: 0, versions },
    }
  }
}

function softDelete(version: Version): void {
  if (version.deletion_time === '') version.deletion_time = new Date().toISOString()
}

function destroy(version: Version): void {
  version.destroyed = true
  version.data = null
}

/** The names in a folder, sorted; folders end in a slash; an empty folder is absent. */
function listed(keys: readonly string[], folder: string): Reply {
  const prefix = folder === '' || folder.endsWith('/') ? folder : `${folder}/`
  const names = keys
    .filter(key => key.startsWith(prefix))
    .map(key => {
      const rest = key.slice(prefix.length)
      const cut = rest.indexOf('/')
      return cut === -1 ? rest : rest.slice(0, cut + 1)
    })
  const sorted = [...new Set(names)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return sorted.length === 0 ? absent : { status: 200, data: { keys: sorted } }
}

/** One page of a list: KV v2 of OpenBao alone has them. https://openbao.org/api-docs/secret/kv/kv-v2/#list-secrets */
function paged(reply: Reply, query: URLSearchParams): Reply {
  const { keys = [] } = (reply.data ?? {}) as { keys?: string[] }
  const rest = keys.filter(key => Buffer.compare(Buffer.from(key), Buffer.from(query.get('after') ?? '')) > 0)
  const page = rest.slice(0, Number(query.get('limit')))
  return page.length === 0 ? absent : { status: 200, data: { keys: page } }
}

/** Parses as Go does with `UseNumber`: numbers keep their text. */
export function parseGo(text: string): unknown {
  return JSON.parse(text, (_name, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' ? json.rawJSON(context?.source ?? '') : value,
  )
}

/** Prints as Go's `encoding/json` does: members sorted, `<`, `>` and `&` escaped. */
export function printGo(value: unknown): string {
  return JSON.stringify(sorted(value)).replace(/[<>&\u2028\u2029]/g, each => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A number as `parseGo` leaves it. */
function plainNumber(value: unknown): number {
  return Number(json.isRawJSON(value) ? (value as { rawJSON: string }).rawJSON : value)
}

function floats(fields: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(fields)) as Record<string, unknown>
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || json.isRawJSON(value)) return value
  if (Array.isArray(value)) return value.map(sorted)
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map(([name, each]) => [name, sorted(each)]),
  )
}

// in V8, and not yet in the declarations of TypeScript's library
const json = JSON as typeof JSON & { rawJSON(text: string): object; isRawJSON(value: unknown): boolean }
