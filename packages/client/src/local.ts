import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { nameOf, open, options, pathOf } from '@keyturn/adapter-dotenv'
import { SecretValue, Store, type StorePath, secretName, secretTypes, textOf } from '@keyturn/core'
import type { CallOptions } from './connection.ts'
import { failure } from './connection.ts'
import type { GetSecretOptions, NewSecret, Secrets } from './secrets.ts'

/** Where the secrets of a developer's machine or of a test are. */
export interface LocalOptions {
  /** Default `.env`, from the working directory. It need not exist. */
  readonly file?: string
  /** Variables that are set win over the file. Default: those of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

const clock = {
  now: () => new Date(),
  after(ms: number, run: () => void) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/**
 * Secrets of a `.env` file, without a broker: for development and tests. The variable `TEST_SECRET` is the secret `test-secret`, and answers to both
 * names; a file with both of them as variables is refused. Nothing is recorded, and everybody who may read the file may read everything.
 */
export class LocalSecrets implements Secrets {
  readonly #store: Store
  readonly #env: Readonly<Record<string, string | undefined>>
  /** What this object rotated away: a file keeps one value. */
  readonly #previous = new Map<string, string>()

  constructor({ file = '.env', env = process.env }: LocalOptions = {}) {
    const context = { clock, random: { bytes: randomBytes, uuid: randomUUID }, etagKey: createSecretKey(randomBytes(32)), data: '' }
    const adapter = open(options.parse({ file: resolve(file), names: 'kebab' }), context)
    this.#store = new Store(adapter, { name: file, clock, timeoutMs: 10_000 })
    this.#env = env
  }

  async createSecret(secret: NewSecret, { signal }: CallOptions = {}): Promise<string> {
    const variable = this.#settable(secret.name)
    if (!secretTypes.includes(secret.type)) {
      throw failure('invalid_argument', 'there is no such type', { hint: `take one of ${secretTypes.join(', ')}` })
    }
    if (!('value' in secret)) throw failure('invalid_argument', `${secret.name} has fields, and a variable of a .env file is one text`)
    const value =
      typeof secret.value === 'string' ? SecretValue.text(secret.value) : SecretValue.bytes(Buffer.from(secret.value.base64, 'base64'))
    await this.#mustBeOne(variable, signal)
    const { version } = await this.#store.write(variable, value, { idempotencyKey: randomUUID(), ifMatch: null, ...(signal && { signal }) })
    return version
  }

  async getSecret(name: string, { field, stage = 'current', signal }: GetSecretOptions = {}): Promise<string> {
    const variable = variableOf(name)
    if (field !== undefined) throw failure('not_found', `${name} has no field ${field}: a variable of a .env file is one text`)
    const set = this.#env[variable]
    if (stage === 'current' && set !== undefined) return set
    if (stage === 'previous') return this.#previous.get(variable) ?? absent(`${name} has no previous version here`)
    await this.#mustBeOne(variable, signal)
    const { value } = await this.#store.read(variable, signal && { signal })
    const content = value.reveal()
    return 'field' in content ? (textOf(content.field) ?? absent(`${name} is no text`)) : absent(`${name} is no text`)
  }

  /** Writes 32 random bytes as base64url, whatever the type: nobody but this file honours them. The value before stays `previous` in this object. */
  async rotateSecret(name: string, { signal }: CallOptions = {}): Promise<string> {
    const variable = this.#settable(name)
    const before = await this.getSecret(name, signal && { signal })
    const { etag } = await this.#store.read(variable, signal && { signal })
    const value = SecretValue.text(randomBytes(32).toString('base64url'))
    const { version } = await this.#store.write(variable, value, { idempotencyKey: randomUUID(), ifMatch: etag, ...(signal && { signal }) })
    this.#previous.set(variable, before)
    return version
  }

  #settable(name: string): StorePath {
    const variable = variableOf(name)
    if (this.#env[variable] === undefined) return variable
    throw failure('conflict', `${name} is set by the environment as ${variable}, which wins over the file`, {
      hint: `unset ${variable} first`,
    })
  }

  /** `TEST_SECRET` and `test-secret` in one file would be one secret. */
  async #mustBeOne(variable: StorePath, signal: AbortSignal | undefined): Promise<void> {
    const twin = variable.toLowerCase().replaceAll('_', '-')
    for await (const other of this.#store.list('', signal && { signal })) {
      if (other === twin)
        throw failure('invalid_argument', `the file has both ${variable} and ${twin}, which are one secret`, { hint: `rename ${twin}` })
    }
  }
}

/** `test-secret` and `TEST_SECRET` are one variable. */
function variableOf(name: string): StorePath {
  const variable = /^[A-Z0-9_]+$/.test(name) ? name : pathOf(secretName(name), { names: 'kebab' })
  nameOf(variable, { names: 'kebab' })
  // what has a name is a path of the file
  return variable as StorePath
}

function absent(why: string): never {
  throw failure('not_found', why)
}
