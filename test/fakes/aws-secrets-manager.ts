import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { Accounts, Refusal } from './aws-accounts.ts'
import { AwsSecrets, type Input } from './aws-secrets.ts'

/** What the fake does instead of its work, to operations whose name fits. */
export type Knob =
  | { readonly do: 'hang' }
  /** Acts, then cuts the connection. */
  | { readonly do: 'cut' }
  /** Acts, then cuts the connection within its answer. */
  | { readonly do: 'cut-within' }
  /** Cuts before acting. */
  | { readonly do: 'drop' }
  /** Acts, then answers late. */
  | { readonly do: 'slow'; readonly ms: number }
  /** Answers with the head and a body that does not end. */
  | { readonly do: 'endless' }
  | {
      readonly do: 'fail'
      readonly type: string
      readonly message?: string
      readonly status?: number
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly do: 'redirect'; readonly to: string }
  | { readonly do: 'page'; readonly status?: number; readonly headers?: Readonly<Record<string, string>> }
  /** Answers 200 with this body. */
  | { readonly do: 'say'; readonly body: string }
  /** Runs something between the arrival of a request and its work: another writer, for instance. */
  | { readonly do: 'meanwhile'; readonly run: () => void }

export interface Seen {
  readonly operation: string
  readonly input: Input
  readonly accessKeyId: string
  readonly headers: IncomingMessage['headers']
}

export interface FakeSettings {
  readonly now?: () => number
  /** Shared with other fakes of the account. */
  readonly accounts?: Accounts
  /** Key and certificate in PEM: then it speaks TLS. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/**
 * AWS Secrets Manager on a real socket: JSON 1.1 over HTTP (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html), every request signed
 * and checked (aws-signature.ts), rights before anything else (AccessDeniedException also for what is not there), then the secrets (aws-secrets.ts).
 * `broken` collects what a client of AWS would never send: a test that sees any fails.
 */
export class AwsSecretsManagerFake {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #scheme: string
  #knobs: { readonly fits: RegExp; readonly knob: Knob; left: number }[] = []
  readonly accounts: Accounts
  readonly secrets: AwsSecrets
  readonly region = 'eu-central-1'
  readonly seen: Seen[] = []
  readonly broken: unknown[] = []
  connections = 0
  /** Requests that are being served now, and the most there were. */
  inFlight = { now: 0, most: 0 }
  /** Added to the time that answers say. */
  clockAheadMs = 0

  private constructor({ now = Date.now, accounts, tls }: FakeSettings) {
    this.accounts = accounts ?? new Accounts(now)
    this.secrets = new AwsSecrets(now, this.region)
    this.#scheme = tls === undefined ? 'http' : 'https'
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      this.inFlight.now += 1
      this.inFlight.most = Math.max(this.inFlight.most, this.inFlight.now)
      response.on('close', () => {
        this.inFlight.now -= 1
      })
      this.#serve(request, response).catch((error: unknown) => {
        this.broken.push(error)
        response.destroy()
      })
    }
    this.#server = tls === undefined ? createServer(serve) : createSecureServer(tls, serve)
    this.#server.on('connection', (socket: Socket) => {
      this.connections += 1
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(settings: FakeSettings = {}): Promise<AwsSecretsManagerFake> {
    const fake = new AwsSecretsManagerFake(settings)
    await new Promise<void>(resolve => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size
  }

  get url(): string {
    // listen() on a port gives an AddressInfo
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Turns a knob for operations whose name fits, `times` of them. */
  turn(fits: RegExp, knob: Knob, times = Number.POSITIVE_INFINITY): void {
    this.#knobs.push({ fits, knob, left: times })
  }

  turnBack(): void {
    this.#knobs = []
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray())
    const { 'x-amz-target': target, 'content-type': type } = request.headers
    const [, operation = ''] = /^secretsmanager\.(\w+)$/.exec(String(target)) ?? []
    response.setHeader('date', new Date(Date.now() + this.clockAheadMs).toUTCString())
    if (request.method !== 'POST' || request.url !== '/' || operation === '' || type !== 'application/x-amz-json-1.1') {
      this.broken.push(`${request.method} ${request.url} ${String(target)} ${type}`)
    }
    const knob = this.#knob(operation)
    if (knob !== undefined && instead(knob, request, response)) return
    const reply = this.#reply(request, body, operation)
    if (knob?.do === 'cut') return void request.socket.destroy()
    if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
    if (knob?.do === 'cut-within') {
      response.writeHead(reply.status, { 'content-type': 'application/x-amz-json-1.1', 'content-length': reply.text.length + 10 })
      response.write(reply.text, () => request.socket.destroy())
      return
    }
    response.writeHead(reply.status, { 'content-type': 'application/x-amz-json-1.1' }).end(reply.text)
  }

  #knob(operation: string): Knob | undefined {
    const found = this.#knobs.find(({ fits, left }) => left > 0 && fits.test(operation))
    if (found !== undefined) found.left -= 1
    return found?.knob
  }

  #reply(request: IncomingMessage, body: Buffer, operation: string): { readonly status: number; readonly text: string } {
    try {
      const { accessKeyId, denied = [] } = this.accounts.signer(request, body, 'secretsmanager')
      const input = JSON.parse(body.toString()) as Input
      this.seen.push({ operation, input, accessKeyId, headers: request.headers })
      if (denied.includes(operation)) {
        throw new Refusal(
          'AccessDeniedException',
          `User is not authorized to perform: secretsmanager:${operation} because no identity-based policy allows it`,
        )
      }
      return { status: 200, text: JSON.stringify(this.secrets.answer(operation, input)) }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { status: 400, text: JSON.stringify({ __type: error.type, message: error.message }) }
    }
  }
}

/** Answers in place of the work; false where the work is done first, or after all. */
function instead(knob: Knob, request: IncomingMessage, response: ServerResponse): boolean {
  if (knob.do === 'cut' || knob.do === 'cut-within' || knob.do === 'slow') return false
  if (knob.do === 'meanwhile') {
    knob.run()
    return false
  }
  if (knob.do === 'drop') request.socket.destroy()
  if (knob.do === 'redirect') response.writeHead(307, { location: knob.to }).end()
  if (knob.do === 'say') response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).end(knob.body)
  if (knob.do === 'page') {
    response
      .writeHead(knob.status ?? 200, { 'content-type': 'text/html', ...knob.headers })
      .end('<html><form action="/login"></form></html>')
  }
  if (knob.do === 'fail') {
    response.writeHead(knob.status ?? 400, { 'content-type': 'application/x-amz-json-1.1', ...knob.headers })
    response.end(JSON.stringify({ __type: knob.type, message: knob.message ?? '' }))
  }
  if (knob.do === 'endless') {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' })
    response.write('{"SecretString":"')
    const more = setInterval(() => response.write('x'), 10)
    response.on('close', () => clearInterval(more))
  }
  return true
}
