import { crc32cOf } from './gcp-crc32c.ts'

/** A status as a handler throws it; the server sends it. */
export class GrpcStatus extends Error {
  readonly code: number
  readonly details: string

  constructor(code: number, details: string) {
    super(details)
    this.code = code
    this.details = details
  }
}

export type State = 'ENABLED' | 'DISABLED' | 'DESTROYED'

interface Version {
  readonly number: number
  readonly createTime: Date
  state: State
  destroyTime: Date | undefined
  scheduledDestroyTime: Date | undefined
  etag: string
  data: Buffer | undefined
}

interface Secret {
  readonly id: string
  readonly createTime: Date
  readonly replication: unknown
  readonly versions: Version[]
  etag: string
  destroyTtlMs: number | undefined
  aliases: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
}

const idForm = /^[\w-]{1,255}$/
const payloadBytesMax = 65_536
let changes = 0

/** The secrets of one parent: `projects/p` or `projects/p/locations/l`. In answers a project is its number, whatever it was asked by. */
export class SecretsFake {
  /** `projects/4711` or `projects/4711/locations/l`. */
  readonly name: string
  readonly isRegional: boolean
  /** How many versions `latest` is behind: only reads by number see every write at once. */
  latestIsBehind = 0
  readonly #secrets = new Map<string, Secret>()
  readonly #now: () => Date

  constructor(name: string, now: () => Date) {
    this.name = name
    this.isRegional = name.includes('/locations/')
    this.#now = now
  }

  create(id: string, replication: unknown): object {
    if (!idForm.test(id)) throw new GrpcStatus(3, 'Secret ids must match the expected format.')
    if (!this.isRegional && (replication === null || replication === undefined))
      throw new GrpcStatus(3, 'Field [secret.replication] is required.')
    if (this.isRegional && replication !== null && replication !== undefined)
      throw new GrpcStatus(3, 'A regional secret takes no replication.')
    if (this.#secrets.has(id)) throw new GrpcStatus(6, `Secret [${this.name}/secrets/${id}] already exists.`)
    const secret: Secret = {
      id,
      replication,
      createTime: this.#now(),
      versions: [],
      etag: newEtag(),
      destroyTtlMs: undefined,
      aliases: {},
      annotations: {},
    }
    this.#secrets.set(id, secret)
    return this.#secretOf(secret)
  }

  add(id: string, payload: { data?: Uint8Array | null; dataCrc32c?: string | null } | null): object {
    const secret = this.#found(id)
    if (payload === null || payload === undefined) throw new GrpcStatus(3, 'Field [payload] is required.')
    const data = Buffer.from(payload.data ?? [])
    if (data.length === 0) throw new GrpcStatus(3, 'Secret Payload cannot be empty.')
    if (data.length > payloadBytesMax) throw new GrpcStatus(3, `The secret payload is ${data.length} bytes, of at most ${payloadBytesMax}.`)
    const { dataCrc32c } = payload
    if (dataCrc32c !== undefined && dataCrc32c !== null && String(dataCrc32c) !== String(crc32cOf(data))) {
      throw new GrpcStatus(3, 'The checksum does not match the payload.')
    }
    const number = (secret.versions.at(-1)?.number ?? 0) + 1
    const made: Version = {
      number,
      createTime: this.#now(),
      state: 'ENABLED',
      destroyTime: undefined,
      scheduledDestroyTime: undefined,
      etag: newEtag(),
      data,
    }
    secret.versions.push(made)
    return this.#versionOf(secret, made)
  }

  access(id: string, which: string): object {
    const { secret, version } = this.#version(id, which)
    if (version.state !== 'ENABLED' || version.data === undefined) throw this.#inState(secret, version)
    return { name: this.#nameOf(secret, version), payload: { data: version.data, dataCrc32c: String(crc32cOf(version.data)) } }
  }

  get(id: string, which: string): object {
    const { secret, version } = this.#version(id, which)
    return this.#versionOf(secret, version)
  }

  change(id: string, which: string, etag: string, to: State): object {
    // the name that floats stands for no version that could be changed
    if (which === 'latest') throw new GrpcStatus(3, 'An alias is not allowed here.')
    const { secret, version } = this.#version(id, which)
    if (etag !== '' && etag !== version.etag) throw staleEtag()
    if (version.state === 'DESTROYED') throw this.#inState(secret, version)
    if (to === 'DESTROYED' && secret.destroyTtlMs !== undefined) {
      version.state = 'DISABLED'
      version.scheduledDestroyTime = new Date(this.#now().getTime() + secret.destroyTtlMs)
    } else {
      version.state = to
      version.scheduledDestroyTime = undefined
      if (to === 'DESTROYED') {
        version.destroyTime = this.#now()
        version.data = undefined
      }
    }
    version.etag = newEtag()
    return this.#versionOf(secret, version)
  }

  getSecret(id: string): object {
    return this.#secretOf(this.#found(id))
  }

  update(
    id: string,
    { etag, versionAliases, annotations }: { etag?: string; versionAliases?: Record<string, string>; annotations?: Record<string, string> },
    paths: readonly string[],
  ): object {
    const secret = this.#found(id)
    if (paths.length === 0) throw new GrpcStatus(3, 'Field [update_mask] is required.')
    if (etag !== undefined && etag !== '' && etag !== secret.etag) throw staleEtag()
    if (paths.includes('version_aliases')) {
      for (const [alias, number] of Object.entries(versionAliases ?? {})) {
        if (!/^[a-zA-Z][\w-]{0,62}$/.test(alias) || alias === 'latest') throw new GrpcStatus(3, `The alias ${alias} has a wrong form.`)
        if (!secret.versions.some(version => String(version.number) === String(number)))
          throw new GrpcStatus(3, `The alias ${alias} names no version.`)
      }
      secret.aliases = { ...versionAliases }
    }
    if (paths.includes('annotations')) {
      const bytes = Object.entries(annotations ?? {}).reduce(
        (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
        0,
      )
      if (bytes >= 16_384) throw new GrpcStatus(3, 'The annotations are larger than 16 KiB.')
      secret.annotations = { ...annotations }
    }
    secret.etag = newEtag()
    return this.#secretOf(secret)
  }

  delete(id: string, etag: string): object {
    const secret = this.#found(id)
    if (etag !== '' && etag !== secret.etag) throw staleEtag()
    this.#secrets.delete(id)
    return {}
  }

  list(pageSize: number, pageToken: string): object {
    const ids = [...this.#secrets.keys()].sort()
    const { items, nextPageToken } = paged(ids, pageSize, pageToken)
    return { secrets: items.map(id => this.#secretOf(this.#found(id))), nextPageToken, totalSize: ids.length }
  }

  listVersions(id: string, pageSize: number, pageToken: string): object {
    const secret = this.#found(id)
    // newest first
    const numbers = [...secret.versions].reverse().map(version => String(version.number))
    const { items, nextPageToken } = paged(numbers, pageSize, pageToken)
    return { versions: items.map(number => this.get(id, number)), nextPageToken, totalSize: numbers.length }
  }

  has(id: string): boolean {
    return this.#secrets.has(id)
  }

  /** How a secret was made. */
  replicationOf(id: string): unknown {
    return this.#found(id).replication
  }

  /** `version_destroy_ttl`. */
  delayDestruction(id: string, ms: number): void {
    this.#found(id).destroyTtlMs = ms
  }

  /** Adds a version as another client would: the secret is made where it is absent. */
  put(id: string, data: string | Uint8Array): void {
    if (!this.has(id)) this.create(id, this.isRegional ? undefined : { automatic: {} })
    this.add(id, { data: Buffer.from(data) })
  }

  /** As `put`, and lets an alias name it, as another client would. */
  putAs(alias: string, id: string, data: string | Uint8Array): void {
    this.put(id, data)
    const secret = this.#found(id)
    this.update(id, { versionAliases: { ...secret.aliases, [alias]: String(secret.versions.at(-1)?.number) } }, ['version_aliases'])
  }

  #found(id: string): Secret {
    const secret = this.#secrets.get(id)
    if (secret === undefined) throw new GrpcStatus(5, `Secret [${this.name}/secrets/${id}] not found.`)
    return secret
  }

  #version(id: string, which: string): { secret: Secret; version: Version } {
    const secret = this.#secrets.get(id)
    const none = () => new GrpcStatus(5, `Secret [${this.name}/secrets/${id}] not found or has no versions.`)
    if (secret === undefined) throw none()
    const version =
      which === 'latest'
        ? secret.versions.at(-1 - Math.min(this.latestIsBehind, Math.max(0, secret.versions.length - 1)))
        : secret.versions.find(each => String(each.number) === (secret.aliases[which] ?? which))
    if (version !== undefined) return { secret, version }
    throw which === 'latest' ? none() : new GrpcStatus(5, `Secret Version [${this.name}/secrets/${id}/versions/${which}] not found.`)
  }

  #inState(secret: Secret, version: Version): GrpcStatus {
    return new GrpcStatus(9, `Secret Version [${this.#nameOf(secret, version)}] is in ${version.state} state.`)
  }

  #nameOf(secret: Secret, version: Version): string {
    return `${this.name}/secrets/${secret.id}/versions/${version.number}`
  }

  #secretOf({ id, createTime, etag, replication, aliases, annotations }: Secret): object {
    return {
      name: `${this.name}/secrets/${id}`,
      createTime: timestamp(createTime),
      etag,
      replication,
      versionAliases: aliases,
      annotations,
    }
  }

  #versionOf(secret: Secret, version: Version): object {
    const { createTime, destroyTime, scheduledDestroyTime, state, etag } = version
    return {
      name: this.#nameOf(secret, version),
      state,
      etag,
      createTime: timestamp(createTime),
      ...(destroyTime === undefined ? {} : { destroyTime: timestamp(destroyTime) }),
      ...(scheduledDestroyTime === undefined ? {} : { scheduledDestroyTime: timestamp(scheduledDestroyTime) }),
      clientSpecifiedPayloadChecksum: true,
    }
  }
}

/** A page and the token of the next: the last item of this one, so that what is added or goes away in between moves nothing. */
function paged(all: readonly string[], pageSize: number, pageToken: string): { items: readonly string[]; nextPageToken: string } {
  if (pageSize < 0) throw new GrpcStatus(3, 'The page size is negative.')
  const size = Math.min(pageSize === 0 ? 25_000 : pageSize, 25_000)
  const last = Buffer.from(pageToken, 'base64url').toString()
  const from = pageToken === '' ? 0 : all.indexOf(last) + 1
  if (pageToken !== '' && from === 0) throw new GrpcStatus(3, 'The page token is invalid.')
  const items = all.slice(from, from + size)
  const nextPageToken = from + size < all.length ? Buffer.from(items.at(-1) ?? '').toString('base64url') : ''
  return { items, nextPageToken }
}

function staleEtag(): GrpcStatus {
  return new GrpcStatus(9, 'The etag provided does not match the current etag of the resource.')
}

/** Etags are quoted texts that mean nothing. */
function newEtag(): string {
  changes += 1
  return `"1600${changes.toString(16).padStart(10, '0')}"`
}

function timestamp(date: Date): object {
  const ms = date.getTime()
  return { seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 }
}
