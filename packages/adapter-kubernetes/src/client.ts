import { BrokerError } from '@keyturn/core'
import type { Place } from './names.ts'
import { type SecretObject, secretObject } from './secret-object.ts'
import type { Session } from './session.ts'
import { isObject, isStatus, StatusError } from './status.ts'
import { TransportError, type TransportRequest } from './transport.ts'

/** A table of names and types alone: whole objects, and even their metadata, may hold values (`last-applied-configuration` does). */
const namesOnly = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }
const pageMax = 500
const manager = { fieldManager: 'keyturn' }

/** What an account may want to do with Secrets. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'delete'

/** What must still hold when a deletion comes to the object. */
export interface Preconditions {
  readonly uid: string
  readonly resourceVersion?: string
}

/**
 * The calls of the Kubernetes API that we use, each with the session's credential. The package's own typed calls are not among them: they lose a
 * field named `__proto__`, make a TLS connection per call and put what the server says into their errors. Errors: `StatusError`, `TransportError`.
 */
export class Client {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async get(place: Place, signal: AbortSignal): Promise<SecretObject> {
    return secretObject(await this.#send({ method: 'GET', path: pathOf(place), signal }), place)
  }

  /** As `get`; undefined only for the server's own "not there". */
  async find(place: Place, signal: AbortSignal): Promise<SecretObject | undefined> {
    try {
      return await this.get(place, signal)
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }

  async create(place: Place, body: object, signal: AbortSignal): Promise<SecretObject> {
    const path = `/api/v1/namespaces/${place.namespace}/secrets`
    return secretObject(await this.#send({ method: 'POST', path, query: manager, body: JSON.stringify(body), signal }), place)
  }

  async replace(place: Place, body: object, signal: AbortSignal): Promise<SecretObject> {
    const request = { method: 'PUT', path: pathOf(place), query: manager, body: JSON.stringify(body), signal } as const
    return secretObject(await this.#send(request), place)
  }

  async delete(place: Place, preconditions: Preconditions, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', preconditions })
    await this.#send({ method: 'DELETE', path: pathOf(place), body, signal })
  }

  /** The names of the Secrets of a namespace, page by page, of one moment of the cluster. */
  secretNames(namespace: string, signal: AbortSignal): AsyncIterable<string> {
    return this.#names(`/api/v1/namespaces/${namespace}/secrets`, signal)
  }

  namespaces(signal: AbortSignal): AsyncIterable<string> {
    return this.#names('/api/v1/namespaces', signal)
  }

  /** Whether this account may do it. https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access */
  async may(
    verb: Verb,
    { namespace, name }: { readonly namespace: string; readonly name?: string },
    signal: AbortSignal,
  ): Promise<boolean> {
    const resourceAttributes = { verb, resource: 'secrets', namespace, ...(name === undefined ? {} : { name }) }
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    const answer = await this.#send({ method: 'POST', path, body: JSON.stringify(review), signal })
    const status = isObject(answer) && isObject(answer.status) ? answer.status : {}
    if (typeof status.allowed !== 'boolean') throw foreign('a review of access')
    return status.allowed
  }

  async *#names(path: string, signal: AbortSignal): AsyncIterable<string> {
    for (let next = ''; ; ) {
      const query = { limit: String(pageMax), includeObject: 'None', ...(next === '' ? {} : { continue: next }) }
      const page = namesIn(await this.#send({ method: 'GET', path, query, headers: namesOnly, signal }))
      if (page.next !== '' && page.next === next) throw foreign('a list that ends')
      yield* page.names
      if (page.next === '') return
      next = page.next
    }
  }

  #send({ headers, ...request }: Omit<TransportRequest, 'headers'> & { readonly headers?: TransportRequest['headers'] }): Promise<unknown> {
    return this.#session.run(request.signal, async line => {
      const { status, body, retryAfterMs } = await line.transport.send({ ...request, headers: { ...headers, ...line.headers } })
      if (status < 300) return body
      if (isStatus(body)) throw new StatusError(status, body, retryAfterMs)
      throw new TransportError('foreign', `the answer is none of the API server (${status})`, { status, retryAfterMs })
    })
  }
}

/** Whether the server itself says that this Secret is not there. */
export function isAbsent(error: unknown): boolean {
  return error instanceof StatusError && error.status === 404 && error.reason === 'NotFound' && error.kind === 'secrets'
}

function pathOf({ namespace, name }: Place): string {
  return `/api/v1/namespaces/${namespace}/secrets/${name}`
}

/** The column of names of a `Table`, and where the next page starts. https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables */
function namesIn(body: unknown): { readonly names: readonly string[]; readonly next: string } {
  if (!isObject(body) || body.kind !== 'Table' || !isObject(body.metadata) || !Array.isArray(body.columnDefinitions))
    throw foreign('a table')
  const at = body.columnDefinitions.findIndex(column => isObject(column) && column.format === 'name')
  const rows: readonly unknown[] = Array.isArray(body.rows) ? body.rows : []
  const names = rows.map(row => {
    const cell: unknown = isObject(row) && Array.isArray(row.cells) ? row.cells[at] : undefined
    if (typeof cell !== 'string') throw foreign('a table of names')
    return cell
  })
  const next = body.metadata.continue
  return { names, next: typeof next === 'string' ? next : '' }
}

function foreign(what: string): BrokerError {
  return new BrokerError('corrupt', `kubernetes: the answer is not ${what}`, {
    hint: 'check that the address is that of the API server itself',
  })
}
