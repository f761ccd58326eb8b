import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'

/** Who signs tokens for jobs: its name, its key, and a mint. */
export class JwtIssuer {
  readonly #keys = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  readonly name: string
  readonly #now: () => number

  constructor(name = 'https://ci.example.com', now: () => number = Date.now) {
    this.name = name
    this.#now = now
  }

  /** PEM text, as `jwt_validation_pubkeys` takes it. */
  get publicKey(): string {
    return this.#keys.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  }

  /** A token that is good for five minutes, unless the claims say otherwise. */
  mint(claims: { readonly sub: string; readonly aud: string; readonly [claim: string]: unknown }): string {
    const seconds = Math.floor(this.#now() / 1_000)
    const body = { iss: this.name, iat: seconds, nbf: seconds, exp: seconds + 300, ...claims }
    const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(body)}`
    return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), this.#keys.privateKey).toString('base64url')}`
  }
}

/** A role of the method: who may log in by it. */
export interface JwtRole {
  readonly audience: string
  readonly subject: string
}

/**
 * The checks of the JWT method in its own order, each with its own words and 400: signature, time, audience, bound claims.
 * Seen on OpenBao 2.6.2; https://openbao.org/api-docs/auth/jwt/
 */
export class JwtReview {
  readonly #key: KeyObject
  readonly #issuer: string
  readonly #now: () => number
  /** The issuer does not give its keys. */
  keyless = false

  constructor({ publicKey, name }: JwtIssuer, now: () => number) {
    this.#key = createPublicKey(publicKey)
    this.#issuer = name
    this.#now = now
  }

  /** What is wrong with a token for this role; undefined when it may log in. */
  refusal(jwt: string, role: JwtRole): string | undefined {
    const signature = 'error validating token: error verifying token signature: '
    if (this.keyless) return `${signature}fetching keys oidc: get keys failed: 500 Internal Server Error`
    const [head = '', body = '', mark = '', ...more] = jwt.split('.')
    if (mark === '' || more.length > 0) return `${signature}go-jose/go-jose: compact JWS format must have three parts`
    if (!verify('RSA-SHA256', Buffer.from(`${head}.${body}`), this.#key, Buffer.from(mark, 'base64url')))
      return `${signature}no known key successfully validated the token signature`
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as { exp: number; iss: string; aud: string; sub: string }
    if (claims.exp * 1_000 < this.#now()) return 'error validating token: invalid expiration time (exp) claim: token is expired'
    if (claims.iss !== this.#issuer) return 'error validating token: invalid issuer (iss) claim'
    if (claims.aud !== role.audience)
      return 'error validating token: invalid audience (aud) claim: audience claim does not match any expected audience'
    if (claims.sub !== role.subject) return 'error validating claims: claim "sub" does not match any associated bound claim values'
    return undefined
  }
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
