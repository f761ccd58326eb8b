import { BrokerError, type SecretValue, type VersionInfo } from '@keyturn/core'
import { hasStatus, innerCode } from './classify.ts'
import type { Client } from './client.ts'
import type { Lookups } from './lookups.ts'
import { settled } from './settled.ts'
import { decodeText, encodeText } from './values.ts'
import { infoOf, type Known, ranked, tagsWith } from './version.ts'

/** When to try again what stood in the way of somebody else. */
const againMs = 5_000

/** One write: which secret, what, and whose intent. */
interface Intent {
  readonly path: string
  readonly name: string
  readonly value: SecretValue
  readonly key: string
  readonly signal: AbortSignal
}

/** Adds versions. A vault compares nothing, so it is looked before and after. */
export class Writer {
  readonly #client: Client
  readonly #lookups: Lookups

  constructor(client: Client, lookups: Lookups) {
    this.#client = client
    this.#lookups = lookups
  }

  /** Adds a version, unless the same intent did already; `conflict` when it did with another value, or when somebody else wrote at the same time. */
  async write(intent: Intent): Promise<VersionInfo> {
    const { path, name, signal } = intent
    const before = await this.#lookups.all(path, name, signal)
    return (await this.#again(intent, before)) ?? this.#put(intent, before)
  }

  /** The version that this intent made earlier, if it has this value; undefined when it made none. */
  async #again({ path, name, key, value, signal }: Intent, known: readonly Known[]): Promise<VersionInfo | undefined> {
    const done = known.find(each => each.mark?.key === key)
    if (done === undefined) return undefined
    const { text } = await this.#client.read(name, signal, done.version)
    if (!decodeText(text).equals(value)) {
      throw new BrokerError('conflict', `azure: this intent has written another value to ${path}`, { hint: 'use a new idempotency key' })
    }
    const all = await this.#lookups.ranked(path, name, signal)
    return infoOf(
      done,
      all[0]?.version ?? done.version,
      all.findIndex(each => each.version === done.version),
    )
  }

  /** Sends the write. A secret that is deleted is given back first, in the state in which it was deleted: what this intent made before that shows then. */
  async #put(intent: Intent, before: readonly Known[]): Promise<VersionInfo> {
    const { path, name, signal } = intent
    try {
      return await this.#add(intent, before)
    } catch (error) {
      if (!hasStatus(error, 409)) throw error
      const inner = innerCode(error)
      const mayBeDeleted = inner === undefined || inner === 'ObjectIsDeletedButRecoverable'
      if (!mayBeDeleted || !(await this.#client.isDeleted(name, signal))) throw inTheWay(path, error)
    }
    await this.#recover(path, name, signal)
    const recovered = await this.#lookups.all(path, name, signal)
    const again = await this.#again(intent, recovered)
    if (again !== undefined) return again
    return this.#add(intent, recovered).catch((error: unknown) => {
      throw hasStatus(error, 409) ? inTheWay(path, error) : error
    })
  }

  async #add(intent: Intent, known: readonly Known[]): Promise<VersionInfo> {
    const { name, value, key, signal } = intent
    const last = ranked(known).versions[0]
    const tags = tagsWith(last, { key, order: known.length + 1, name })
    const write = () => this.#client.write(name, encodeText(value), { tags, ...contentType(last) }, signal)
    const made = await settled(this.#client, signal, write)
    await this.#mustBeCurrent(intent, made)
    return infoOf(made, made.version, 0)
  }

  async #recover(path: string, name: string, signal: AbortSignal): Promise<void> {
    try {
      await settled(this.#client, signal, () => this.#client.recover(name, signal))
    } catch (error) {
      if (!hasStatus(error, 403)) throw error
      throw new BrokerError('permission_denied', `azure: ${path} is soft-deleted, and this login may not recover it`, {
        hint: 'recover or purge it in azure, or give the login the right secrets/recover',
        detail: { reason: 'soft_deleted' },
        cause: error,
      })
    }
  }

  /** Of two who write at the same time, the one whose version is not current learns it. */
  async #mustBeCurrent({ path, name, signal }: Intent, made: Known): Promise<void> {
    // the write is done: that nobody may look at it, or can, takes nothing from it
    const current = await this.#client.read(name, signal).catch(() => undefined)
    signal.throwIfAborted()
    if (current === undefined || current.version === made.version) return
    throw new BrokerError('conflict', `azure: somebody else wrote to ${path} at the same time: their version is current`, {
      hint: 'read it again',
      detail: { made: made.version, current: current.version },
    })
  }
}

function contentType(last: Known | undefined): { contentType?: string } {
  return last?.contentType === undefined ? {} : { contentType: last.contentType }
}

function inTheWay(path: string, cause: unknown): BrokerError {
  return new BrokerError('conflict', `azure: ${path} is being changed, deleted or recovered by somebody else`, {
    hint: 'try again when that is done, or restore it first',
    retryAfterMs: againMs,
    cause,
  })
}
