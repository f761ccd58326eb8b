import { AzureAuthority } from './azure-authority.ts'
import { AzureSecrets, fault } from './azure-secrets.ts'
import { type AzureReply, type AzureSeen, AzureServer } from './azure-server.ts'

export interface AzureVaultSettings {
  readonly now?: () => number
  readonly tls?: { readonly cert: string; readonly key: string }
}

const pageSize = 25

/**
 * One vault of Azure Key Vault, its secrets only, with its authority. It copies:
 * - the challenge: 401 with `WWW-Authenticate: Bearer authorization=, resource=`
 *   https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
 * - rights per login: 403 `Forbidden` with `innererror` `ForbiddenByRbac` before anything else
 *   https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
 * - versions, tags, states, limits and names of secrets (azure-secrets.ts)
 * - pages of at most 25 with a link to the next one; versions in no order
 *   https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets
 * - soft delete and recovery that take their time, and the 409s meanwhile
 *   https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
 *
 * Departures of emulators that it does not copy: no limits, `a` beside `A`, 403 without `innererror`, 403 outside nbf and exp, at once after a deletion,
 * values in deleted bundles, versions oldest first.
 */
export class AzureVault {
  readonly authority: AzureAuthority
  readonly secrets: AzureSecrets
  // set by `start`
  #server: AzureServer | undefined
  /** What each login may do; without an entry: everything. */
  readonly rights = new Map<string, readonly string[]>()
  /** Whom the challenge says the token is for. */
  resource = 'https://vault.azure.net'
  /** 403 without `innererror`, as emulators answer. */
  terse = false
  /** Where the link to a next page leads. */
  linkOrigin: string | undefined

  private constructor(authority: AzureAuthority, now: () => number) {
    this.authority = authority
    this.secrets = new AzureSecrets(now)
  }

  static async start({ now = Date.now, tls }: AzureVaultSettings = {}): Promise<AzureVault> {
    const authority = await AzureAuthority.start(now)
    authority.apps.set('app', { secret: 'secret-of-the-app' })
    const vault = new AzureVault(authority, now)
    vault.#server = await AzureServer.start(seen => vault.#reply(seen), tls)
    return vault
  }

  get server(): AzureServer {
    if (this.#server === undefined) throw new Error('the vault was not started')
    return this.#server
  }

  get url(): string {
    return this.server.url
  }

  /** What went wrong in the fake itself. */
  get broken(): readonly unknown[] {
    return [...this.server.broken, ...this.authority.server.broken]
  }

  /** Requests about secrets that carried a token, as "METHOD path". */
  get asked(): readonly string[] {
    return this.server.seen
      .filter(({ headers }) => headers.authorization !== undefined)
      .map(({ method, path }) => `${method} ${path.split('?')[0]}`)
  }

  async close(): Promise<void> {
    await this.server.close()
    await this.authority.close()
  }

  #reply(seen: AzureSeen): AzureReply {
    const client = this.authority.clientOf(/^Bearer (.+)$/.exec(seen.headers.authorization ?? '')?.[1] ?? '')
    if (client === undefined) return this.#challenge()
    const url = new URL(seen.path, this.url)
    if (url.searchParams.get('api-version') === null) return fault(400, 'BadParameter', 'api-version must be specified')
    const [, collection = '', name, version] = url.pathname.split('/').map(decodeURIComponent)
    const reply = this.#route(client, seen, url, { collection, name: name ?? '', version: version ?? '' })
    return this.terse ? withoutInner(reply) : reply
  }

  #challenge(): AzureReply {
    const challenge = `Bearer authorization="${this.authority.url}/${this.authority.tenant}", resource="${this.resource}"`
    return {
      ...fault(401, 'Unauthorized', 'AKV10000: Request is missing a Bearer or PoP token.'),
      headers: { 'www-authenticate': challenge },
    }
  }

  #route(client: string, { method, body }: AzureSeen, url: URL, at: { collection: string; name: string; version: string }): AzureReply {
    const { collection, name, version } = at
    const secrets = this.secrets
    const may = (right: string, work: () => AzureReply) => (this.#may(client, right) ? work() : forbidden())
    const line = `${method} ${collection}/${name === '' ? '' : 'N'}${version === '' ? '' : `/${version === 'versions' || version === 'recover' ? version : 'V'}`}`
    switch (line) {
      case 'GET secrets/':
        return may('list', () => this.#page(url, secrets.items()))
      case 'GET secrets/N/versions':
        return may('list', () => this.#page(url, secrets.versions(name)))
      case 'GET secrets/N':
      case 'GET secrets/N/V':
        return may('get', () => secrets.get(name, version))
      case 'PUT secrets/N':
        return may('set', () => secrets.set(name, parsed(body)))
      case 'PATCH secrets/N/V':
        return may('set', () => secrets.update(name, version, parsed(body)))
      case 'DELETE secrets/N':
        return may('delete', () => secrets.delete(name))
      case 'GET deletedsecrets/N':
        return may('get', () => secrets.deleted(name))
      case 'POST deletedsecrets/N/recover':
        return may('recover', () => secrets.recover(name))
      case 'DELETE deletedsecrets/N':
        return may('purge', () => secrets.purge(name))
      default:
        throw new Error(`the fake has no ${method} ${url.pathname}`)
    }
  }

  #may(client: string, right: string): boolean {
    return this.rights.get(client)?.includes(right) ?? true
  }

  #page(url: URL, all: readonly object[] | undefined): AzureReply {
    if (all === undefined) return fault(404, 'SecretNotFound', 'A secret with this name was not found in this key vault.')
    const size = Math.min(Number(url.searchParams.get('maxresults') ?? pageSize), pageSize)
    const token = Number(url.searchParams.get('$skiptoken') ?? 0)
    const from = token === 0 ? 0 : token - this.secrets.repeat
    const next = new URL(url.pathname + url.search, this.linkOrigin ?? this.url)
    next.searchParams.set('$skiptoken', String(token + size))
    return { status: 200, body: { value: all.slice(from, token + size), nextLink: token + size < all.length ? next.href : null } }
  }
}

function parsed(body: string): Record<string, unknown> {
  // the SDK sends objects
  return JSON.parse(body === '' ? '{}' : body) as Record<string, unknown>
}

function forbidden(): AzureReply {
  const text =
    'Caller is not authorized to perform action on resource.\r\nIf role assignments were changed recently, please observe propagation time.'
  return fault(403, 'Forbidden', text, 'ForbiddenByRbac')
}

function withoutInner(reply: AzureReply): AzureReply {
  const { body } = reply
  if (typeof body !== 'object' || body === null || !('error' in body)) return reply
  const { innererror: _, ...error } = body.error as { innererror?: object }
  return { ...reply, body: { error } }
}
