import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AnyKnob, bodyOf, instead, TurnableServer } from './turnable-server.ts'

/** What the fake does instead of its work, to requests whose method and path fit. */
export type Knob =
  | AnyKnob
  | { readonly do: 'fail'; readonly status: number; readonly errors?: readonly string[]; readonly retryAfter?: string }
  /** Answers 200 with this body. */
  | { readonly do: 'say'; readonly body: string }

interface Key {
  readonly type: string
  readonly versions: Buffer[]
  minDecryption: number
}

interface Token {
  readonly renewable: boolean
  ttl: number
  endsAt: number
}

type Reply = readonly [status: number, body: object]

const denied: Reply = [403, { errors: ['1 error occurred:\n\t* permission denied\n\n'] }]

/**
 * The transit engine of OpenBao at `transit/`, as far as wrapping a KEK uses it, on a real socket: keys with versions, AES-256-GCM with associated
 * data, `min_decryption_version`, tokens that end and are renewed, logins by the method `kubernetes`. Words as OpenBao 2.6.2 says them.
 */
export class VaultTransitFake extends TurnableServer<Knob> {
  readonly keys = new Map<string, Key>()
  readonly tokens = new Map<string, Token>()
  /** JWTs that the role `keyturn` may log in with. */
  readonly jwts = new Set<string>()
  readonly seen: { readonly line: string; readonly token: string | undefined; readonly namespace: string | undefined }[] = []
  /** A login makes tokens of this life, in seconds. */
  ttl = 3_600
  readonly #now: () => number

  private constructor(now: () => number) {
    super()
    this.#now = now
  }

  static start(now: () => number = Date.now): Promise<VaultTransitFake> {
    return new VaultTransitFake(now).listen()
  }

  makeKey(name: string, type = 'aes256-gcm96'): void {
    this.keys.set(name, { type, versions: [randomBytes(32)], minDecryption: 1 })
  }

  rotate(name: string): void {
    this.keys.get(name)?.versions.push(randomBytes(32))
  }

  grant(ttl = 0, renewable = false): string {
    const token = `s.${randomBytes(12).toString('hex')}`
    this.tokens.set(token, { renewable, ttl, endsAt: ttl === 0 ? Number.POSITIVE_INFINITY : this.#now() + ttl * 1_000 })
    return token
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`
    const [token, namespace] = [request.headers['x-vault-token']?.toString(), request.headers['x-vault-namespace']?.toString()]
    this.seen.push({ line, token, namespace })
    const text = await bodyOf(request)
    const knob = this.knobFor(line)
    if (knob?.do === 'fail') {
      if (knob.retryAfter !== undefined) response.setHeader('retry-after', knob.retryAfter)
      return say(response, [knob.status, { errors: knob.errors ?? [] }])
    }
    if (knob?.do === 'say') return void response.writeHead(200, { 'content-type': 'application/json' }).end(knob.body)
    if (knob !== undefined && instead(knob, request, response)) return
    const reply = this.#reply(line, token, text === '' ? {} : (JSON.parse(text) as Record<string, string>))
    if (knob?.do === 'cut') return void request.socket.destroy()
    if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
    say(response, reply)
  }

  #reply(line: string, token: string | undefined, body: Readonly<Record<string, string>>): Reply {
    if (line === 'POST /v1/auth/kubernetes/login') return this.#login(body)
    const live = this.tokens.get(token ?? '')
    if (live === undefined || live.endsAt <= this.#now()) return denied
    if (line === 'GET /v1/auth/token/lookup-self') return [200, { data: { ttl: live.ttl, renewable: live.renewable } }]
    if (line === 'POST /v1/auth/token/renew-self') {
      live.endsAt = this.#now() + live.ttl * 1_000
      return [200, { auth: { client_token: token, lease_duration: live.ttl, renewable: live.renewable } }]
    }
    if (line === 'POST /v1/auth/token/revoke-self') {
      this.tokens.delete(token ?? '')
      return [204, {}]
    }
    const [, action, name = ''] = /^(?:GET|POST) \/v1\/transit\/(keys|encrypt|decrypt)\/([^/]+)$/.exec(line) ?? []
    if (action === undefined) return [404, { errors: [`no handler for route "${line}". route entry not found.`] }]
    return this.#onKey(action, name, body)
  }

  #login({ role, jwt }: Readonly<Record<string, string>>): Reply {
    if (role !== 'keyturn' || !this.jwts.has(jwt ?? '')) return denied
    return [200, { auth: { client_token: this.grant(this.ttl, true), lease_duration: this.ttl, renewable: true } }]
  }

  #onKey(action: string, name: string, body: Readonly<Record<string, string>>): Reply {
    const key = this.keys.get(name)
    if (action === 'keys') {
      if (key === undefined) return [404, { errors: [] }]
      const { type, versions, minDecryption } = key
      const shape = { derived: false, exportable: false, min_decryption_version: minDecryption }
      return [200, { data: { name, type, latest_version: versions.length, ...shape } }]
    }
    if (key === undefined) return [400, { errors: ['encryption key not found'] }]
    const context = Buffer.from(body.associated_data ?? '', 'base64')
    return action === 'encrypt'
      ? [200, { data: encrypted(key, body.plaintext ?? '', context) }]
      : decrypted(key, body.ciphertext ?? '', context)
  }
}

function encrypted({ versions }: Key, plaintext: string, context: Buffer): object {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', versions.at(-1) ?? '', iv).setAAD(context)
  const bytes = Buffer.concat([iv, cipher.update(Buffer.from(plaintext, 'base64')), cipher.final(), cipher.getAuthTag()])
  return { ciphertext: `vault:v${versions.length}:${bytes.toString('base64')}`, key_version: versions.length }
}

function decrypted({ versions, minDecryption }: Key, ciphertext: string, context: Buffer): Reply {
  const [, number = '', text = ''] = /^vault:v(\d+):(.*)$/.exec(ciphertext) ?? []
  if (number === '') return [400, { errors: ['invalid ciphertext: no prefix'] }]
  if (Number(number) < minDecryption) return [400, { errors: ['ciphertext or signature version is disallowed by policy (too old)'] }]
  const [version, bytes] = [versions[Number(number) - 1], Buffer.from(text, 'base64')]
  if (version === undefined) return [400, { errors: ['invalid ciphertext: version is too new'] }]
  if (bytes.byteLength < 28) return [400, { errors: ['invalid ciphertext length'] }]
  try {
    const decipher = createDecipheriv('aes-256-gcm', version, bytes.subarray(0, 12)).setAAD(context).setAuthTag(bytes.subarray(-16))
    return [200, { data: { plaintext: Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('base64') } }]
  } catch {
    return [400, { errors: ['cipher: message authentication failed'] }]
  }
}

function say(response: ServerResponse, [status, body]: Reply): void {
  if (status === 204) return void response.writeHead(204).end()
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
