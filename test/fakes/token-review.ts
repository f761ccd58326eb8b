import { generateKeyPairSync, sign } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * The TokenReview endpoint of a Kubernetes API server, and a mint of projected service account tokens.
 * It copies: `POST /apis/authentication.k8s.io/v1/tokenreviews` answers 201 with `status.authenticated`, `status.user` and the audiences
 * that both sides name; a token that is unknown, ended or revoked is `authenticated: false` with `status.error`; a caller without the
 * reviewer's own token, where one is set, gets 401 with a `Status`. Tokens are ES256 JWTs with the claims of a projected volume.
 * https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
 */
export class TokenReviewFake {
  readonly #server: Server
  readonly #tokens = new Map<string, Account>()
  readonly #key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  /** The bearer that may review; undefined: anybody may. */
  reviewer: string | undefined
  /** How many reviews were asked for. */
  reviews = 0
  #minted = 0

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(([status, body]) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      })
    })
  }

  static async start(): Promise<TokenReviewFake> {
    const fake = new TokenReviewFake()
    await new Promise<void>(resolve => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get url(): string {
    // listen() on a port gives an AddressInfo
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** A new projected token of an account, valid for an hour. */
  mint(namespace: string, name: string, audiences: readonly string[] = ['https://kubernetes.default.svc']): string {
    this.#minted += 1
    const now = Math.floor(Date.now() / 1_000)
    const uid = `${namespace}-${name}-uid`
    const claims = {
      iss: 'https://kubernetes.default.svc',
      sub: `system:serviceaccount:${namespace}:${name}`,
      aud: audiences,
      iat: now,
      nbf: now,
      exp: now + 3_600,
      jti: String(this.#minted),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
    }
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const signed = `${part({ alg: 'ES256', typ: 'JWT' })}.${part(claims)}`
    const token = `${signed}.${sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    this.#tokens.set(token, { namespace, name, uid, audiences })
    return token
  }

  revoke(token: string): void {
    this.#tokens.delete(token)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage): Promise<[number, object]> {
    if (request.method !== 'POST' || request.url !== '/apis/authentication.k8s.io/v1/tokenreviews') return [404, failure(404, 'NotFound')]
    const bearer = request.headers.authorization?.replace(/^Bearer /, '')
    if (this.reviewer !== undefined && bearer !== this.reviewer) return [401, failure(401, 'Unauthorized')]
    this.reviews += 1
    const { spec } = JSON.parse(await bodyOf(request)) as { spec: { token: string; audiences?: string[] } }
    return [201, { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', metadata: {}, spec, status: this.#status(spec) }]
  }

  #status({ token, audiences: wanted }: { token: string; audiences?: string[] }): object {
    const account = this.#tokens.get(token)
    const audiences = account?.audiences.filter(audience => wanted === undefined || wanted.includes(audience)) ?? []
    if (account === undefined || audiences.length === 0) return { user: {}, error: '[invalid bearer token]' }
    const { namespace, name, uid } = account
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated']
    return { authenticated: true, user: { username: `system:serviceaccount:${namespace}:${name}`, uid, groups }, audiences }
  }
}

interface Account {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly audiences: readonly string[]
}

function failure(code: number, reason: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason, code }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}
