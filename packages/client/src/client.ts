import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import * as api from '@keyturn/api'
import { type CallOptions, Connection, type ConnectionOptions } from './connection.ts'
import { ofId, ofName, ofReference, queryOf } from './targets.ts'

/** A secret as `list` shows it: names and metadata. */
export type SecretRow = api.SecretList['secrets'][number]

/** Which version and which field of a secret. */
export interface GetOptions extends CallOptions {
  readonly field?: string
  /** Either this or `stage`. */
  readonly version?: string
  readonly stage?: 'current' | 'previous' | 'pending'
}

/** Under which condition a secret is written or deleted. */
export interface WriteOptions extends CallOptions {
  /** Only if this version is current: `conflict` otherwise. */
  readonly ifVersion?: string
  /** Only if the secret does not exist: `conflict` otherwise. */
  readonly mustBeNew?: boolean
  /** The same key writes once. Default: a new one for each call. */
  readonly idempotencyKey?: string
}

/** A new value, whole: one unnamed field, or all named ones. */
export type NewValue = { readonly value: api.WireField } | { readonly fields: Readonly<Record<string, api.WireField>> }

/** Why something is done, for the record. */
export interface ActOptions extends CallOptions {
  readonly reason?: string
  readonly idempotencyKey?: string
}

/** How a rotation is done. */
export interface RotateOptions extends ActOptions {
  /** `compromise` ends a running grace first, and needs the right of that name. */
  readonly mode?: 'normal' | 'compromise'
  /** Seconds; it may only lengthen. */
  readonly graceOverride?: number
}

/** What a rotation of several secrets is about: exactly one of these. */
export type Selector =
  | { readonly names: readonly string[] }
  | { readonly types: readonly string[] }
  | { readonly labels: Readonly<Record<string, string>> }
  | { readonly group: string }
  | { readonly read_by: string }
  | { readonly all: true }

/** How an operation is followed. */
export interface WaitOptions extends CallOptions {
  /** The longest pause between two looks: 500 ms. The first ones are shorter. */
  readonly pollMs?: number
  readonly onProgress?: (operation: api.Operation) => void
}

const admin = '/admin/v1'

/** One broker, seen from a service or an operator's terminal. Every method throws `KeyturnError`. */
export class KeyturnClient {
  readonly #broker: Connection
  readonly #signal: AbortSignal | undefined

  constructor(options: ConnectionOptions) {
    this.#broker = new Connection(options)
    this.#signal = options.signal
  }

  /** One version of a secret; the current one unless the options say otherwise. */
  async get(name: string, options: GetOptions = {}): Promise<api.Secret> {
    const { data } = await this.#broker.json({ method: 'GET', target: secretTarget(name, options), ...signal(options) }, api.secret)
    return data
  }

  /** The bytes of one field, as they are stored. `invalid_argument` when the secret has several and `field` names none. */
  async getBytes(name: string, options: GetOptions = {}): Promise<{ readonly bytes: Uint8Array; readonly version: string }> {
    const headers = { accept: 'text/plain' }
    const answer = await this.#broker.bytes({ method: 'GET', target: secretTarget(name, options), headers, ...signal(options) })
    return { bytes: answer.bytes, version: answer.headers.get('etag')?.replace(/^"|"$/g, '') ?? '' }
  }

  /** Makes a secret or a new version of one; `created` says which. */
  async set(
    name: string,
    value: NewValue & { readonly type?: string; readonly labels?: Readonly<Record<string, string>> },
    options: WriteOptions = {},
  ): Promise<api.SecretWritten & { readonly created: boolean }> {
    const target = ofName('/v1/secrets/', name)
    const headers = conditions(options)
    const { data, status } = await this.#broker.json({ method: 'PUT', target, body: value, headers, ...signal(options) }, api.secretWritten)
    return { ...data, created: status === 201 }
  }

  async delete(name: string, options: WriteOptions = {}): Promise<void> {
    const target = ofName('/v1/secrets/', name)
    await this.#broker.bytes({ method: 'DELETE', target, headers: conditions(options), ...signal(options) })
  }

  /** Newest first; never a value. */
  async versions(name: string, options: CallOptions = {}): Promise<api.Versions> {
    const { data } = await this.#broker.json({ method: 'GET', target: ofName('/v1/versions/', name), ...signal(options) }, api.versions)
    return data
  }

  /** Every secret that the caller may list, sorted, fetched page by page as they are taken. */
  async *list(options: CallOptions & { readonly prefix?: string; readonly limit?: number } = {}): AsyncGenerator<SecretRow> {
    for (let cursor: string | undefined; ; ) {
      const target = `/v1/secrets${queryOf({ prefix: options.prefix, limit: options.limit, cursor })}`
      const { data } = await this.#broker.json({ method: 'GET', target, ...signal(options) }, api.secretList)
      yield* data.secrets
      if (data.next === null) return
      cursor = data.next
    }
  }

  /** Up to 100 secrets in one call; each item answers for itself, in order. */
  async batch(items: api.Batch['items'], options: CallOptions = {}): Promise<api.BatchAnswer['items']> {
    const request = { method: 'POST', target: '/v1/secrets:batch', body: { items }, ...signal(options) } as const
    const { data } = await this.#broker.json(request, api.batchAnswer)
    return data.items
  }

  /** Rotates one secret, by name or id, and waits until it is promoted and published, or until that needs something. */
  async rotate(reference: string, options: RotateOptions & WaitOptions = {}): Promise<api.Operation> {
    const { op_id } = await this.startRotation(reference, options)
    return this.wait(op_id, options)
  }

  /** Starts a rotation and answers at once. `conflict` with `retryAfterMs` while the version before is in grace. */
  startRotation(reference: string, options: RotateOptions = {}): Promise<api.Accepted> {
    return this.#act(ofReference(`${admin}/secrets/rotate/`, reference), rotateBody(options), options)
  }

  startRotations(selector: Selector, options: RotateOptions = {}): Promise<api.Accepted> {
    return this.#act(`${admin}/secrets/rotate`, { ...selector, ...rotateBody(options) }, options)
  }

  /** What `startRotations` would do. Nothing is changed. */
  async plan(selector: Selector, options: RotateOptions = {}): Promise<api.RotationPlan['plan']> {
    const body = { ...selector, ...rotateBody(options), dry_run: true }
    const request = { method: 'POST', target: `${admin}/secrets/rotate`, body, ...signal(options) } as const
    const { data } = await this.#broker.json(request, api.rotationPlan)
    return data.plan
  }

  /** Looks at an operation until it no longer runs; `waiting` and `needs_attention` end it too. */
  async wait(operationId: string, options: WaitOptions = {}): Promise<api.Operation> {
    const longestMs = options.pollMs ?? 500
    for (let pauseMs = Math.min(50, longestMs); ; pauseMs = Math.min(pauseMs * 2, longestMs)) {
      const operation = await this.operation(operationId, options)
      options.onProgress?.(operation)
      // a campaign that waits for a KEK is for a person to see to
      const goesOn =
        'databases' in operation
          ? operation.waiting_for === 'backup'
          : operation.state === 'waiting' && operation.items.every(item => item.waiting_for === null)
      if (operation.state !== 'running' && !goesOn) return operation
      const ends = [options.signal, this.#signal].filter(end => end !== undefined)
      // the next look tells that it was cancelled
      await pause(pauseMs, undefined, { signal: AbortSignal.any(ends) }).catch(() => undefined)
    }
  }

  async operation(operationId: string, options: CallOptions = {}): Promise<api.Operation> {
    const target = ofId(`${admin}/secrets/rotation-status/`, operationId)
    const { data } = await this.#broker.json({ method: 'GET', target, ...signal(options) }, api.operation)
    return data
  }

  /** All pages of what is due, running, in grace or failed. */
  async status(options: CallOptions & { readonly state?: api.RotationStatusQuery['state'] } = {}): Promise<api.RotationStatus> {
    let whole: api.RotationStatus | undefined
    for (let cursor: string | undefined; ; ) {
      const target = `${admin}/secrets/rotation/status${queryOf({ state: options.state, cursor })}`
      const { data } = await this.#broker.json({ method: 'GET', target, ...signal(options) }, api.rotationStatus)
      whole = whole === undefined ? data : { ...whole, secrets: [...whole.secrets, ...data.secrets], next: data.next }
      if (data.next === null) return whole
      cursor = data.next
    }
  }

  /** Makes the previous version current again. */
  rollback(reference: string, options: ActOptions = {}): Promise<api.Accepted> {
    return this.#act(ofReference(`${admin}/secrets/rollback/`, reference), reasonBody(options), options)
  }

  /** Ends what is not yet promoted. */
  abort(operationId: string, options: ActOptions = {}): Promise<api.Accepted> {
    return this.#act(ofId(`${admin}/ops/`, operationId, '/abort'), reasonBody(options), options)
  }

  /** Goes on at once where an operation waits or needs attention. */
  retry(operationId: string, options: ActOptions = {}): Promise<api.Accepted> {
    return this.#act(ofId(`${admin}/ops/`, operationId, '/retry'), reasonBody(options), options)
  }

  /** The only answer that ever holds the token itself. */
  async createToken(token: api.TokenCreate, options: CallOptions & { readonly idempotencyKey?: string } = {}): Promise<api.TokenCreated> {
    const request = { method: 'POST', target: `${admin}/tokens`, body: token, headers: idempotency(options), ...signal(options) } as const
    const { data } = await this.#broker.json(request, api.tokenCreated)
    return data
  }

  async tokens(options: CallOptions = {}): Promise<api.TokenList['tokens']> {
    const { data } = await this.#broker.json({ method: 'GET', target: `${admin}/tokens`, ...signal(options) }, api.tokenList)
    return data.tokens
  }

  async revokeToken(id: string, options: CallOptions = {}): Promise<void> {
    await this.#broker.bytes({ method: 'DELETE', target: ofId(`${admin}/tokens/`, id), ...signal(options) })
  }

  /** Whether the broker can serve; `ready: false` is an answer, not an error. */
  async readiness(options: CallOptions = {}): Promise<api.Readiness> {
    const { data } = await this.#broker.json({ method: 'GET', target: '/readyz', answers: [503], ...signal(options) }, api.readiness)
    return data
  }

  async #act(target: string, body: object, options: ActOptions): Promise<api.Accepted> {
    const request = { method: 'POST', target, body, headers: idempotency(options), ...signal(options) } as const
    const { data } = await this.#broker.json(request, api.accepted)
    return data
  }
}

function secretTarget(name: string, { field, version, stage }: GetOptions): string {
  return ofName('/v1/secrets/', name, { field, version, stage })
}

const signal = (options: CallOptions) => (options.signal === undefined ? {} : { signal: options.signal })

const idempotency = (options: { readonly idempotencyKey?: string }) => ({ 'idempotency-key': options.idempotencyKey ?? randomUUID() })

function conditions(options: WriteOptions): Record<string, string> {
  return {
    ...idempotency(options),
    ...(options.ifVersion === undefined ? {} : { 'if-match': `"${options.ifVersion}"` }),
    ...(options.mustBeNew === true ? { 'if-none-match': '*' } : {}),
  }
}

const reasonBody = (options: ActOptions) => (options.reason === undefined ? {} : { reason: options.reason })

function rotateBody(options: RotateOptions): object {
  const { mode, graceOverride } = options
  return {
    ...reasonBody(options),
    ...(mode === undefined ? {} : { mode }),
    ...(graceOverride === undefined ? {} : { grace_override: graceOverride }),
  }
}
