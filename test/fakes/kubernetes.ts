import type { IncomingMessage, ServerResponse } from 'node:http'
import { KubernetesAccess, may } from './kubernetes-access.ts'
import { type Json, KubernetesSecrets, type Stored } from './kubernetes-secrets.ts'
import { Refusal } from './kubernetes-status.ts'
import { testCertificates } from './tls/certificates.ts'
import { type AnyKnob, bodyOf, endless, instead, TurnableServer } from './turnable-server.ts'

/** What the fake does instead of its work, to requests whose path and method fit. */
export type Knob =
  | AnyKnob
  /** Answers with a `Status`. */
  | { readonly do: 'refuse'; readonly with: Refusal; readonly retryAfter?: string }
  /** Answers with this body. */
  | { readonly do: 'say'; readonly body: string; readonly type?: string; readonly status?: number }
  /** Starts an answer that never ends: white space is JSON. */
  | { readonly do: 'endless' }

export interface Seen {
  readonly method: string
  /** As it stood on the wire. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

const bodyBytesMax = 3 * 1_048_576

/**
 * The API of a Kubernetes server as far as the adapter uses it, over TLS on a real socket: Secrets (kubernetes-secrets.ts), authentication and RBAC
 * before anything else (kubernetes-access.ts), whole objects or the `Table` that is asked for by `Accept`, `includeObject=None`, `limit` and `continue`,
 * SelfSubjectAccessReview, 413 above 3 MiB, 404 in plain text outside of the API and as a `Status` without a kind inside it.
 * Seen on kube-apiserver 1.20.2; https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/ and
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
export class KubernetesFake extends TurnableServer<Knob> {
  readonly access: KubernetesAccess
  readonly secrets: KubernetesSecrets
  /** A token that may do everything. */
  readonly admin: string
  readonly seen: Seen[] = []

  private constructor(now: () => number) {
    super({ ...testCertificates.server, ca: testCertificates.ca, requestCert: true, rejectUnauthorized: false })
    this.access = new KubernetesAccess(now)
    this.secrets = new KubernetesSecrets(now)
    this.admin = this.access.token()
  }

  static start(now: () => number = Date.now): Promise<KubernetesFake> {
    return new KubernetesFake(now).listen()
  }

  /** The authority of its certificate. */
  get ca(): string {
    return testCertificates.ca
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    const body = await bodyOf(request)
    this.seen.push({ method, path: url, headers: request.headers, body })
    const knob = this.knobFor(`${method} ${url}`)
    if (knob !== undefined && answered(knob, request, response)) return
    const reply = this.#reply(request, body)
    if (knob?.do === 'cut') return void request.socket.destroy()
    if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
    send(response, reply)
  }

  #reply(request: IncomingMessage, text: string): Reply {
    try {
      return this.#work(request, text)
    } catch (error) {
      if (error instanceof Refusal) return { status: error.status, body: error.body }
      throw error
    }
  }

  #work(request: IncomingMessage, text: string): Reply {
    const { pathname, searchParams: query } = new URL(request.url ?? '', this.url)
    const account = this.access.who(request)
    if (Buffer.byteLength(text) > bodyBytesMax) {
      throw new Refusal(413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728')
    }
    if (!/^\/apis?\//.test(pathname)) return { status: 404, plain: '404 page not found\n' }
    const body = (text === '' ? {} : JSON.parse(text)) as Json
    if (pathname === '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews') return this.#review(account, body)
    const [, namespace, name = ''] = /^\/api\/v1\/namespaces\/([^/]+)\/secrets(?:\/([^/]+))?$/.exec(pathname) ?? []
    const isNamespaces = pathname === '/api/v1/namespaces' && request.method === 'GET'
    if (namespace === undefined && !isNamespaces) {
      throw new Refusal(404, 'NotFound', 'the server could not find the requested resource', {})
    }
    const verb = verbOf(request.method ?? '', name)
    this.access.demand(account, { verb, resource: isNamespaces ? 'namespaces' : 'secrets', namespace: namespace ?? '', name })
    if (verb === 'list') return this.#list(isNamespaces ? 'namespaces' : 'secrets', namespace ?? '', query, request)
    return this.#act(verb, { namespace: namespace ?? '', name, body, manager: query.get('fieldManager') ?? 'unknown' })
  }

  #act(verb: string, { namespace, name, body, manager }: { namespace: string; name: string; body: Json; manager: string }): Reply {
    if (verb === 'create') return { status: 201, body: this.secrets.create(namespace, body, manager) }
    if (verb === 'update') return { status: 200, body: this.secrets.replace(namespace, name, body, manager) }
    if (verb === 'get') return { status: 200, body: this.secrets.get(namespace, name) }
    const gone = this.secrets.delete(namespace, name, body)
    if (gone.metadata.deletionTimestamp !== undefined) return { status: 200, body: gone }
    return { status: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name, kind: 'secrets' } } }
  }

  #list(kind: 'secrets' | 'namespaces', namespace: string, query: URLSearchParams, request: IncomingMessage): Reply {
    const { names, next } = this.secrets.page(kind, namespace, query)
    const metadata = { resourceVersion: this.secrets.version, ...(next === '' ? {} : { continue: next }) }
    if (!/as=Table/.test(request.headers.accept ?? '')) {
      const items = kind === 'secrets' ? names.map(name => this.secrets.get(namespace, name)) : names.map(name => ({ metadata: { name } }))
      return { status: 200, body: { kind: 'SecretList', apiVersion: 'v1', metadata, items } }
    }
    const columnDefinitions = [
      { name: 'Name', type: 'string', format: 'name', description: 'Name must be unique within a namespace.', priority: 0 },
    ]
    const rows = names.map(name => ({
      cells: [name],
      ...included(query, kind === 'secrets' ? this.secrets.get(namespace, name) : undefined),
    }))
    return { status: 200, body: { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions, rows } }
  }

  #review(account: ReturnType<KubernetesAccess['who']>, body: Json): Reply {
    if (account.user === 'system:anonymous') {
      throw new Refusal(
        403,
        'Forbidden',
        'selfsubjectaccessreviews.authorization.k8s.io is forbidden: User "system:anonymous" cannot create resource',
      )
    }
    const { resourceAttributes } = body.spec as {
      resourceAttributes: { verb: string; resource: string; namespace?: string; name?: string }
    }
    const { verb, resource, namespace = '', name = '' } = resourceAttributes
    const status = { allowed: may(account, { verb, resource, namespace, name }) }
    return {
      status: 201,
      body: { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', metadata: {}, spec: body.spec, status },
    }
  }
}

interface Reply {
  readonly status: number
  readonly body?: object
  readonly plain?: string
}

function verbOf(method: string, name: string): string {
  if (method === 'GET') return name === '' ? 'list' : 'get'
  return { POST: 'create', PUT: 'update', DELETE: 'delete' }[method] ?? 'patch'
}

function included(query: URLSearchParams, object: Stored | undefined): object {
  if (query.get('includeObject') === 'None' || object === undefined) return { object: null }
  return { object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata } }
}

function send(response: ServerResponse, { status, body, plain }: Reply): void {
  if (plain !== undefined) return void response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(plain)
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}

/** Answers in place of the work; false where the work is done first. */
function answered(knob: Knob, request: IncomingMessage, response: ServerResponse): boolean {
  if (knob.do === 'say') response.writeHead(knob.status ?? 200, { 'content-type': knob.type ?? 'application/json' }).end(knob.body)
  else if (knob.do === 'endless') endless(response, 'application/json', ' ')
  else if (knob.do === 'refuse') {
    if (knob.retryAfter !== undefined) response.setHeader('retry-after', knob.retryAfter)
    send(response, { status: knob.with.status, body: knob.with.body })
  } else return instead(knob, request, response)
  return true
}
