import { randomBytes } from 'node:crypto'
import type { JwtReview, JwtRole } from './vault-jwt.ts'
import type { Reply } from './vault-kv.ts'

export interface Rule {
  /** A path, or with `*` at its end a prefix. The longest that fits decides. */
  readonly path: string
  readonly capabilities: readonly ('create' | 'read' | 'update' | 'delete' | 'list' | 'deny')[]
}

export interface TokenOptions {
  /** Left out: everything, as root. */
  readonly rules?: readonly Rule[]
  /** 0: it does not end. */
  readonly ttlMs?: number
  readonly renewable?: boolean
  /** No renewal moves its end beyond this. */
  readonly maxTtlMs?: number
}

interface Token extends TokenOptions {
  readonly id: string
  readonly madeAt: number
  /** It works there and below: empty for the root. */
  readonly namespace: string
  endsAt: number
}

interface AppRole extends TokenOptions {
  readonly roleId: string
  readonly secretId: string
}

interface KubernetesRole extends TokenOptions {
  readonly namespace: string
  readonly account: string
}

const everyone: readonly Rule[] = [
  { path: 'auth/token/lookup-self', capabilities: ['read'] },
  { path: 'auth/token/renew-self', capabilities: ['update'] },
  { path: 'auth/token/revoke-self', capabilities: ['update'] },
  { path: 'sys/capabilities-self', capabilities: ['update'] },
]

/**
 * Tokens and three login methods. A token that ended, was revoked or never was, and a policy that does not allow, are one answer: 403 "permission
 * denied". Tokens carry the policy `default`. AppRole says 400 for a wrong role or secret id; Kubernetes 400 for an unknown role and 403 for whatever the review of
 * the token says; JWT 400 for everything (vault-jwt.ts). A method that is not mounted in the namespace of the request is denied. https://openbao.org/api-docs/auth/approle/ https://openbao.org/api-docs/auth/kubernetes/ https://openbao.org/api-docs/auth/token/
 */
export class VaultAuth {
  readonly #tokens = new Map<string, Token>()
  readonly #now: () => number
  readonly appRoles = new Map<string, AppRole>()
  readonly kubernetesRoles = new Map<string, KubernetesRole>()
  readonly jwtRoles = new Map<string, JwtRole & TokenOptions>()
  /** Who checks JWTs; without it that method is not there. */
  jwt: JwtReview | undefined
  /** The role of a JWT login that names none. */
  jwtDefaultRole: string | undefined
  /** Where the methods are mounted: empty for the root. */
  namespace = ''
  /** Where tokens of Kubernetes are reviewed. */
  reviewUrl: string | undefined
  logins = 0
  renewals = 0
  revocations = 0

  constructor(now: () => number) {
    this.#now = now
  }

  grant(options: TokenOptions = {}, id = `s.${randomBytes(18).toString('base64url')}`, namespace = this.namespace): string {
    const now = this.#now()
    const { ttlMs = 0 } = options
    this.#tokens.set(id, { ...options, id, namespace, madeAt: now, endsAt: ttlMs === 0 ? Number.POSITIVE_INFINITY : now + ttlMs })
    return id
  }

  revoke(token: string): void {
    this.#tokens.delete(token)
  }

  revokeAll(): void {
    this.#tokens.clear()
  }

  live(id: string | undefined, namespace = ''): Token | undefined {
    const token = this.#tokens.get(id ?? '')
    const works = token !== undefined && this.#now() < token.endsAt && `${namespace}/`.startsWith(token.namespace && `${token.namespace}/`)
    return works ? token : undefined
  }

  /** Rules name places from the root; what everyone may is in each namespace. */
  capabilities({ rules }: Token, path: string, namespace = ''): readonly string[] {
    if (rules === undefined) return ['root']
    const here = (rule: Rule) => ({ ...rule, path: placeIn(namespace, rule.path) })
    const place = placeIn(namespace, path)
    const fitting = [...rules, ...everyone.map(here)].filter(rule =>
      rule.path.endsWith('*') ? place.startsWith(rule.path.slice(0, -1)) : place === rule.path,
    )
    const best = fitting.sort((a, b) => b.path.length - a.path.length)[0]
    return best?.capabilities ?? ['deny']
  }

  async login(method: string, body: Record<string, unknown>): Promise<Reply & { auth?: object }> {
    if (method === 'jwt') return this.#jwtLogin(body)
    if (method === 'approle') {
      const role = [...this.appRoles.values()].find(each => each.roleId === body.role_id)
      if (role === undefined) return { status: 400, errors: ['invalid role or secret ID'] }
      // the server repeats the secret id in one of its refusals (builtin/credential/approle/path_login.go)
      if (role.secretId !== body.secret_id) return { status: 400, errors: [`invalid secret_id ${JSON.stringify(body.secret_id)}`] }
      return this.#granted(role)
    }
    const role = this.kubernetesRoles.get(String(body.role))
    if (role === undefined) return { status: 400, errors: [`invalid role name ${JSON.stringify(body.role)}`] }
    const account = await this.#review(String(body.jwt))
    if (account !== `system:serviceaccount:${role.namespace}:${role.account}`) return { status: 403, errors: ['permission denied'] }
    return this.#granted(role)
  }

  #jwtLogin({ role: named = this.jwtDefaultRole, jwt = '' }: Record<string, unknown>): Reply & { auth?: object } {
    if (this.jwt === undefined) return { status: 403, errors: ['permission denied'] }
    if (named === undefined) return { status: 400, errors: ['missing role'] }
    const role = this.jwtRoles.get(String(named))
    if (role === undefined) return { status: 400, errors: [`role ${JSON.stringify(named)} could not be found`] }
    if (jwt === '') return { status: 400, errors: ['missing token'] }
    const refusal = this.jwt.refusal(String(jwt), role)
    return refusal === undefined ? this.#granted(role) : { status: 400, errors: [refusal] }
  }

  self(action: string, token: Token): Reply & { auth?: object } {
    const ttl = Number.isFinite(token.endsAt) ? Math.floor((token.endsAt - this.#now()) / 1_000) : 0
    if (action === 'lookup-self') return { status: 200, data: { id: token.id, ttl, renewable: token.renewable ?? false, type: 'service' } }
    if (action === 'revoke-self') {
      this.revocations += 1
      this.revoke(token.id)
      return { status: 204 }
    }
    if (token.renewable !== true) return { status: 400, errors: ['lease is not renewable'] }
    this.renewals += 1
    const most = token.maxTtlMs === undefined ? Number.POSITIVE_INFINITY : token.madeAt + token.maxTtlMs
    token.endsAt = Math.min(this.#now() + (token.ttlMs ?? 0), most)
    return { status: 200, auth: this.#auth(token) }
  }

  #granted(options: TokenOptions): Reply & { auth?: object } {
    this.logins += 1
    const token = this.live(this.grant(options), this.namespace)
    return token === undefined ? { status: 500, errors: ['internal error'] } : { status: 200, auth: this.#auth(token) }
  }

  #auth(token: Token): object {
    const lease = Number.isFinite(token.endsAt) ? Math.floor((token.endsAt - this.#now()) / 1_000) : 0
    return {
      client_token: token.id,
      accessor: 'a',
      policies: ['default'],
      lease_duration: lease,
      renewable: token.renewable ?? false,
      token_type: 'service',
    }
  }

  async #review(jwt: string): Promise<string | undefined> {
    if (this.reviewUrl === undefined) return undefined
    const answer = await fetch(`${this.reviewUrl}/apis/authentication.k8s.io/v1/tokenreviews`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
      body: JSON.stringify({ kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', spec: { token: jwt } }),
    })
    const { status } = (await answer.json()) as { status?: { authenticated?: boolean; user?: { username?: string } } }
    return status?.authenticated === true ? status.user?.username : undefined
  }
}

/** A path as it stands from the root. */
export function placeIn(namespace: string, path: string): string {
  return namespace === '' ? path : `${namespace}/${path}`
}
