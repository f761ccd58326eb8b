import { inspect } from 'node:util'

/** One of the reasons that a `Status` gives beside its own: which field, and why. */
export interface Cause {
  readonly reason: string
  readonly field: string
}

const plainWord = /^[\w.[\]*-]{0,120}$/

/**
 * The API server's own no: a `Status` object. Its message is left behind, because admission webhooks and validation repeat what was sent; what is
 * kept are words of a fixed vocabulary. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
 */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly status: number
  /** `NotFound`, `Forbidden`, ...; empty where the server gives none. */
  readonly reason: string
  /** The resource that the answer is about: `secrets`, `namespaces`. */
  readonly kind: string
  readonly causes: readonly Cause[]
  /** What could only be told by its message. */
  readonly tells: ReadonlySet<Tell>
  readonly retryAfterMs: number | undefined

  constructor(status: number, body: StatusBody, retryAfterMs: number | undefined) {
    const reason = word(body.reason)
    super(`the API server answers ${status}${reason === '' ? '' : ` ${reason}`}`)
    const details = isObject(body.details) ? body.details : {}
    this.status = status
    this.reason = reason
    this.kind = word(details.kind)
    this.causes = Array.isArray(details.causes) ? details.causes.filter(isObject).map(causeOf) : []
    this.tells = tellsOf(typeof body.message === 'string' ? body.message : '')
    const seconds = details.retryAfterSeconds
    this.retryAfterMs = retryAfterMs ?? (typeof seconds === 'number' && seconds > 0 ? seconds * 1_000 : undefined)
  }

  /** Whether a cause has this reason. */
  has(reason: string): boolean {
    return this.causes.some(cause => cause.reason === reason)
  }

  [inspect.custom](): string {
    return `StatusError ${this.message} ${JSON.stringify(this.causes)}`
  }
}

/** A `Status` as it came. */
export interface StatusBody {
  readonly kind: 'Status'
  readonly reason?: unknown
  readonly message?: unknown
  readonly details?: unknown
}

/** Whether a body is a `Status`. */
export function isStatus(body: unknown): body is StatusBody {
  return isObject(body) && body.kind === 'Status'
}

/** What no reason tells apart: who was refused, and why an object was. */
export type Tell = 'anonymous' | 'immutable' | 'etcd_too_large' | 'webhook'

/** Texts of the server's source: staging/src/k8s.io/apiserver, pkg/apis/core/validation, etcd/server/etcdserver/errors.go. */
const tells: readonly (readonly [Tell, RegExp])[] = [
  ['anonymous', /User "system:anonymous"/],
  ['immutable', /field is immutable when `immutable` is set/],
  ['etcd_too_large', /etcdserver: request is too large|trying to send message larger than max/],
  ['webhook', /admission webhook|ValidatingAdmissionPolicy/],
]

function tellsOf(message: string): ReadonlySet<Tell> {
  return new Set(tells.filter(([, text]) => text.test(message)).map(([tell]) => tell))
}

function causeOf(cause: Readonly<Record<string, unknown>>): Cause {
  return { reason: word(cause.reason), field: word(cause.field) }
}

/** A word of the API; anything else might be a quotation. */
function word(text: unknown): string {
  return typeof text === 'string' && plainWord.test(text) ? text : ''
}

/** Whether a parsed text is a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
