import {
  BrokerError,
  type Etag,
  type SecretValue,
  type StorePath,
  type VersionId,
  type VersionInfo,
  type WriteOptions,
} from '@keyturn/core'
import { classify, isNamed } from './classify.ts'
import type { Client } from './client.ts'
import { creatableName, secretId } from './names.ts'
import {
  absent,
  current,
  find,
  infoOf,
  isVersionId,
  type Known,
  mustMean,
  present,
  saysTaken,
  stale,
  stateOf,
  taken,
  versionsOf,
} from './secret.ts'
import { encodeValue } from './values.ts'

/** What new secrets are given. */
export interface NewSecret {
  readonly kmsKeyId?: string | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
}

/** A label of our own: a version bears it until it becomes current or its writer has lost. Nobody reads by it. */
const ours = 'keyturn-write'

/** One intent: what is to be written where, under which key. */
interface Intent {
  readonly path: StorePath
  readonly value: SecretValue
  readonly key: string
  readonly signal: AbortSignal
}

/**
 * Writes of every kind. The key of an intent is the id of the version it makes, which is what makes them idempotent; an expected version is
 * compared by AWS itself, when the label AWSCURRENT moves away from it.
 */
export class Writes {
  readonly #client: Client
  readonly #made: NewSecret
  readonly #now: () => Date

  constructor(client: Client, made: NewSecret, now: () => Date) {
    this.#client = client
    this.#made = made
    this.#now = now
  }

  write(path: StorePath, value: SecretValue, { idempotencyKey: key, ifMatch, signal }: WriteOptions): Promise<VersionInfo> {
    const intent = { path, value, key, signal }
    if (ifMatch === undefined) return this.#put(intent)
    return ifMatch === null ? this.#createOnly(intent) : this.#swap(intent, ifMatch)
  }

  /** A version under the label AWSPENDING. The first version of a secret is made current by AWS, whatever it is asked. */
  async stage(path: StorePath, value: SecretValue, { idempotencyKey: key, signal }: WriteOptions): Promise<VersionInfo> {
    const id = secretId(path)
    const known = await find(this.#client, id, signal)
    if (known === undefined) return this.#create({ path, value, key, signal })
    if (known.deleted) throw taken(path)
    return this.#added({ path, value, key, signal }, 'AWSPENDING', known)
  }

  /** Puts a value, whoever wrote before. */
  async #put(intent: Intent): Promise<VersionInfo> {
    const { path } = intent
    await mustMean(this.#client, secretId(path), intent.signal)
    try {
      return await this.#added(intent, current)
    } catch (error) {
      if (saysTaken(error)) return this.#revived(intent, error)
      if (!isNamed(error, 'ResourceNotFoundException')) throw error
    }
    if (path.startsWith('arn:')) throw absent(path)
    try {
      return await this.#create(intent)
    } catch (error) {
      // somebody made it in the meantime
      if (isNamed(error, 'ResourceExistsException')) return this.#added(intent, current)
      throw error
    }
  }

  /** A new value for a secret whose deletion is scheduled: the deletion is called off first. */
  async #revived(intent: Intent, cause: unknown): Promise<VersionInfo> {
    const { path, key, signal } = intent
    const known = await find(this.#client, secretId(path), signal)
    if (known?.labels.has(key)) throw deletedSince(path, cause)
    await this.#client.restore(secretId(path), signal)
    return this.#added(intent, current)
  }

  /** Makes a secret that must not be there. */
  async #createOnly(intent: Intent): Promise<VersionInfo> {
    const { path, key, signal } = intent
    if (path.startsWith('arn:')) throw (await find(this.#client, secretId(path), signal)) === undefined ? absent(path) : stale(path)
    try {
      return await this.#create(intent)
    } catch (error) {
      if (!isNamed(error, 'ResourceExistsException', 'InvalidRequestException')) throw error
      const known = await find(this.#client, path, signal)
      if (known === undefined) throw error
      if (known.deleted) {
        if (known.labels.has(key)) throw deletedSince(path, error)
        await this.#client.restore(path, signal)
        return this.#swap(intent, known.current)
      }
      // without a value it is not there for any reader; under our key it is what this intent made before
      if (known.current === undefined || known.labels.has(key)) return this.#swap(intent, undefined)
      throw stale(path)
    }
  }

  async #create({ path, value, key, signal }: Intent): Promise<VersionInfo> {
    const { kmsKeyId, tags } = this.#made
    const answer = await this.#client.create(
      {
        Name: creatableName(path),
        ClientRequestToken: key,
        ...encodeValue(value),
        ...(kmsKeyId === undefined ? {} : { KmsKeyId: kmsKeyId }),
        ...(tags === undefined ? {} : { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }),
      },
      signal,
    )
    return this.#isCurrent(idOf(answer))
  }

  /** Puts a value only where `from` is current (undefined: none is). The version is there before it is current, and whoever lost takes its label away. */
  async #swap(intent: Intent, from: string | undefined): Promise<VersionInfo> {
    const { path, key, signal } = intent
    const id = secretId(path)
    if (from !== undefined && !isVersionId(from)) throw stale(path)
    const known = await find(this.#client, id, signal)
    if (known === undefined || known.deleted || (known.current !== from && !known.labels.has(key))) throw stale(path)
    const made = await this.#added(intent, ours, known)
    if (made.state === 'current' || made.state === 'previous') return made
    try {
      await makeCurrent(this.#client, path, { from, to: made.version }, signal)
    } catch (error) {
      if (classify(error).code !== 'outcome_unknown') await this.#letGo(id, made.version, signal)
      throw error
    }
    await this.#letGo(id, made.version, signal)
    return this.#isCurrent(made.version)
  }

  /** Adds a version under a label. The answer of one that was there before says where it stands now. */
  async #added({ path, value, key, signal }: Intent, label: string, known?: Known): Promise<VersionInfo> {
    const id = secretId(path)
    const answer = await this.#client.put({ SecretId: id, ClientRequestToken: key, VersionStages: [label], ...encodeValue(value) }, signal)
    const version = idOf(answer)
    const labels = answer.VersionStages ?? []
    if (labels.includes(current)) return this.#isCurrent(version)
    if (known !== undefined && !known.labels.has(version)) {
      return { version, state: stateOf(labels), createdAt: this.#now(), etag: (known.current ?? version) as Etag }
    }
    const now = await present(this.#client, id, signal)
    const found = (await versionsOf(this.#client, id, now, signal)).find(each => each.version === version)
    return found ?? infoOf(version, this.#now(), now)
  }

  /** Whatever becomes of the label, the outcome of the write is known: a version that keeps it is only kept longer. */
  async #letGo(id: string, version: VersionId, signal: AbortSignal): Promise<void> {
    await this.#client.move(id, { label: ours, from: version }, signal).catch(() => undefined)
  }

  #isCurrent(version: VersionId): VersionInfo {
    return { version, state: 'current', createdAt: this.#now(), etag: version as string as Etag }
  }
}

/**
 * Moves AWSCURRENT from one version, or from none, to another. AWS refuses when it is elsewhere; already at `to` is success.
 * https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
 */
export async function makeCurrent(
  client: Client,
  path: StorePath,
  { from, to }: { readonly from: string | undefined; readonly to: string },
  signal: AbortSignal,
): Promise<void> {
  const id = secretId(path)
  await mustMean(client, id, signal)
  try {
    await client.move(id, { label: current, from, to }, signal)
  } catch (error) {
    if (saysTaken(error)) throw taken(path)
    if (!isNamed(error, 'InvalidParameterException', 'ResourceNotFoundException', 'InvalidRequestException')) throw error
    const now = await present(client, id, signal)
    if (now.current === to) return
    throw now.current === from ? error : stale(path)
  }
}

/** This intent was done, and then somebody took the secret away: to send it again does not bring it back. */
function deletedSince(path: StorePath, cause: unknown): BrokerError {
  return new BrokerError('conflict', `aws: ${path} was deleted after this write was done`, { hint: 'read it again', cause })
}

function idOf({ VersionId: version }: { readonly VersionId?: string | undefined }): VersionId {
  if (version === undefined || version === '') throw new BrokerError('corrupt', 'aws: the answer to a write names no version')
  // the store's own id, branded where it comes in
  return version as VersionId
}
