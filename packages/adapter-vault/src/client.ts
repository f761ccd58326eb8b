import openNodeVault from 'node-vault'
import type { Answer } from './answer.ts'
import { wirePath } from './names.ts'
import { Transport, type TransportSettings } from './transport.ts'

/** The calls of node-vault that we use, typed as our transport makes them: bodies go out as JSON text and come back as `Answer`. */
interface NodeVault {
  token: string | undefined
  namespace: string | undefined
  pathPrefix: string
  read(path: string, options: { signal: AbortSignal }): Promise<Answer | undefined>
  write(path: string, json: string, options: { signal: AbortSignal }): Promise<Answer | undefined>
  delete(path: string, options: { signal: AbortSignal }): Promise<Answer | undefined>
}

/** One request: with whose token (none for a login), until when. */
export interface Request {
  readonly token: string | undefined
  readonly signal: AbortSignal
}

/** A server and a namespace of it; without one, its root. */
export interface ClientSettings extends TransportSettings {
  readonly namespace?: string | undefined
}

/** A server's HTTP API. Paths are plain; they are encoded here, once. Errors are node-vault's with an `Answer`, or `TransportError`. */
export class Client {
  readonly #settings: ClientSettings
  readonly #transport: Transport
  readonly #vault: NodeVault

  constructor(settings: ClientSettings, transport = new Transport(settings)) {
    this.#settings = settings
    this.#transport = transport
    const opened: unknown = openNodeVault({
      endpoint: settings.address.replace(/\/$/, ''),
      // node:http servers and many proxies refuse the verb LIST
      noCustomHTTPVerbs: true,
      // its own prints values and passwords
      debug: () => undefined,
      'request-promise': { defaults: () => (request: Parameters<Transport['send']>[0]) => transport.send(request) },
    })
    // its own declarations say `any` where our transport decides
    const vault = opened as NodeVault
    // it took VAULT_NAMESPACE and VAULT_PREFIX from the environment of the process, which a section of a config overrules
    vault.namespace = settings.namespace
    vault.pathPrefix = ''
    this.#vault = vault
  }

  /** The same server by the same connections, in another namespace. */
  in(namespace: string | undefined): Client {
    return new Client({ ...this.#settings, namespace }, this.#transport)
  }

  /** `query` is one that the transport knows: `version=3`. */
  read(path: string, request: Request, query?: string): Promise<Answer | undefined> {
    return this.#as(request).read(query === undefined ? wirePath(path) : `${wirePath(path)}?${query}`, { signal: request.signal })
  }

  /** The names in a folder. Pages are OpenBao's; a server without them answers with all names. */
  list(path: string, request: Request, page: { readonly after: string | undefined; readonly limit: number }): Promise<Answer | undefined> {
    // by `read`: node-vault's `list` has no place for a page, and its verb LIST is refused by many a proxy
    return this.read(path, request, `list=true&after=${encodeURIComponent(page.after ?? '')}&limit=${page.limit}`)
  }

  write(path: string, json: string, request: Request): Promise<Answer | undefined> {
    return this.#as(request).write(wirePath(path), json, { signal: request.signal })
  }

  delete(path: string, request: Request): Promise<Answer | undefined> {
    return this.#as(request).delete(wirePath(path), { signal: request.signal })
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  /** node-vault reads its token within the call that follows in the same turn. A token given by headers would stick: it never is. */
  #as({ token, signal }: Request): NodeVault {
    signal.throwIfAborted()
    this.#vault.token = token
    return this.#vault
  }
}
