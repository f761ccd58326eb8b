import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { Refusal } from './kubernetes-status.ts'

/** What an account may do; without a namespace in all of them, without names to all of them. */
export interface Rule {
  readonly verbs: readonly string[]
  readonly resource?: 'secrets' | 'namespaces'
  readonly namespace?: string
  readonly names?: readonly string[]
}

/** Who asks, as the API server came to know it. */
export interface Account {
  readonly user: string
  /** Undefined: everything. */
  readonly rules?: readonly Rule[]
}

/** What somebody wants to do. */
export interface Wish {
  readonly verb: string
  readonly resource: string
  readonly namespace: string
  readonly name: string
}

/**
 * Authentication and RBAC of an API server: bearer tokens that end or are revoked (401), client certificates by their common name, nobody at all as
 * `system:anonymous` (403), impersonation, roles with `resourceNames`, and the words of a denial.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/, https://kubernetes.io/docs/reference/access-authn-authz/rbac/
 */
export class KubernetesAccess {
  readonly #tokens = new Map<string, Account & { readonly endsAt: number }>()
  readonly #users = new Map<string, Account>()
  readonly #now: () => number
  #made = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** A new token of an account; without rules it may do everything. */
  token(account: { readonly user?: string; readonly rules?: readonly Rule[]; readonly endsInMs?: number } = {}): string {
    this.#made += 1
    const token = `test-only-token-${this.#made}`
    const { user = `system:serviceaccount:default:test-${this.#made}`, rules, endsInMs = Number.POSITIVE_INFINITY } = account
    this.#tokens.set(token, { user, ...(rules === undefined ? {} : { rules }), endsAt: this.#now() + endsInMs })
    return token
  }

  revoke(token: string): void {
    this.#tokens.delete(token)
  }

  /** The rights of whoever has a certificate of this name, or is stood for. */
  allow(user: string, rules?: readonly Rule[]): void {
    this.#users.set(user, { user, ...(rules === undefined ? {} : { rules }) })
  }

  who(request: IncomingMessage): Account {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    const account = token === undefined ? this.#certified(request) : this.#tokens.get(token)
    if (account === undefined || ('endsAt' in account && Number(account.endsAt) <= this.#now())) {
      throw new Refusal(401, 'Unauthorized', 'Unauthorized')
    }
    const other = request.headers['impersonate-user']?.toString()
    return other === undefined ? account : (this.#users.get(other) ?? { user: other, rules: [] })
  }

  demand(account: Account, wish: Wish): void {
    if (may(account, wish)) return
    const { verb, resource, namespace, name } = wish
    const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`
    const what = `${resource}${name === '' ? '' : ` "${name}"`}`
    throw new Refusal(
      403,
      'Forbidden',
      `${what} is forbidden: User "${account.user}" cannot ${verb} resource "${resource}" in API group "" ${where}`,
      { ...(name === '' ? {} : { name }), kind: resource },
    )
  }

  #certified(request: IncomingMessage): Account {
    // the fake listens on TLS alone
    const socket = request.socket as TLSSocket
    const name = socket.authorized ? socket.getPeerCertificate().subject?.CN : undefined
    if (name === undefined) return { user: 'system:anonymous', rules: [] }
    return this.#users.get(String(name)) ?? { user: String(name), rules: [] }
  }
}

/** Whether a rule allows it. A creation or a list has no name, so that a rule with names does not cover it. */
export function may({ rules }: Account, { verb, resource, namespace, name }: Wish): boolean {
  if (rules === undefined) return true
  return rules.some(
    rule =>
      rule.verbs.includes(verb) &&
      (rule.resource ?? 'secrets') === resource &&
      (rule.namespace === undefined || rule.namespace === namespace) &&
      (rule.names === undefined || rule.names.includes(name)),
  )
}
