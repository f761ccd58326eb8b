import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { signedBy } from './aws-signature.ts'

/** A credential that the fakes know. */
export interface Credential {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** In milliseconds; left out: it does not end. */
  readonly endsAt?: number
  /** Calls that its policies deny: `GetSecretValue`. */
  readonly denied?: readonly string[]
}

/** A no of AWS: its name and its text. */
export class Refusal extends Error {
  readonly type: string

  constructor(type: string, message: string) {
    super(message)
    this.type = type
  }
}

/** The credentials of an account, and who of them sent a request. Names of the errors: https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html */
export class Accounts {
  readonly #credentials = new Map<string, Credential>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  add(more: Partial<Credential> = {}): Credential {
    const id = randomUUID().replaceAll('-', '').toUpperCase()
    const credential = { accessKeyId: `AKIA${id.slice(0, 16)}`, secretAccessKey: `secret-${id}`, ...more }
    this.#credentials.set(credential.accessKeyId, credential)
    return credential
  }

  /** A credential with an end, as roles give. */
  lend(ms: number, more: Partial<Credential> = {}): Credential {
    return this.add({ sessionToken: `token-${randomUUID()}`, endsAt: this.#now() + ms, ...more })
  }

  revoke(accessKeyId: string): void {
    this.#credentials.delete(accessKeyId)
  }

  /** Whoever signed this, or why it is refused. */
  signer(request: IncomingMessage, body: Buffer, service: string): Credential {
    const signed = signedBy(request, body)
    if (signed === undefined) throw new Refusal('MissingAuthenticationTokenException', 'Missing Authentication Token')
    const known = this.#credentials.get(signed.accessKeyId)
    if (known === undefined || known.sessionToken !== signed.token) {
      throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.')
    }
    if (signed.service !== service || !signed.fits(known.secretAccessKey)) {
      throw new Refusal('InvalidSignatureException', 'The request signature we calculated does not match the signature you provided.')
    }
    if (known.endsAt !== undefined && known.endsAt <= this.#now()) {
      throw new Refusal('ExpiredTokenException', 'The security token included in the request is expired')
    }
    return known
  }
}
