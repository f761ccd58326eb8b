import { BrokerError, type SecretValue } from '@keyturn/core'
import { classify, hasStatus, status } from './classify.ts'
import type { Client } from './client.ts'
import { crc32c } from './crc32c.ts'
import { Memory } from './memory.ts'
import { type Place, secretName } from './names.ts'
import { decodePayload, type Payload } from './values.ts'
import { type Known, knownOf, numberIn } from './version.ts'

/** A version as it is read. */
export interface Accessed {
  readonly number: number
  readonly value: SecretValue
  /** The checksum of its bytes. */
  readonly sum: number
}

/** So that a page of a thousand versions stays small. */
const versionsPage = 1_000

/** The calls of the service, with what their answers mean. https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1 */
export class SecretCalls {
  readonly client: Client
  readonly #memory = new Memory()
  readonly #now: () => Date
  readonly #replication: object | undefined

  /** `replication` is that of secrets which `add` has to make. */
  constructor(client: Client, now: () => Date, replication: object | undefined) {
    this.client = client
    this.#now = now
    this.#replication = replication
  }

  /** The newest version with its value, in whatever state: one that is disabled or destroyed has none, and is said to be so. */
  async current(name: string, signal: AbortSignal): Promise<Accessed> {
    const found = await this.access(name, 'latest', signal)
    const newest = this.#memory.newest(name)
    if (newest <= found.number) return found
    try {
      return await this.access(name, newest, signal)
    } catch (error) {
      if (!hasStatus(error, status.notFound)) throw error
      // deleted and made anew, so it counts from 1 again
      this.#memory.forget(name)
      return found
    }
  }

  async access(name: string, version: number | string, signal: AbortSignal): Promise<Accessed> {
    try {
      const answer = await this.client.call('accessSecretVersion', { name: `${name}/versions/${version}` }, signal)
      const number = numberIn(answer.name)
      if (typeof version === 'number' && number !== version)
        throw new BrokerError('corrupt', `gcp: ${name} answered with another version than ${version}`)
      const value = decodePayload(answer.payload, `version ${number} of ${name}`)
      return { number, value, sum: sumOf(answer.payload) }
    } catch (error) {
      throw hasStatus(error, status.failedPrecondition) ? withheld(name, version, error) : error
    }
  }

  /** When a version was made. Who may read values but no metadata is told the time of the answer. */
  async birth(name: string, { number, sum }: Accessed, signal: AbortSignal): Promise<Date> {
    const known = this.#memory.birth(name, number, sum)
    if (known !== undefined || this.#memory.isDenied(name, this.#now())) {
      this.#memory.saw(name, number)
      return known ?? this.#now()
    }
    try {
      const { createdAt } = await this.version(name, number, signal)
      this.#memory.saw(name, number, { createdAt, sum })
      return createdAt
    } catch (error) {
      if (!hasStatus(error, status.permissionDenied)) throw error
      this.#memory.sawDenied(name, number, this.#now())
      return this.#now()
    }
  }

  async version(name: string, version: number | string, signal: AbortSignal): Promise<Known> {
    return knownOf(await this.client.call('getSecretVersion', { name: `${name}/versions/${version}` }, signal))
  }

  /** The number of the newest version. Who may read no metadata learns it from the value. */
  async newest(name: string, signal: AbortSignal): Promise<number> {
    const number = await this.version(name, 'latest', signal).then(
      known => known.number,
      async error => {
        if (!hasStatus(error, status.permissionDenied)) throw error
        return (await this.access(name, 'latest', signal)).number
      },
    )
    return Math.max(number, this.#memory.newest(name))
  }

  /** Every version, newest first, whatever the order of the answers. */
  async versions(name: string, signal: AbortSignal): Promise<readonly Known[]> {
    const all = new Map<number, Known>()
    for (let pageToken = ''; ; ) {
      const page = await this.client.call('listSecretVersions', { parent: name, pageSize: versionsPage, pageToken }, signal)
      for (const each of page.versions ?? []) {
        const known = knownOf(each)
        all.set(known.number, known)
      }
      if (!page.nextPageToken) return [...all.values()].sort((a, b) => b.number - a.number)
      pageToken = following(pageToken, page.nextPageToken)
    }
  }

  /** Adds a version, which is the newest then; the secret is made where it is absent. */
  async add(place: Place, payload: Payload, signal: AbortSignal): Promise<Known> {
    const name = secretName(place)
    const known = await this.#add(name, payload, signal).catch(async error => {
      if (!hasStatus(error, status.notFound)) throw error
      await this.#create(place, signal)
      return this.#add(name, payload, signal).catch(again => {
        throw hasStatus(again, status.notFound) ? notYet(name, again) : again
      })
    })
    this.#memory.saw(name, known.number, { createdAt: known.createdAt, sum: sumOf(payload) })
    return known
  }

  /** `etag` is the secret's, or empty. */
  async delete(name: string, signal: AbortSignal, etag = ''): Promise<void> {
    await this.client.call('deleteSecret', { name, etag }, signal)
    this.#memory.forget(name)
  }

  async #add(name: string, payload: Payload, signal: AbortSignal): Promise<Known> {
    return knownOf(await this.client.call('addSecretVersion', { parent: name, payload }, signal))
  }

  /** Makes the secret without a version, which nobody can read yet. One that is there already is as good. */
  async #create({ parent, id }: Place, signal: AbortSignal): Promise<void> {
    const secret = this.#replication === undefined ? {} : { replication: this.#replication }
    try {
      await this.client.call('createSecret', { parent, secretId: id, secret }, signal)
    } catch (error) {
      if (hasStatus(error, status.alreadyExists)) return
      if (hasStatus(error, status.notFound)) {
        throw new BrokerError('invalid_argument', `gcp: ${parent} is not there`, {
          hint: 'check project and location of the section',
          cause: error,
        })
      }
      // the value did not go out yet: whether the empty secret was made changes nothing
      if (classify(error).code === 'outcome_unknown') {
        throw new BrokerError('unavailable', `gcp: ${parent}/secrets/${id} could not be made, and nothing was written to it`, {
          cause: error,
        })
      }
      throw error
    }
  }
}

/** The token of the next page; `corrupt` when it is that of this one, which would never end. */
export function following(token: string, next: string): string {
  if (next === token) throw new BrokerError('corrupt', 'gcp: the pages of a list do not end')
  return next
}

function sumOf(payload: Payload | null | undefined): number {
  return payload?.data instanceof Uint8Array ? crc32c(payload.data) : 0
}

/** A version whose value is not given out: the service says so in words alone. */
function withheld(name: string, version: number | string, cause: Error): BrokerError {
  const which = version === 'latest' ? `the newest version of ${name}` : `version ${version} of ${name}`
  const hint = typeof version === 'string' ? 'write a new version' : 'take another version'
  if (/destroyed/i.test(cause.message)) {
    return new BrokerError('not_found', `gcp: ${which} is destroyed`, { hint, cause, detail: { reason: 'destroyed' } })
  }
  return new BrokerError('precondition_failed', `gcp: ${which} is disabled`, { hint: `enable it, or ${hint}`, cause })
}

function notYet(name: string, cause: Error): BrokerError {
  return new BrokerError('unavailable', `gcp: ${name} was made and is not to be seen yet`, { hint: 'send it again', cause })
}
