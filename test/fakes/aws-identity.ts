import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Accounts, type Credential, Refusal } from './aws-accounts.ts'

/** A role and who may have it. */
interface Role {
  readonly arn: string
  readonly externalId?: string
  /** The web identity token that it trusts. */
  readonly token?: string
}

/** Where a credential was asked for. */
export type Asked = 'AssumeRole' | 'AssumeRoleWithWebIdentity' | 'container' | 'instance'

/**
 * The places where AWS gives credentials, on one port of the loopback: STS (https://docs.aws.amazon.com/STS/latest/APIReference/, the query protocol: a form
 * in, XML out; AssumeRole is signed, AssumeRoleWithWebIdentity is not), a container's endpoint at `/v2/credentials` with its authorization token
 * (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html), and IMDSv2 at `/latest/`, which answers 401 without a session
 * token that was asked for with PUT (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html).
 */
export class AwsIdentityFake {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #accounts: Accounts
  readonly #sessions = new Set<string>()
  readonly roles: Role[] = []
  readonly asked: Asked[] = []
  /** The forms that STS was sent. */
  readonly forms: Readonly<Record<string, string>>[] = []
  readonly broken: unknown[] = []
  /** How long what it gives lasts. */
  lifeMs = 3_600_000
  /** What it gives is denied these calls. */
  denied: readonly string[] = []
  /** What a container must send as its authorization. */
  containerToken: string | undefined
  /** The role of the instance; undefined: it has none. */
  instanceRole: string | undefined = 'keyturn'
  /** Answers so instead: a status and a body. */
  instead: { readonly status: number; readonly body: string } | undefined
  /** Awaited before each answer. */
  before: () => Promise<void> = async () => undefined

  private constructor(accounts: Accounts) {
    this.#accounts = accounts
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        this.broken.push(error)
        response.destroy()
      })
    })
    this.#server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(accounts: Accounts): Promise<AwsIdentityFake> {
    const fake = new AwsIdentityFake(accounts)
    await new Promise<void>(resolve => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get url(): string {
    // listen() on a port gives an AddressInfo
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray())
    await this.before()
    const { status, text } =
      this.instead === undefined ? this.#reply(request, body) : { status: this.instead.status, text: this.instead.body }
    response.writeHead(status, { 'content-type': request.url === '/' ? 'text/xml' : 'application/json' }).end(text)
  }

  #reply(request: IncomingMessage, body: Buffer): { status: number; text: string } {
    const { url = '', method } = request
    if (url === '/' && method === 'POST') return this.#sts(request, body)
    if (url === '/v2/credentials' && method === 'GET') return this.#container(request.headers.authorization)
    if (url.startsWith('/latest/')) return this.#metadata(request)
    this.broken.push(`${method} ${url}`)
    return { status: 404, text: '' }
  }

  #sts(request: IncomingMessage, body: Buffer): { status: number; text: string } {
    const form = Object.fromEntries(new URLSearchParams(body.toString()))
    this.forms.push(form)
    try {
      // the two operations that are asked for
      const action = form.Action as 'AssumeRole' | 'AssumeRoleWithWebIdentity'
      this.asked.push(action)
      if (action === 'AssumeRole') this.#accounts.signer(request, body, 'sts')
      const role = this.roles.find(({ arn }) => arn === form.RoleArn)
      if (action === 'AssumeRoleWithWebIdentity' && role?.token !== form.WebIdentityToken) {
        throw new Refusal('InvalidIdentityToken', 'The web identity token that was passed is not valid')
      }
      const isOther = action === 'AssumeRole' && role?.externalId !== undefined && role.externalId !== form.ExternalId
      if (role === undefined || isOther) {
        throw new Refusal('AccessDenied', 'not authorized to perform: sts:AssumeRole')
      }
      return { status: 200, text: this.#xml(action) }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { type, message } = error
      return {
        status: 403,
        text: `<ErrorResponse><Error><Type>Sender</Type><Code>${type}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
      }
    }
  }

  #xml(action: string): string {
    const { accessKeyId, secretAccessKey, sessionToken, endsAt } = this.#lent()
    const end = new Date(endsAt ?? 0).toISOString()
    const credentials = `<Credentials><AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey><SessionToken>${sessionToken}</SessionToken><Expiration>${end}</Expiration></Credentials>`
    return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>${credentials}</${action}Result></${action}Response>`
  }

  #container(authorization: string | undefined): { status: number; text: string } {
    this.asked.push('container')
    if (authorization !== this.containerToken) return { status: 401, text: '{"message":"Unauthorized"}' }
    return { status: 200, text: this.#json() }
  }

  #metadata(request: IncomingMessage): { status: number; text: string } {
    const folder = '/latest/meta-data/iam/security-credentials/'
    if (request.url === '/latest/api/token') {
      const ttl = Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds'])
      if (request.method !== 'PUT' || !(ttl >= 1 && ttl <= 21_600)) return { status: 400, text: '' }
      const session = randomUUID()
      this.#sessions.add(session)
      return { status: 200, text: session }
    }
    if (!this.#sessions.has(String(request.headers['x-aws-ec2-metadata-token']))) return { status: 401, text: '' }
    if (this.instanceRole === undefined) return { status: 404, text: '' }
    if (request.url === folder) return { status: 200, text: this.instanceRole }
    if (request.url !== `${folder}${this.instanceRole}`) return { status: 404, text: '' }
    this.asked.push('instance')
    return { status: 200, text: this.#json() }
  }

  #json(): string {
    const { accessKeyId, secretAccessKey, sessionToken, endsAt } = this.#lent()
    const end = new Date(endsAt ?? 0).toISOString()
    return JSON.stringify({
      Code: 'Success',
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      Token: sessionToken,
      Expiration: end,
    })
  }

  #lent(): Credential {
    return this.#accounts.lend(this.lifeMs, {
      accessKeyId: `ASIA${randomUUID().replaceAll('-', '').slice(0, 16).toUpperCase()}`,
      denied: this.denied,
    })
  }
}
