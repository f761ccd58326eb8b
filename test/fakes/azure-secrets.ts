import { randomBytes } from 'node:crypto'
import type { AzureReply } from './azure-server.ts'

interface Version {
  readonly id: string
  readonly value: string
  /** Seconds. */
  readonly created: number
  updated: number
  enabled: boolean
  nbf: number | undefined
  exp: number | undefined
  contentType: string | undefined
  tags: Readonly<Record<string, string>>
}

interface Secret {
  /** As it was first written. */
  readonly name: string
  /** Oldest first. */
  readonly versions: Version[]
  /** Until then: on its way out, or back. */
  busyUntil: number
  deleted: boolean
}

const host = 'https://fake.vault.azure.net'
const valueMax = 25_600

/**
 * The secrets of a vault. Names are `[0-9A-Za-z-]{1,127}` in any case; a value is text of at most 25 KB, an empty one too; at most 15 tags of 256
 * characters; times are whole seconds; a read outside nbf and exp is answered; a disabled version is 403 `SecretDisabled`; PATCH changes attributes only.
 * https://learn.microsoft.com/azure/key-vault/secrets/about-secrets,
 * https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#objects-identifiers-and-versioning,
 * https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
 */
export class AzureSecrets {
  readonly #now: () => number
  readonly #all = new Map<string, Secret>()
  /** How long a deletion takes to show. */
  deleteMs = 0
  recoverMs = 0
  purgeProtection = false
  /** How many names of the page before a later page of the list tells again, as when others come in between. */
  repeat = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Adds a version from outside. */
  put(name: string, value: string, more: Partial<Pick<Version, 'contentType' | 'tags' | 'nbf' | 'exp'>> = {}): string {
    const secret = this.#all.get(name.toLowerCase()) ?? { name, versions: [], busyUntil: 0, deleted: false }
    this.#all.set(name.toLowerCase(), secret)
    const now = this.#seconds()
    const rest = { nbf: undefined, exp: undefined, contentType: undefined, tags: {}, ...more }
    const version = { id: randomBytes(16).toString('hex'), value, created: now, updated: now, enabled: true, ...rest }
    secret.versions.push(version)
    return version.id
  }

  /** The versions of a secret that is there, oldest first. */
  stored(name: string): readonly Readonly<Version>[] {
    return this.#all.get(name.toLowerCase())?.versions ?? []
  }

  /** Disables from outside, the current version too. */
  disable(name: string, id: string): void {
    const found = this.#all.get(name.toLowerCase())?.versions.find(each => each.id === id)
    if (found !== undefined) found.enabled = false
  }

  items(): readonly object[] {
    return [...this.#all.values()]
      .filter(each => !each.deleted && each.busyUntil <= this.#now())
      .flatMap(each => shown(each, each.versions.at(-1), false) ?? [])
  }

  versions(name: string): readonly object[] | undefined {
    const secret = this.#all.get(name.toLowerCase())
    if (secret === undefined) return []
    if (this.#isAway(secret)) return undefined
    // no order is promised
    return secret.versions.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map(each => shown(secret, each, true) ?? {})
  }

  get(name: string, id: string): AzureReply {
    const secret = this.#all.get(name.toLowerCase())
    const found = id === '' ? secret?.versions.at(-1) : secret?.versions.find(each => each.id === id)
    if (secret === undefined || found === undefined || this.#isAway(secret)) return absent(name)
    if (!found.enabled) return fault(403, 'Forbidden', 'Operation get is not allowed on a disabled secret.', 'SecretDisabled')
    return { status: 200, body: { value: found.value, ...shown(secret, found, true) } }
  }

  set(name: string, { value, tags, contentType, attributes }: Readonly<Record<string, unknown>>): AzureReply {
    const wrong = wrongOf(name, value, tags, contentType)
    if (wrong !== undefined) return fault(400, 'BadParameter', wrong)
    const secret = this.#all.get(name.toLowerCase())
    const way = secret === undefined ? undefined : this.#way(secret)
    if (way !== undefined) return fault(409, 'Conflict', `Secret ${name} is currently in another state; retry later.`, way)
    // checked by `wrongOf`
    this.put(name, value as string, {
      tags: (tags ?? {}) as Record<string, string>,
      contentType: contentType as string | undefined,
      ...(attributes as object),
    })
    return this.get(name, '')
  }

  update(name: string, id: string, { attributes, tags }: Readonly<Record<string, unknown>>): AzureReply {
    const secret = this.#all.get(name.toLowerCase())
    const found = secret?.versions.find(each => each.id === id)
    if (secret === undefined || found === undefined || this.#isAway(secret)) return absent(name)
    const { enabled } = (attributes ?? {}) as { enabled?: boolean }
    found.enabled = enabled ?? found.enabled
    if (tags !== undefined) found.tags = tags as Record<string, string>
    found.updated = this.#seconds()
    return { status: 200, body: shown(secret, found, true) }
  }

  delete(name: string): AzureReply {
    const secret = this.#all.get(name.toLowerCase())
    if (secret === undefined || this.#isAway(secret)) return absent(name)
    secret.deleted = true
    secret.busyUntil = this.#now() + this.deleteMs
    return { status: 200, body: this.#bundle(secret) }
  }

  deleted(name: string): AzureReply {
    const secret = this.#all.get(name.toLowerCase())
    if (secret === undefined || !secret.deleted || secret.busyUntil > this.#now()) return absent(name)
    return { status: 200, body: this.#bundle(secret) }
  }

  recover(name: string): AzureReply {
    const secret = this.#all.get(name.toLowerCase())
    if (secret === undefined || !secret.deleted) return absent(name)
    if (secret.busyUntil > this.#now()) return fault(409, 'Conflict', 'Secret is currently being deleted.', 'ObjectIsBeingDeleted')
    secret.deleted = false
    secret.busyUntil = this.#now() + this.recoverMs
    return { status: 200, body: shown(secret, secret.versions.at(-1), true) }
  }

  purge(name: string): AzureReply {
    const secret = this.#all.get(name.toLowerCase())
    if (secret === undefined || !secret.deleted) return absent(name)
    if (this.purgeProtection)
      return fault(403, 'Forbidden', 'Operation "purge" is not allowed because purge protection is enabled for this vault.')
    this.#all.delete(name.toLowerCase())
    return { status: 204 }
  }

  #bundle(secret: Secret): object {
    const recoveryId = `${host}/deletedsecrets/${secret.name}`
    return {
      recoveryId,
      deletedDate: this.#seconds(),
      scheduledPurgeDate: this.#seconds() + 7_776_000,
      ...shown(secret, secret.versions.at(-1), true),
    }
  }

  #isAway(secret: Secret): boolean {
    return secret.deleted || secret.busyUntil > this.#now()
  }

  #way({ deleted, busyUntil }: Secret): string | undefined {
    if (busyUntil > this.#now()) return deleted ? 'ObjectIsBeingDeleted' : 'ObjectIsBeingRecovered'
    return deleted ? 'ObjectIsDeletedButRecoverable' : undefined
  }

  #seconds(): number {
    return Math.floor(this.#now() / 1_000)
  }
}

/** An error as the vault tells it. */
export function fault(status: number, code: string, message: string, inner?: string): AzureReply {
  return { status, body: { error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }) } } }
}

function absent(name: string): AzureReply {
  return fault(404, 'SecretNotFound', `A secret with (name/id) ${name} was not found in this key vault.`)
}

function shown(secret: Secret, version: Version | undefined, hasVersion: boolean): object | undefined {
  if (version === undefined) return undefined
  const { id, created, updated, enabled, nbf, exp, contentType, tags } = version
  const attributes = { enabled, created, updated, nbf, exp, recoveryLevel: 'Recoverable+Purgeable', recoverableDays: 90 }
  // the list of all secrets names no version
  return { id: `${host}/secrets/${secret.name}${hasVersion ? `/${id}` : ''}`, attributes, contentType, tags }
}

function wrongOf(name: string, value: unknown, tags: unknown, contentType: unknown): string | undefined {
  if (!/^[0-9A-Za-z-]{1,127}$/.test(name)) return `The request URI contains an invalid name: ${name}`
  if (typeof value !== 'string') return 'Property value has an invalid value.'
  if (Buffer.byteLength(value) > valueMax) return `Secret is beyond the maximum permitted length of ${valueMax} characters.`
  const entries = Object.entries((tags ?? {}) as Record<string, string>)
  if (entries.length > 15) return 'Too many tags.'
  if (entries.some(([key, text]) => key.length > 256 || text.length > 256)) return 'A tag is too long.'
  return typeof contentType === 'string' && contentType.length > 255 ? 'The content type is too long.' : undefined
}
