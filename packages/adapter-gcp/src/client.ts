import { SecretManagerServiceClient } from '@google-cloud/secret-manager'
import { credentials } from '@grpc/grpc-js'
import { BrokerError, InFlight } from '@keyturn/core'
import { GoogleAuth, PassThroughClient } from 'google-auth-library'
import { classify, hasStatus, status } from './classify.ts'
import type { Target } from './options.ts'
import type { Grant, Tokens } from './tokens.ts'
import type { Payload } from './values.ts'

/** A time as the protocol has it. */
interface Timestamp {
  readonly seconds?: number | string | { toString(): string } | null
  readonly nanos?: number | null
}

/** What the service says of a version. https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1 */
export interface RawVersion {
  readonly name?: string | null
  readonly createTime?: Timestamp | null
  readonly state?: number | string | null
  readonly etag?: string | null
  readonly scheduledDestroyTime?: Timestamp | null
}

/** What the service says of a secret. */
export interface RawSecret {
  readonly name?: string | null
  readonly etag?: string | null
  /** Numbers are 64-bit ones of the protocol, which come as texts. */
  readonly versionAliases?: Readonly<Record<string, number | string | { toString(): string }>> | null
  readonly annotations?: Readonly<Record<string, string>> | null
}

/** The calls that we use, by their names at the service. */
interface Calls {
  accessSecretVersion: { readonly request: { name: string }; readonly answer: { name?: string | null; payload?: Payload | null } }
  getSecretVersion: { readonly request: { name: string }; readonly answer: RawVersion }
  addSecretVersion: { readonly request: { parent: string; payload: Payload }; readonly answer: RawVersion }
  createSecret: { readonly request: { parent: string; secretId: string; secret: object }; readonly answer: { name?: string | null } }
  getSecret: { readonly request: { name: string }; readonly answer: RawSecret }
  updateSecret: { readonly request: { secret: RawSecret; updateMask: { paths: string[] } }; readonly answer: RawSecret }
  deleteSecret: { readonly request: { name: string; etag: string }; readonly answer: object }
  listSecrets: {
    readonly request: Page
    readonly answer: { secrets?: readonly { name?: string | null }[] | null; nextPageToken?: string | null }
  }
  listSecretVersions: {
    readonly request: Page
    readonly answer: { versions?: readonly RawVersion[] | null; nextPageToken?: string | null }
  }
  enableSecretVersion: { readonly request: { name: string; etag: string }; readonly answer: RawVersion }
  disableSecretVersion: { readonly request: { name: string; etag: string }; readonly answer: RawVersion }
  destroySecretVersion: { readonly request: { name: string; etag: string }; readonly answer: RawVersion }
  testIamPermissions: {
    readonly request: { resource: string; permissions: string[] }
    readonly answer: { permissions?: readonly string[] | null }
  }
}

interface Page {
  readonly parent: string
  readonly pageSize: number
  readonly pageToken: string
}

/** Where the service answers and how to get there. */
export interface ClientSettings {
  readonly target: Target
  /** PEM text of the authorities to trust instead of the machine's. */
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
  readonly maxInFlight: number
  /** The longest wait for an answer. */
  readonly answerMs: number
  /** Left out where nobody logs in: an emulator. */
  readonly tokens?: Tokens | undefined
}

/** Larger than any answer: 25,000 secrets of a page, or one value. */
const answerBytesMax = 67_108_864

/**
 * The service over gRPC, on one connection that is kept alive, through Google's client with its retries, its logging (which prints values) and its own
 * search for credentials off. Errors are statuses of gRPC, or the login's.
 */
export class Client {
  readonly #google: SecretManagerServiceClient
  readonly #places: InFlight
  readonly #tokens: Tokens | undefined
  readonly #answerMs: number
  readonly #made = new Set<Cancellable>()
  #isClosed = false

  constructor({ target, ca, proxy, maxInFlight, answerMs, tokens }: ClientSettings) {
    this.#places = new InFlight(maxInFlight)
    this.#tokens = tokens
    this.#answerMs = answerMs
    const address = `${target.host}:${target.port}`
    const dialled = proxy === undefined ? target : dialledOf(proxy)
    this.#google = new SecretManagerServiceClient({
      apiEndpoint: dialled.host,
      port: dialled.port,
      sslCreds: target.plain ? credentials.createInsecure() : credentials.createSsl(ca === undefined ? null : Buffer.from(ca)),
      // a search for credentials would ask the metadata address even when none are needed
      auth: new GoogleAuth({ authClient: new PassThroughClient() }),
      fallback: false,
      enableTelemetryLogging: false,
      enableTelemetryTracing: false,
      'grpc.default_authority': address,
      ...(proxy === undefined ? {} : tunnelOf(proxy, address)),
      'grpc.enable_http_proxy': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.max_receive_message_length': answerBytesMax,
      'grpc.keepalive_time_ms': 60_000,
      'grpc.keepalive_timeout_ms': 20_000,
    })
  }

  /** Sends one call, once. The signal ends it, also while it waits for a place or a login. A refused login is replaced and the call repeated: it was not begun. */
  call<Name extends keyof Calls>(name: Name, request: Calls[Name]['request'], signal: AbortSignal): Promise<Calls[Name]['answer']> {
    return this.#places.run(signal, async () => {
      const tokens = this.#tokens
      if (tokens === undefined) return this.#send(name, request, signal, undefined)
      const grant = await tokens.current(signal)
      try {
        return await this.#send(name, request, signal, grant)
      } catch (error) {
        if (!hasStatus(error, status.unauthenticated)) throw error
        const other = await tokens.insteadOf(grant, signal)
        if (other === undefined) throw error
        return this.#send(name, request, signal, other)
      }
    })
  }

  /** Ends what is under way, which Google's client would leave waiting. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const each of this.#made) each.cancel()
    await this.#google.close()
  }

  async #send<Name extends keyof Calls>(
    name: Name,
    request: Calls[Name]['request'],
    signal: AbortSignal,
    grant: Grant | undefined,
  ): Promise<Calls[Name]['answer']> {
    if (this.#isClosed) throw new BrokerError('cancelled', 'gcp: the store was closed')
    await this.#google.initialize()
    signal.throwIfAborted()
    const headers = { 'x-goog-request-params': routeOf(request), ...headersOf(grant) }
    const options = { signal, timeout: this.#answerMs, retry: null, autoPaginate: false, otherArgs: { headers } }
    // the client's own methods would log requests and answers where GOOGLE_SDK_NODE_LOGGING is set, and know no signal
    // its declarations say Function
    const made = this.#google.innerApiCalls[name]?.(request, options) as Promise<[unknown, unknown, unknown]> & Cancellable
    this.#made.add(made)
    try {
      const [answer, , raw] = await made
      // of a page the first is only the items
      return (name.startsWith('list') ? raw : answer) as Calls[Name]['answer']
    } catch (error) {
      signal.throwIfAborted()
      if (this.#isClosed)
        throw new BrokerError(questions.test(name) ? 'cancelled' : 'outcome_unknown', `gcp: the store was closed during ${name}`)
      // a question leaves nothing behind, also where it is one step of a write
      if (!questions.test(name) || classify(error).code !== 'outcome_unknown') throw error
      throw new BrokerError('unavailable', `gcp: no answer to ${name}`, { cause: error })
    } finally {
      this.#made.delete(made)
    }
  }
}

/** A call of Google's client that is under way. */
interface Cancellable {
  cancel(): void
}

const questions = /^(?:access|get|list|test)/

/** By which the service finds the place of a request. https://google.aip.dev/client-libraries/4222 */
function routeOf(request: object): string {
  const members: Readonly<Record<string, unknown>> = {
    ...request,
    'secret.name': 'secret' in request && (request.secret as RawSecret).name,
  }
  const key = ['name', 'parent', 'resource', 'secret.name'].find(each => each in members) ?? ''
  return `${key}=${encodeURIComponent(String(members[key]))}`
}

function headersOf(grant: Grant | undefined): Readonly<Record<string, string>> {
  if (grant === undefined) return {}
  const { token, quotaProject } = grant
  return { authorization: `Bearer ${token}`, ...(quotaProject === undefined ? {} : { 'x-goog-user-project': quotaProject }) }
}

/** The channel is opened to the proxy, which tunnels to the service: TLS and the name in it are the service's. */
function tunnelOf(proxy: string, address: string): Readonly<Record<string, string>> {
  const { username, password } = new URL(proxy)
  const creds = username === '' ? {} : { 'grpc.http_connect_creds': `${decodeURIComponent(username)}:${decodeURIComponent(password)}` }
  return { 'grpc.http_connect_target': `dns:${address}`, ...creds }
}

function dialledOf(proxy: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(proxy)
  return { host: hostname, port: Number(port || 80) }
}
