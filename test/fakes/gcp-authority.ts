/**
 * Whoever gives tokens for Google Cloud, on a free loopback port. What it copies, and the page that each is from:
 * - the OAuth endpoint: assertions of service accounts and refresh tokens https://developers.google.com/identity/protocols/oauth2/service-account
 * - the Security Token Service: an exchange of another provider's token https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
 * - IAM Credentials: `generateAccessToken`, 403 for who may not https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
 * - the metadata server, which wants `Metadata-Flavor: Google` and sends it https://cloud.google.com/compute/docs/metadata/querying-metadata
 * - tokens that a key signs by itself, which the service takes in the place of one that was asked for https://google.aip.dev/auth/4111
 */
import { createVerify, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How long a token lives that was asked for. */
const lifeSeconds = 3_600

/** What the authority does wrong. */
export type AuthorityKnob =
  | { readonly do: 'answer'; readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly do: 'hang' }
  | { readonly do: 'drop' }

type Form = Readonly<Record<string, string>>

export class GcpAuthorityFake {
  readonly #server: Server
  /** What was asked, in words. */
  readonly asked: string[] = []
  readonly broken: string[] = []
  /** Refresh tokens, subject tokens of federations, and who may impersonate whom: `broker@p>target@p`. */
  readonly refreshTokens = new Map<string, string>()
  readonly subjects = new Map<string, string>()
  readonly mayImpersonate = new Set<string>()
  /** Of the machine's own account. */
  machine: string | undefined
  lifeSeconds = lifeSeconds
  knob: AuthorityKnob | undefined
  now: () => number = Date.now
  readonly #keys = new Map<string, KeyObject>()
  readonly #tokens = new Map<string, { readonly account: string; readonly endsAt: number }>()
  #made = 0

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<GcpAuthorityFake> {
    const server = createServer((request, response) => {
      void fake.#handle(request, response).catch((error: unknown) => {
        fake.broken.push(String(error))
        response.destroy()
      })
    })
    const fake = new GcpAuthorityFake(server)
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get url(): string {
    return `http://${this.host}`
  }

  /** A key file of a service account, as its members. */
  keyFile(email: string): Readonly<Record<string, string>> {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
    this.#keys.set(email, publicKey)
    return {
      type: 'service_account',
      project_id: 'shop-prod',
      private_key_id: `key-of-${email}`,
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      client_email: email,
      token_uri: `${this.url}/token`,
      universe_domain: 'googleapis.com',
    }
  }

  /** Who a token is of, as the service would know: one that was given, or one that a known key signed. */
  accountOf(token: string): string | undefined {
    const given = this.#tokens.get(token)
    if (given !== undefined) return given.endsAt > this.now() ? given.account : undefined
    return this.#signer(token, claims => claims.scope === 'https://www.googleapis.com/auth/cloud-platform' && claims.aud === undefined)
  }

  /** Ends every token. */
  revokeAll(): void {
    this.#tokens.clear()
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const { knob } = this
    const { pathname } = new URL(request.url ?? '', this.url)
    const body = Buffer.concat(parts).toString()
    if (knob?.do === 'hang') {
      this.asked.push('hangs')
      return
    }
    if (knob?.do === 'drop') {
      request.socket.destroy()
      return
    }
    if (knob?.do === 'answer') {
      this.asked.push(`answers ${knob.status}`)
      response.writeHead(knob.status, { 'content-type': 'application/json', ...knob.headers }).end(knob.body)
      return
    }
    const send = (status: number, answer: object, headers: Readonly<Record<string, string>> = {}) =>
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(answer))
    if (pathname === '/token') return void this.#token(Object.fromEntries(new URLSearchParams(body)), send)
    if (pathname.startsWith('/computeMetadata/')) return void this.#metadata(request, send)
    if (pathname === '/subject') return void response.writeHead(200).end(JSON.stringify({ token: request.headers['x-subject'] }))
    const target = /^\/v1\/projects\/-\/serviceAccounts\/([^:]+):generateAccessToken$/.exec(pathname)?.[1]
    if (target !== undefined) return void this.#impersonate(target, request, JSON.parse(body), send)
    send(404, { error: 'not_found' })
  }

  #token(form: Form, send: (status: number, answer: object) => unknown): void {
    const { grant_type: grant = '' } = form
    this.asked.push(grant.replace(/^.*:/, ''))
    const account =
      grant === 'urn:ietf:params:oauth:grant-type:jwt-bearer'
        ? this.#signer(form.assertion ?? '', claims => claims.aud === `${this.url}/token`)
        : grant === 'refresh_token'
          ? this.refreshTokens.get(form.refresh_token ?? '')
          : this.subjects.get(form.subject_token ?? '')
    if (account === undefined) {
      // Google's own answer repeats nothing; a careless authority's would
      send(400, {
        error: 'invalid_grant',
        error_description: `no such grant: ${form.refresh_token ?? form.subject_token ?? form.assertion ?? ''}`,
      })
    } else send(200, { access_token: this.#give(account), expires_in: this.lifeSeconds, token_type: 'Bearer' })
  }

  #metadata(request: IncomingMessage, send: (status: number, answer: object, headers?: Readonly<Record<string, string>>) => unknown): void {
    this.asked.push('metadata')
    if (request.headers['metadata-flavor'] !== 'Google') return void send(403, { error: 'forbidden' })
    const flavor = { 'metadata-flavor': 'Google' }
    if (this.machine === undefined) send(404, { error: 'not_found' }, flavor)
    else send(200, { access_token: this.#give(this.machine), expires_in: this.lifeSeconds, token_type: 'Bearer' }, flavor)
  }

  #impersonate(
    target: string,
    request: IncomingMessage,
    { delegates = [], lifetime = '3600s' }: { readonly delegates?: readonly string[]; readonly lifetime?: string },
    send: (status: number, answer: object) => unknown,
  ): void {
    this.asked.push(`impersonate ${target}${delegates.length === 0 ? '' : ` by ${delegates.join()}`}`)
    const by = this.#tokens.get(String(request.headers.authorization).replace('Bearer ', ''))?.account
    if (by === undefined) return void send(401, { error: { code: 401, status: 'UNAUTHENTICATED' } })
    if (!this.mayImpersonate.has(`${by}>${target}`)) return void send(403, { error: { code: 403, status: 'PERMISSION_DENIED' } })
    const endsAt = new Date(this.now() + Number.parseInt(lifetime, 10) * 1_000)
    send(200, { accessToken: this.#give(target), expireTime: endsAt.toISOString() })
  }

  #give(account: string): string {
    this.#made += 1
    const token = `ya29.token-${this.#made}-of-${account}`
    this.#tokens.set(token, { account, endsAt: this.now() + this.lifeSeconds * 1_000 })
    return token
  }

  #signer(token: string, fits: (claims: Readonly<Record<string, unknown>>) => boolean): string | undefined {
    const [head = '', claims = '', signature = ''] = token.split('.')
    try {
      const said = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>
      const key = this.#keys.get(String(said.iss))
      const isSigned = key !== undefined && createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(key, signature, 'base64url')
      const isNow = Number(said.exp) * 1_000 > this.now() && Number(said.exp) - Number(said.iat) <= 3_600
      return isSigned && isNow && said.sub === said.iss && fits(said) ? String(said.iss) : undefined
    } catch {
      return undefined
    }
  }
}
