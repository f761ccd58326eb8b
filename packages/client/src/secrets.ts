import type * as api from '@keyturn/api'
import type { KeyturnClient, NewValue, RotateOptions, WaitOptions } from './client.ts'
import { type CallOptions, failure, type KeyturnError } from './connection.ts'

/** A secret that does not exist yet: its first value, one text or named fields. */
export type NewSecret = {
  readonly name: string
  readonly type: api.SecretType
  readonly labels?: Readonly<Record<string, string>>
} & NewValue

/** Which part of a secret is asked for. */
export interface GetSecretOptions extends CallOptions {
  readonly field?: string
  /** `previous`: the one before, for as long as it is in grace. */
  readonly stage?: 'current' | 'previous'
}

/**
 * The three calls that most services need. `BrokerSecrets` asks a broker, `LocalSecrets` of `@keyturn/client/local` a `.env` file: the code that
 * calls them is the same. Every method throws `KeyturnError`.
 */
export interface Secrets {
  /** Makes a secret; `conflict` when there is one of this name. Answers the version. */
  createSecret(secret: NewSecret, options?: CallOptions): Promise<string>
  /** The text of a secret. `invalid_argument` when it has several fields and `field` names none, or when its bytes are no text. */
  getSecret(name: string, options?: GetSecretOptions): Promise<string>
  /** Rotates a secret and waits until the new version is served. Answers that version. */
  rotateSecret(name: string, options?: RotateOptions & WaitOptions): Promise<string>
}

/** Secrets behind a broker. */
export class BrokerSecrets implements Secrets {
  readonly #client: KeyturnClient

  constructor(client: KeyturnClient) {
    this.#client = client
  }

  async createSecret({ name, ...secret }: NewSecret, options: CallOptions = {}): Promise<string> {
    const { version } = await this.#client.set(name, secret, { ...options, mustBeNew: true })
    return version
  }

  async getSecret(name: string, options: GetSecretOptions = {}): Promise<string> {
    const secret = await this.#client.get(name, options)
    const { value, fields = {} } = secret
    const [only, ...more] = value === undefined ? Object.values(fields) : [value]
    if (only === undefined || more.length > 0) {
      throw failure('invalid_argument', `${name} has several fields`, { hint: `name one of them: ${Object.keys(fields).join(', ')}` })
    }
    if (typeof only === 'string') return only
    throw failure('invalid_argument', `${name} holds bytes that are no text`, { hint: 'use getBytes of KeyturnClient' })
  }

  /**
   * `precondition_failed` when it waits for a person or a window, `internal` when it failed; the operation's id is in the message and, as `operation`,
   * in `detail`.
   */
  async rotateSecret(name: string, options: RotateOptions & WaitOptions = {}): Promise<string> {
    const operation = await this.#client.rotate(name, options)
    const version = operation.items.find(item => item.name === name)?.version
    if (operation.state === 'done' && version !== undefined && version !== null) return version
    throw unfinished(name, operation)
  }
}

function unfinished(name: string, { op_id: operation, state, items }: api.Operation): KeyturnError {
  const item = items.find(each => each.name === name)
  const why = item?.error?.detail ?? item?.waiting_for ?? state
  const code = state === 'waiting' || state === 'needs_attention' ? 'precondition_failed' : 'internal'
  const hint = `the value that is served is unchanged; look with: keyturn status ${name}`
  return failure(code, `the rotation of ${name} is ${state} (operation ${operation}): ${why}`, { hint, particulars: { operation } })
}
