/**
 * Google Secret Manager over gRPC on a free loopback port, from the service's own protocol file. What it copies, and the page that each is from:
 * - `latest` is the newest version in any state; a disabled or destroyed one is refused with FAILED_PRECONDITION and these words
 *   https://cloud.google.com/secret-manager/docs/reference/rpc, https://github.com/external-secrets/external-secrets/issues/4042
 * - etags of versions and secrets, FAILED_PRECONDITION for a stale one, a new one after a change that changes nothing; adding a version leaves the
 *   secret's as it was https://cloud.google.com/secret-manager/docs/etags
 * - aliases of versions and annotations of secrets, changed by mask and etag https://cloud.google.com/secret-manager/docs/assign-alias-to-secret-version,
 *   https://cloud.google.com/secret-manager/docs/annotations
 * - checksums: compared when sent, told when read https://cloud.google.com/secret-manager/docs/data-integrity
 * - paging: sorted, stable, 25,000 at most; versions newest first https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/list
 * - limits: 64 KiB, no empty payload, ids of letters, digits, - and _, replication where the secret is not regional
 *   https://cloud.google.com/secret-manager/quotas, .../projects.secrets/create
 * - destruction that is delayed https://cloud.google.com/secret-manager/docs/delay-destruction-of-secret-versions
 * - permissions by method, and UNAUTHENTICATED for a token that it does not know https://cloud.google.com/secret-manager/docs/access-control
 * - a read of `latest` may be behind, one by number is not https://cloud.google.com/secret-manager/docs/access-secret-version
 * The words of a stale etag are ours: no page has Google's. It does not copy what emulators do: `latest` as the highest enabled version, versions in
 * the order of their text, lists that repeat and miss, empty etags, no limits.
 */
import { createRequire } from 'node:module'
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net'
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type ServiceDefinition, type sendUnaryData } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { GrpcStatus, SecretsFake } from './gcp-secrets.ts'
import { testCertificates } from './tls/certificates.ts'

const require = createRequire(import.meta.url)

/** What a call may be turned into. `drop`: cut before it is done; `cut`: done, and the answer is lost; `hang`: no answer ever; `say`: this answer, and nothing is done. */
export type Knob =
  | { readonly do: 'status'; readonly code: number; readonly details?: string; readonly retryMs?: number }
  | { readonly do: 'drop' }
  | { readonly do: 'cut' }
  | { readonly do: 'hang' }
  | { readonly do: 'slow'; readonly ms: number }
  | { readonly do: 'say'; readonly answer: object }
  | { readonly do: 'alter'; readonly answer: (answer: Record<string, unknown>) => object }

/** Who may do what: `secretmanager.versions.access` and the like. */
export interface Account {
  readonly may: (permission: string, name: string) => boolean
}

/** A call as it came. Values are not kept. */
export interface Seen {
  readonly method: string
  readonly name: string
  readonly request: Readonly<Record<string, unknown>>
  readonly metadata: Readonly<Record<string, unknown>>
}

type Request = Record<string, unknown>
type Call = ServerUnaryCall<Request, object>

const permissions: Readonly<Record<string, string>> = {
  ListSecrets: 'secretmanager.secrets.list',
  CreateSecret: 'secretmanager.secrets.create',
  AddSecretVersion: 'secretmanager.versions.add',
  GetSecret: 'secretmanager.secrets.get',
  UpdateSecret: 'secretmanager.secrets.update',
  DeleteSecret: 'secretmanager.secrets.delete',
  ListSecretVersions: 'secretmanager.versions.list',
  GetSecretVersion: 'secretmanager.versions.get',
  AccessSecretVersion: 'secretmanager.versions.access',
  DisableSecretVersion: 'secretmanager.versions.disable',
  EnableSecretVersion: 'secretmanager.versions.enable',
  DestroySecretVersion: 'secretmanager.versions.destroy',
}

const writes = new Set([
  'CreateSecret',
  'AddSecretVersion',
  'UpdateSecret',
  'DeleteSecret',
  'DisableSecretVersion',
  'EnableSecretVersion',
  'DestroySecretVersion',
])

export class GcpSecretManagerFake {
  /** What must not happen; empty at the end. */
  readonly broken: string[] = []
  readonly seen: Seen[] = []
  /** Calls that are being answered now, and the most there were. */
  inFlight = 0
  mostInFlight = 0
  /** Whose token it is; without this nobody logs in, and a token is a mistake. */
  account: ((token: string) => Account | undefined) | undefined
  /** Of whoever does not log in. */
  anonymous: Account = { may: () => true }
  readonly #grpc: Server
  readonly #net: NetServer
  readonly #sockets = new Map<string, Socket>()
  readonly #projects = new Map<string, SecretsFake>()
  readonly #knobs: { readonly fits: RegExp; readonly knob: Knob; left: number }[] = []
  readonly #events: { readonly fits: RegExp; readonly happen: () => void; left: number }[] = []
  readonly #now: () => Date
  connections = 0

  private constructor(grpc: Server, net: NetServer, now: () => Date) {
    this.#grpc = grpc
    this.#net = net
    this.#now = now
  }

  static async start({
    tls = false,
    now = () => new Date(),
  }: {
    readonly tls?: boolean
    readonly now?: () => Date
  } = {}): Promise<GcpSecretManagerFake> {
    const { cert, key } = testCertificates.server
    const credentials = tls
      ? ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }])
      : ServerCredentials.createInsecure()
    const grpc = new Server({ 'grpc.max_receive_message_length': 4_194_304 })
    const net = createServer()
    const fake = new GcpSecretManagerFake(grpc, net, now)
    grpc.addService(serviceDefinition(), fake.#handlers())
    const injector = grpc.createConnectionInjector(credentials)
    net.on('connection', socket => {
      fake.connections += 1
      const peer = `${socket.remoteAddress}:${socket.remotePort}`
      fake.#sockets.set(peer, socket)
      socket.on('close', () => fake.#sockets.delete(peer))
      socket.on('error', () => undefined)
      injector.injectConnection(socket)
    })
    await new Promise<void>(resolve => net.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get port(): number {
    return (this.#net.address() as AddressInfo).port
  }

  get endpoint(): string {
    return `127.0.0.1:${this.port}`
  }

  /** The secrets of `projects/p` or `projects/p/locations/l`. */
  secrets(parent: string): SecretsFake {
    const found = this.#projects.get(parent)
    if (found !== undefined) return found
    const made = new SecretsFake(parent.replace(/^projects\/[^/]+/, 'projects/4711'), this.#now)
    this.#projects.set(parent, made)
    // the same by its number
    this.#projects.set(made.name, made)
    return made
  }

  /** Turns calls whose method fits; `times` of them, all when left out. */
  turn(fits: RegExp, knob: Knob, times = Number.POSITIVE_INFINITY): void {
    this.#knobs.push({ fits, knob, left: times })
  }

  /** Lets something happen at the service just before such a call is answered. */
  before(fits: RegExp, happen: () => void, times = 1): void {
    this.#events.push({ fits, happen, left: times })
  }

  /** Cuts every connection. */
  hangUp(): void {
    for (const socket of this.#sockets.values()) socket.destroy()
  }

  async close(): Promise<void> {
    this.#grpc.forceShutdown()
    this.hangUp()
    await new Promise<void>(resolve => this.#net.close(() => resolve()))
  }

  #handlers(): Record<string, (call: Call, callback: sendUnaryData<object>) => void> {
    const answers: Record<string, (request: Request, account: Account) => object> = {
      CreateSecret: ({ parent, secretId, secret }) =>
        this.#parent(parent).create(String(secretId), (secret as Request | null)?.replication),
      AddSecretVersion: ({ parent, payload }) => this.#at(parent, (secrets, id) => secrets.add(id, payload as never)),
      AccessSecretVersion: ({ name }) => this.#at(name, (secrets, id, which) => secrets.access(id, which)),
      GetSecretVersion: ({ name }) => this.#at(name, (secrets, id, which) => secrets.get(id, which)),
      EnableSecretVersion: ({ name, etag }) => this.#at(name, (secrets, id, which) => secrets.change(id, which, String(etag), 'ENABLED')),
      DisableSecretVersion: ({ name, etag }) => this.#at(name, (secrets, id, which) => secrets.change(id, which, String(etag), 'DISABLED')),
      DestroySecretVersion: ({ name, etag }) =>
        this.#at(name, (secrets, id, which) => secrets.change(id, which, String(etag), 'DESTROYED')),
      GetSecret: ({ name }) => this.#at(name, (secrets, id) => secrets.getSecret(id)),
      UpdateSecret: ({ secret, updateMask }) => {
        const changed = secret as { name: string; etag?: string; annotations?: Record<string, string> }
        return this.#at(changed.name, (secrets, id) =>
          secrets.update(id, changed, (updateMask as { paths?: string[] } | null)?.paths ?? []),
        )
      },
      DeleteSecret: ({ name, etag }) => this.#at(name, (secrets, id) => secrets.delete(id, String(etag))),
      ListSecrets: ({ parent, pageSize, pageToken }) => this.#parent(parent).list(Number(pageSize), String(pageToken)),
      ListSecretVersions: ({ parent, pageSize, pageToken }) =>
        this.#at(parent, (secrets, id) => secrets.listVersions(id, Number(pageSize), String(pageToken))),
      TestIamPermissions: ({ resource, permissions: asked }, account) => ({
        permissions: this.#at(resource, (secrets, id) => ({ has: secrets.has(id) })).has
          ? (asked as string[]).filter(each => account.may(each, String(resource)))
          : [],
      }),
    }
    return Object.fromEntries(
      Object.entries(answers).map(([method, answer]) => [method, (call, callback) => void this.#handle(method, answer, call, callback)]),
    )
  }

  async #handle(
    method: string,
    answer: (request: Request, account: Account) => object,
    call: Call,
    callback: sendUnaryData<object>,
  ): Promise<void> {
    this.inFlight += 1
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    const { name: own, parent, resource, secret } = call.request
    const name = String(own || parent || resource || (secret as Request | null)?.name)
    this.#note(method, name, call)
    try {
      const account = this.#accountOf(call)
      const knob = this.#knobFor(method)
      if (knob?.do === 'status') throw withRetry(knob)
      if (knob?.do === 'drop') return this.#cut(call)
      if (knob?.do === 'hang') return
      if (knob?.do === 'say') return callback(null, knob.answer)
      const permission = permissions[method]
      if (permission !== undefined && !account.may(permission, name)) {
        throw new GrpcStatus(7, `Permission '${permission}' denied for resource '${name}' (or it may not exist).`)
      }
      if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
      for (const event of this.#events) {
        if (event.left <= 0 || !event.fits.test(method)) continue
        event.left -= 1
        event.happen()
      }
      const made = answer(call.request, account)
      if (knob?.do === 'cut') return this.#cut(call)
      callback(null, knob?.do === 'alter' ? knob.answer(made as Record<string, unknown>) : made)
    } catch (error) {
      if (!(error instanceof GrpcStatus)) this.broken.push(`${method} of ${name}: ${String(error)}`)
      callback(error instanceof GrpcStatus ? error : { code: 13, details: 'the fake is broken' })
    } finally {
      this.inFlight -= 1
    }
  }

  #note(method: string, name: string, { request, metadata }: Call): void {
    const { payload: _, ...told } = request
    this.seen.push({ method, name, request: told, metadata: metadata.getMap() })
    if (writes.has(method) && metadata.get('grpc-previous-rpc-attempts').length > 0) this.broken.push(`${method} of ${name} was sent again`)
    const [route] = metadata.get('x-goog-request-params')
    if (!String(route ?? '').includes(encodeURIComponent(name))) this.broken.push(`${method} of ${name} is not routed`)
  }

  #accountOf({ metadata }: Call): Account {
    const [header] = metadata.get('authorization')
    const token = /^Bearer (.+)$/.exec(String(header ?? ''))?.[1]
    if (this.account === undefined) {
      if (token !== undefined) this.broken.push('a token was sent to a server that wants none')
      return this.anonymous
    }
    const account = token === undefined ? undefined : this.account(token)
    if (account !== undefined) return account
    throw new GrpcStatus(
      16,
      'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.',
    )
  }

  #knobFor(method: string): Knob | undefined {
    const found = this.#knobs.find(each => each.left > 0 && each.fits.test(method))
    if (found === undefined) return undefined
    found.left -= 1
    return found.knob
  }

  #cut(call: Call): void {
    this.#sockets.get(call.getPeer())?.destroy()
  }

  #parent(parent: unknown): SecretsFake {
    if (!/^projects\/[^/]+(?:\/locations\/[^/]+)?$/.test(String(parent))) throw new GrpcStatus(3, 'The parent has a wrong form.')
    return this.secrets(String(parent))
  }

  #at<T>(name: unknown, run: (secrets: SecretsFake, id: string, version: string) => T): T {
    const [, parent, id, version = ''] =
      /^(projects\/[^/]+(?:\/locations\/[^/]+)?)\/secrets\/([^/]+)(?:\/versions\/([^/]+))?$/.exec(String(name)) ?? []
    if (parent === undefined || id === undefined) throw new GrpcStatus(3, 'The name has a wrong form.')
    return run(this.secrets(parent), id, version)
  }
}

/** `google.rpc.Status` with a `RetryInfo`, as `grpc-status-details-bin` carries it, written by hand: two messages of three fields. */
function withRetry({ code, details = 'turned', retryMs }: Knob & { do: 'status' }): Error {
  const error = new GrpcStatus(code, details)
  if (retryMs === undefined) return error
  const field = (number: number, bytes: Buffer) => Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes])
  const delay = Buffer.of(0x08, Math.floor(retryMs / 1_000))
  const info = Buffer.concat([field(1, Buffer.from('type.googleapis.com/google.rpc.RetryInfo')), field(2, field(1, delay))])
  const status = Buffer.concat([Buffer.of(0x08, code), field(2, Buffer.from(details)), field(3, info)])
  const metadata = new Metadata()
  metadata.set('grpc-status-details-bin', status)
  return Object.assign(error, { metadata })
}

/** From the protocol file that comes with Google's client. */
function serviceDefinition(): ServiceDefinition {
  const protocol = require('@google-cloud/secret-manager/build/protos/protos.json') as Parameters<typeof fromJSON>[0]
  const all = fromJSON(protocol, { keepCase: false, longs: String, enums: String, defaults: true, oneofs: true })
  // the package holds messages too; this name is that of the service
  return all['google.cloud.secretmanager.v1.SecretManagerService'] as ServiceDefinition
}
