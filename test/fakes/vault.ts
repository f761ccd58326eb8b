import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AnyKnob, bodyOf, instead, TurnableServer } from './turnable-server.ts'
import { placeIn, VaultAuth } from './vault-auth.ts'
import { type Engine, KvOne, type KvRequest, KvTwo, parseGo, printGo, type Reply } from './vault-kv.ts'

/** What the fake does instead of its work, to requests whose path and method fit. */
export type Knob =
  | AnyKnob
  | { readonly do: 'throttle'; readonly retryAfter?: string }
  | { readonly do: 'seal' }
  | { readonly do: 'fail'; readonly status: number; readonly errors?: readonly string[] }
  /** Answers 200 with this body. */
  | { readonly do: 'say'; readonly body: string; readonly type?: string }

export interface Seen {
  readonly method: string
  /** As it stood on the wire. */
  readonly path: string
  readonly token: string | undefined
  readonly headers: IncomingMessage['headers']
}

/**
 * The HTTP API of Vault and OpenBao as far as the adapter uses it, on a real socket. It copies: mounts and their routes
 * (404 "no handler for route" where there is none), policies before anything else (403 also for what is not there), KV v1 and v2
 * (vault-kv.ts), tokens and logins (vault-auth.ts), namespaces by `X-Vault-Namespace` (404 "namespace not found"; a mount's own paths in them; a token works where it
 * was made and below), `sys/health`, `sys/seal-status`, `sys/capabilities-self`, `sys/internal/ui/mounts/PATH`, and the
 * envelope with `request_id`. Seen on OpenBao 2.6.2; https://openbao.org/api-docs/ and https://openbao.org/api-docs/system/
 */
export class VaultFake extends TurnableServer<Knob> {
  /** By their places from the root. */
  readonly #mounts = new Map<string, Engine>()
  readonly namespaces = new Set([''])
  readonly auth: VaultAuth
  readonly root: string
  readonly seen: Seen[] = []
  sealed = false
  /** Lists in pages, as OpenBao does and Vault does not. */
  pages = true

  private constructor(now: () => number, tls: Certificate | undefined) {
    super(tls)
    this.auth = new VaultAuth(now)
    this.root = this.auth.grant({}, 'root-token-of-the-fake')
  }

  /** With a certificate it speaks TLS. */
  static start(now: () => number = Date.now, tls?: Certificate): Promise<VaultFake> {
    return new VaultFake(now, tls).listen()
  }

  mount(path: string, version: 1): KvOne
  mount(path: string, version: 2): KvTwo
  mount(path: string, version: 1 | 2): Engine {
    const engine = version === 1 ? new KvOne() : new KvTwo()
    this.#mounts.set(path, engine)
    return engine
  }

  /** A mount that is there. */
  engine(path: string): Engine {
    const engine = this.#mounts.get(path)
    if (engine === undefined) throw new Error(`the fake has no mount ${path}`)
    return engine
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    const token = request.headers['x-vault-token']?.toString()
    this.seen.push({ method, path: url, token, headers: request.headers })
    const body = await bodyOf(request)
    const knob = this.knobFor(`${method} ${url}`)
    if (knob !== undefined && answered(knob, request, response)) return
    const namespace = (request.headers['x-vault-namespace']?.toString() ?? '').replace(/^\/|\/$/g, '')
    const reply = await this.#reply({ method, url, token, namespace, text: body })
    if (knob?.do === 'cut') return void request.socket.destroy()
    if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
    send(response, reply)
  }

  async #reply({ method, url, token, namespace, text }: Asked): Promise<Whole> {
    const { pathname, searchParams: query } = new URL(url, 'http://fake')
    const path = decodeURIComponent(pathname.replace(/^\/v1\//, ''))
    if (path === 'sys/health')
      return raw(this.sealed ? 503 : 200, { initialized: true, sealed: this.sealed, standby: false, version: 'fake' })
    if (path === 'sys/seal-status') return raw(200, { type: 'shamir', initialized: true, sealed: this.sealed, version: 'fake' })
    if (this.sealed) return { status: 503, errors: ['Vault is sealed'] }
    if (!this.namespaces.has(namespace)) return { status: 404, errors: ['namespace not found'] }
    const body = text === '' ? {} : (parseGo(text) as Record<string, unknown>)
    const login = /^auth\/(approle|kubernetes|jwt)\/login$/.exec(path)?.[1]
    if (login !== undefined) return namespace === this.auth.namespace ? this.auth.login(login, body) : denied
    const live = this.auth.live(token, namespace)
    if (live === undefined) return denied
    if (path.startsWith('sys/internal/ui/mounts/')) return this.#mountOf(path.slice('sys/internal/ui/mounts/'.length), namespace, live)
    const operation = operationOf(method, query)
    const place = operation === 'list' ? `${path.replace(/\/$/, '')}/` : path
    const can = this.auth.capabilities(live, place, namespace)
    if (!can.includes('root') && !can.includes(operation === 'write' ? 'update' : operation)) return denied
    if (path.startsWith('auth/token/')) return this.auth.self(path.slice('auth/token/'.length), live)
    if (path === 'sys/capabilities-self') {
      const paths = body.paths as readonly string[]
      return { status: 200, data: Object.fromEntries(paths.map(each => [each, this.auth.capabilities(live, each, namespace)])) }
    }
    const [mount, engine] = this.#route(placeIn(namespace, place))
    if (engine === undefined) return { status: 404, errors: [`no handler for route "${path}". route entry not found.`] }
    return engine.handle({
      operation,
      key: placeIn(namespace, place).slice(mount.length + 1),
      query: this.pages ? query : new URLSearchParams(),
      body,
    })
  }

  #mountOf(path: string, namespace: string, token: NonNullable<ReturnType<VaultAuth['live']>>): Whole {
    const [mount, engine] = this.#route(placeIn(namespace, path))
    const may = token.rules === undefined || token.rules.some(rule => rule.path.startsWith(`${mount}/`))
    if (engine === undefined || !may) {
      return {
        status: 403,
        errors: [`preflight capability check returned 403, please ensure client's policies grant access to path "${path}/"`],
      }
    }
    return {
      status: 200,
      data: {
        path: `${mount.slice(namespace === '' ? 0 : namespace.length + 1)}/`,
        type: 'kv',
        options: engine.version === '1' ? null : { version: '2' },
      },
    }
  }

  #route(path: string): [string, Engine | undefined] {
    const mount = [...this.#mounts.keys()].filter(each => path.startsWith(`${each}/`)).sort((a, b) => b.length - a.length)[0] ?? ''
    return [mount, this.#mounts.get(mount)]
  }
}

interface Certificate {
  readonly cert: string
  readonly key: string
}

interface Asked {
  readonly method: string
  readonly url: string
  readonly token: string | undefined
  readonly namespace: string
  readonly text: string
}

type Whole = Reply & { readonly auth?: object; readonly raw?: object }

const denied: Whole = { status: 403, errors: ['1 error occurred:\n\t* permission denied\n\n'] }

function raw(status: number, body: object): Whole {
  return { status, raw: body }
}

function operationOf(method: string, query: URLSearchParams): KvRequest['operation'] {
  if (method === 'GET') return query.get('list') === null ? 'read' : 'list'
  return method === 'DELETE' ? 'delete' : 'write'
}

function send(response: ServerResponse, { status, data, errors, warnings, auth, raw: whole }: Whole): void {
  response.setHeader('content-type', 'application/json')
  if (status === 204) return void response.writeHead(204).end()
  const envelope = {
    request_id: crypto.randomUUID(),
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data: data ?? null,
    wrap_info: null,
    warnings: warnings ?? null,
    auth: auth ?? null,
  }
  response.writeHead(status).end(`${printGo(whole ?? (errors === undefined ? envelope : { errors }))}\n`)
}

/** Answers in place of the work; false where the work is done first. */
function answered(knob: Knob, request: IncomingMessage, response: ServerResponse): boolean {
  if (knob.do === 'seal') send(response, { status: 503, errors: ['Vault is sealed'] })
  else if (knob.do === 'fail') send(response, { status: knob.status, errors: knob.errors ?? [] })
  else if (knob.do === 'say') response.writeHead(200, { 'content-type': knob.type ?? 'application/json' }).end(knob.body)
  else if (knob.do === 'throttle') {
    if (knob.retryAfter !== undefined) response.setHeader('retry-after', knob.retryAfter)
    send(response, { status: 429, errors: ['request path "x": rate limit quota exceeded'] })
  } else return instead(knob, request, response)
  return true
}
