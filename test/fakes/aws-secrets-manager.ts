import type { IncomingMessage, ServerResponse } from 'node:http'
import { Accounts, Refusal } from './aws-accounts.ts'
import { AwsSecrets, type Input } from './aws-secrets.ts'
import { type AnyKnob, endless, instead, TurnableServer } from './turnable-server.ts'

/** What the fake does instead of its work, to operations whose name fits. */
export type Knob =
  | AnyKnob
  /** Acts, then cuts the connection within its answer. */
  | { readonly do: 'cut-within' }
  /** Answers with the head and a body that does not end. */
  | { readonly do: 'endless' }
  | {
      readonly do: 'fail'
      readonly type: string
      readonly message?: string
      readonly status?: number
      readonly headers?: Readonly<Record<string, string>>
    }
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
export class AwsSecretsManagerFake extends TurnableServer<Knob> {
  readonly accounts: Accounts
  readonly secrets: AwsSecrets
  readonly region = 'eu-central-1'
  readonly seen: Seen[] = []
  /** Requests that are being served now, and the most there were. */
  inFlight = { now: 0, most: 0 }
  /** Added to the time that answers say. */
  clockAheadMs = 0

  private constructor({ now = Date.now, accounts, tls }: FakeSettings) {
    super(tls)
    this.accounts = accounts ?? new Accounts(now)
    this.secrets = new AwsSecrets(now, this.region)
  }

  static start(settings: FakeSettings = {}): Promise<AwsSecretsManagerFake> {
    return new AwsSecretsManagerFake(settings).listen()
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.inFlight.now += 1
    this.inFlight.most = Math.max(this.inFlight.most, this.inFlight.now)
    response.on('close', () => {
      this.inFlight.now -= 1
    })
    const body = Buffer.concat(await request.toArray())
    const { 'x-amz-target': target, 'content-type': type } = request.headers
    const [, operation = ''] = /^secretsmanager\.(\w+)$/.exec(String(target)) ?? []
    response.setHeader('date', new Date(Date.now() + this.clockAheadMs).toUTCString())
    if (request.method !== 'POST' || request.url !== '/' || operation === '' || type !== 'application/x-amz-json-1.1') {
      this.broken.push(`${request.method} ${request.url} ${String(target)} ${type}`)
    }
    const knob = this.knobFor(operation)
    if (knob !== undefined && answered(knob, request, response)) return
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
function answered(knob: Knob, request: IncomingMessage, response: ServerResponse): boolean {
  const type = 'application/x-amz-json-1.1'
  if (knob.do === 'meanwhile') knob.run()
  if (knob.do === 'meanwhile' || knob.do === 'cut-within') return false
  if (knob.do === 'say') response.writeHead(200, { 'content-type': type }).end(knob.body)
  else if (knob.do === 'endless') endless(response, type, 'x', '{"SecretString":"')
  else if (knob.do === 'fail') {
    response.writeHead(knob.status ?? 400, { 'content-type': type, ...knob.headers })
    response.end(JSON.stringify({ __type: knob.type, message: knob.message ?? '' }))
  } else return instead(knob, request, response)
  return true
}
