import { type Capability, capabilitiesOf } from './capabilities.ts'
import { bounded } from './deadline.ts'
import type { Envelopes } from './envelopes.ts'
import { BrokerError, type ErrorCode } from './error.ts'
import type { Etag, StorePath, VersionId } from './name.ts'
import type { Clock } from './ports.ts'
import type { SecretValue } from './secret-value.ts'
import type { Finding, Guarantees, SecretVersion, StoreAdapter, VersionInfo } from './store-adapter.ts'

/** What the broker adds to an adapter. */
export interface StoreSettings {
  /** The section's name in the config: what errors and logs call it. */
  readonly name: string
  readonly clock: Clock
  /** The longest a call may take. */
  readonly timeoutMs: number
}

/** What a caller may add to any call; the deadline is the store's. */
export interface Call {
  readonly signal?: AbortSignal
}

/** What a write needs; see `WriteOptions`. */
export interface Write extends Call {
  readonly idempotencyKey: string
  readonly ifMatch?: Etag | null
}

/** What an operation may leave behind: a read nothing, a write an effect that may be unknown. */
type Effect = 'read' | 'write'

/**
 * A store as the engine and the broker hold it: an adapter, plus what every adapter would otherwise repeat. It refuses what
 * the guarantees rule out before any call, keeps the deadline, and wraps errors once. A read whose outcome is unknown is
 * `unavailable`; a write whose outcome is unknown stays `outcome_unknown`. An absent member is `unsupported`.
 */
export class Store {
  readonly name: string
  readonly can: ReadonlySet<Capability>
  readonly #adapter: StoreAdapter
  readonly #settings: StoreSettings

  constructor(adapter: StoreAdapter, settings: StoreSettings) {
    this.name = settings.name
    this.can = capabilitiesOf(adapter)
    this.#adapter = adapter
    this.#settings = settings
  }

  get kind(): string {
    return this.#adapter.kind
  }

  get guarantees(): Guarantees {
    return this.#adapter.guarantees
  }

  /** What it keeps under the broker's KEKs; undefined: it closes nothing itself. */
  get envelopes(): Envelopes | undefined {
    return this.#adapter.envelopes
  }

  read(path: StorePath, options: Call & { readonly version?: VersionId } = {}): Promise<SecretVersion> {
    const version = options.version === undefined ? {} : { version: options.version }
    return this.#call('read', path, 'read', options, signal => this.#adapter.read(path, { ...version, signal }))
  }

  async write(path: StorePath, value: SecretValue, options: Write): Promise<VersionInfo> {
    this.#mustHold(path, value)
    const condition = this.#condition('write', path, options)
    return this.#call('write', path, 'write', options, signal => this.#adapter.write(path, value, { ...condition, signal }))
  }

  async stage(path: StorePath, value: SecretValue, options: Write): Promise<VersionInfo> {
    const stages = this.#member('stage', path, this.#adapter.stages)
    this.#mustHold(path, value)
    return this.#call('stage', path, 'write', options, signal =>
      stages.stage(path, value, { idempotencyKey: options.idempotencyKey, signal }),
    )
  }

  async promote(path: StorePath, move: { readonly from: VersionId | null; readonly to: VersionId }, options: Call = {}): Promise<void> {
    const stages = this.#member('promote', path, this.#adapter.stages)
    return this.#call('promote', path, 'write', options, signal => stages.promote(path, move, { signal }))
  }

  /** Lazily; a failure on any page is thrown, never a short list. The deadline holds for each page. */
  list(prefix: string, options: Call = {}): AsyncIterable<StorePath> {
    return this.#each('list', prefix, options, signal => this.#adapter.list(prefix, { signal }))
  }

  versions(path: StorePath, options: Call = {}): AsyncIterable<VersionInfo> {
    const versions = this.#member('versions', path, this.#adapter.versions)
    return this.#each('versions', path, options, signal => versions.call(this.#adapter, path, { signal }))
  }

  async disable(path: StorePath, version: VersionId, options: Call = {}): Promise<void> {
    const disable = this.#member('disable', path, this.#adapter.disable)
    return this.#call('disable', path, 'write', options, signal => disable.call(this.#adapter, path, version, { signal }))
  }

  async enable(path: StorePath, version: VersionId, options: Call = {}): Promise<void> {
    const enable = this.#member('enable', path, this.#adapter.enable)
    return this.#call('enable', path, 'write', options, signal => enable.call(this.#adapter, path, version, { signal }))
  }

  async destroy(path: StorePath, version: VersionId, options: Call = {}): Promise<void> {
    const destroy = this.#member('destroy', path, this.#adapter.destroy)
    return this.#call('destroy', path, 'write', options, signal => destroy.call(this.#adapter, path, version, { signal }))
  }

  async delete(path: StorePath, options: Write): Promise<void> {
    const remove = this.#member('delete', path, this.#adapter.delete)
    const condition = this.#condition('delete', path, options)
    return this.#call('delete', path, 'write', options, signal => remove.call(this.#adapter, path, { ...condition, signal }))
  }

  async restore(path: StorePath, options: Call = {}): Promise<void> {
    const restore = this.#member('restore', path, this.#adapter.restore)
    return this.#call('restore', path, 'write', options, signal => restore.call(this.#adapter, path, { signal }))
  }

  /** Why this value cannot be held here whole; undefined when it can. */
  refuses(value: SecretValue): string | undefined {
    return this.#adapter.refuses(value)
  }

  examine(path: StorePath | null, options: Call = {}): Promise<readonly Finding[]> {
    return this.#call('examine', path ?? '', 'read', options, signal => this.#adapter.examine(path, { signal }))
  }

  close(): Promise<void> {
    return this.#adapter.close()
  }

  #mustHold(path: string, value: SecretValue): void {
    const why = this.#adapter.refuses(value)
    if (why !== undefined) {
      throw new BrokerError('invalid_argument', `store ${this.name}: ${path} cannot hold this value whole: ${why}`, {
        hint: 'change the value, or keep this secret in a store that can hold it',
        detail: { reason: 'not_representable', store: this.name },
      })
    }
  }

  #condition(operation: string, path: string, options: Write): { idempotencyKey: string; ifMatch?: Etag | null } {
    const { idempotencyKey, ifMatch } = options
    if (ifMatch === undefined) return { idempotencyKey }
    if (!this.guarantees.cas) {
      throw new BrokerError(
        'unsupported',
        `store ${this.name}: ${operation} of ${path} cannot be conditional: ${this.kind} has no compare-and-set`,
        {
          hint: 'leave the precondition out, or keep this secret in a store with compare-and-set',
        },
      )
    }
    return { idempotencyKey, ifMatch }
  }

  #member<T>(operation: string, path: string, member: T | undefined): T {
    if (member !== undefined) return member
    throw new BrokerError('unsupported', `store ${this.name}: ${operation} of ${path}: ${this.kind} cannot do this`)
  }

  async #call<T>(operation: string, path: string, effect: Effect, call: Call, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#settings
    try {
      return await bounded(clock, timeoutMs, call.signal, how => this.#stopped(operation, path, effect, how), run)
    } catch (cause) {
      throw this.#wrap(operation, path, effect, cause)
    }
  }

  async *#each<T>(operation: string, path: string, call: Call, open: (signal: AbortSignal) => AsyncIterable<T>): AsyncIterable<T> {
    const whole = new AbortController()
    const signal = call.signal === undefined ? whole.signal : AbortSignal.any([call.signal, whole.signal])
    const items = open(signal)[Symbol.asyncIterator]()
    try {
      for (;;) {
        const item = await this.#call(operation, path, 'read', call, () => items.next())
        if (item.done) return
        yield item.value
      }
    } finally {
      whole.abort()
      // a generator stopped early must let go of its connection; one that hangs is not waited for
      void items.return?.()?.catch(() => undefined)
    }
  }

  #stopped(operation: string, path: string, effect: Effect, how: 'deadline' | 'cancelled'): BrokerError {
    if (how === 'cancelled') return new BrokerError('cancelled', `store ${this.name}: ${operation} of ${path} was cancelled`)
    const code = effect === 'write' ? 'outcome_unknown' : 'unavailable'
    return new BrokerError(code, `store ${this.name}: ${operation} of ${path}: no answer within ${this.#settings.timeoutMs} ms`)
  }

  #wrap(operation: string, path: string, effect: Effect, cause: unknown): BrokerError {
    const detail = { store: this.name, kind: this.kind, operation }
    const named = (code: ErrorCode) => (code === 'outcome_unknown' && effect === 'read' ? 'unavailable' : code)
    // an adapter that names its own error keeps its words; whose error it is stays the same
    if (cause instanceof BrokerError) {
      const isNamed = cause.detail?.store !== undefined
      return isNamed && named(cause.code) === cause.code ? cause : restated(cause, named(cause.code), isNamed ? {} : detail)
    }
    const { code, retryAfterMs } = this.#adapter.classify(cause)
    const hint = remedyOf(named(code), this.name)
    return new BrokerError(named(code), `store ${this.name}: ${operation} of ${path} failed (${named(code)})`, {
      cause,
      detail,
      ...(hint === undefined ? {} : { hint }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  }
}

/** What to do where the adapter has no better word. */
function remedyOf(code: ErrorCode, store: string): string | undefined {
  if (code === 'unauthenticated') return `correct the auth of ${store}, or give it a login that has not ended`
  if (code === 'permission_denied') return 'keyturn check --online names the right that is missing'
  if (code === 'not_found') return 'write the secret, or correct its path in the config'
  if (code === 'unavailable') return `keyturn doctor --store ${store} looks at it from here`
  return undefined
}

function restated(error: BrokerError, code: ErrorCode, detail: Readonly<Record<string, unknown>>): BrokerError {
  const { message, hint, retryAfterMs, origin: cause } = error
  return new BrokerError(code, message, {
    detail: { ...error.detail, ...detail },
    cause,
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}
