import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { type AzureReply, type AzureSeen, AzureServer } from './azure-server.ts'

/** How one app may prove who it is. */
interface App {
  readonly secret?: string
  /** PEM certificate whose key signs its assertions. */
  readonly certificate?: string
  /** A token of another issuer that is taken for it. */
  readonly federated?: () => string
}

interface Granted {
  readonly client: string
  readonly endsAt: number
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/**
 * Microsoft Entra ID as far as the credentials of an app need it: discovery of a tenant, and the client credentials grant with a secret, a signed
 * assertion of a certificate or a federated token. Errors are its JSON with the AADSTS number.
 * https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
 * https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 *
 * Not copied: signatures of tokens (they are opaque here), regional endpoints, continuous access evaluation.
 */
export class AzureAuthority {
  readonly #now: () => number
  readonly #tokens = new Map<string, Granted>()
  // set by `start`
  #server: AzureServer | undefined
  readonly tenant = '11111111-2222-4333-8444-555555555555'
  readonly apps = new Map<string, App>()
  /** How long a token serves. */
  lifeMs = 3_600_000
  /** Tokens given out. */
  issued = 0

  private constructor(now: () => number) {
    this.#now = now
  }

  static async start(now: () => number = Date.now): Promise<AzureAuthority> {
    const authority = new AzureAuthority(now)
    authority.#server = await AzureServer.start(seen => authority.#reply(seen))
    return authority
  }

  get server(): AzureServer {
    if (this.#server === undefined) throw new Error('the authority was not started')
    return this.#server
  }

  get url(): string {
    return this.server.url
  }

  /** Whose token this is, while it serves. */
  clientOf(token: string): string | undefined {
    const granted = this.#tokens.get(token)
    return granted !== undefined && granted.endsAt > this.#now() ? granted.client : undefined
  }

  /** A token that somebody else gives out: a machine's endpoint, a command line. */
  grant(client: string): string {
    this.issued += 1
    const token = `token-${this.issued}-of-${client}`
    this.#tokens.set(token, { client, endsAt: this.#now() + this.lifeMs })
    return token
  }

  /** Ends every token given out so far. */
  revoke(): void {
    this.#tokens.clear()
  }

  close(): Promise<void> {
    return this.server.close()
  }

  #reply({ method, path, body }: AzureSeen): AzureReply {
    const [route = ''] = path.split('?')
    const base = `${this.url}/${this.tenant}`
    if (method === 'GET' && route === `/${this.tenant}/v2.0/.well-known/openid-configuration`) {
      return {
        status: 200,
        body: {
          issuer: `${base}/v2.0`,
          token_endpoint: `${base}/oauth2/v2.0/token`,
          authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
          jwks_uri: `${base}/discovery/v2.0/keys`,
        },
      }
    }
    if (method === 'POST' && route === `/${this.tenant}/oauth2/v2.0/token`) return this.#token(new URLSearchParams(body))
    return refused(400, 'invalid_request', 90002, 'Tenant not found.')
  }

  #token(asked: URLSearchParams): AzureReply {
    if (asked.get('grant_type') !== 'client_credentials') return refused(400, 'unsupported_grant_type', 70003, 'Unsupported grant.')
    if (!(asked.get('scope') ?? '').split(' ').includes('https://vault.azure.net/.default')) {
      return refused(400, 'invalid_scope', 70011, 'The scope is not valid.')
    }
    const client = asked.get('client_id') ?? ''
    const app = this.apps.get(client)
    if (app === undefined) return refused(400, 'unauthorized_client', 700016, 'Application was not found in the directory.')
    if (!this.#proves(client, app, asked)) return refused(401, 'invalid_client', 7000215, 'Invalid client secret provided.')
    const token = this.grant(client)
    const seconds = Math.floor(this.lifeMs / 1_000)
    return { status: 200, body: { token_type: 'Bearer', expires_in: seconds, ext_expires_in: seconds, access_token: token } }
  }

  #proves(client: string, app: App, asked: URLSearchParams): boolean {
    const secret = asked.get('client_secret')
    if (secret !== null) return app.secret !== undefined && secret === app.secret
    const assertion = asked.get('client_assertion') ?? ''
    if (asked.get('client_assertion_type') !== assertionType) return false
    if (app.federated !== undefined) return assertion === app.federated()
    return app.certificate !== undefined && signs(createPublicKey(app.certificate), assertion, client, `${this.url}/${this.tenant}/`)
  }
}

/** Whether an assertion names this client and authority and was signed by this key. RFC 7523. */
function signs(key: KeyObject, assertion: string, client: string, audience: string): boolean {
  const [head = '', claims = '', signature = ''] = assertion.split('.')
  const { alg } = read(head)
  const { iss, sub, aud } = read(claims)
  if (iss !== client || sub !== client || !String(aud).startsWith(audience)) return false
  const padding = alg === 'PS256' ? { padding: 6, saltLength: 32 } : {}
  return verify('sha256', Buffer.from(`${head}.${claims}`), { key, ...padding }, Buffer.from(signature, 'base64url'))
}

function read(part: string): Record<string, unknown> {
  // JWT parts are objects
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
}

function refused(status: number, error: string, number: number, text: string): AzureReply {
  return { status, body: { error, error_description: `AADSTS${number}: ${text} Trace ID: 0 Correlation ID: 0`, error_codes: [number] } }
}
