import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { Classification, Clock, ErrorCode, Etag, Random, SecretValue, StorePath, VersionId, VersionInfo } from '@keyturn/core'

/** What a memory store can do. Everything follows from these; the rest of the members come and go with `history`. */
export interface MemoryShape {
  /** Keeps every version. Without: one slot that a write overwrites, as a `.env` file has. */
  readonly history: boolean
  /** Needs `history`. */
  readonly stages: boolean
  readonly cas: boolean
  readonly idempotent: boolean
}

/** The shapes that real backends have: everything, Vault's, AWS's, a `.env` file's, and the poorest thinkable. */
export const memoryShapes = {
  full: { history: true, stages: true, cas: true, idempotent: true },
  counted: { history: true, stages: false, cas: true, idempotent: false },
  labelled: { history: true, stages: true, cas: false, idempotent: true },
  slot: { history: false, stages: false, cas: true, idempotent: false },
  bare: { history: false, stages: false, cas: false, idempotent: false },
} as const satisfies Record<string, MemoryShape>

/** The raw error of a memory store, as an SDK would throw it. */
export class MemoryError extends Error {
  override readonly name = 'MemoryError'
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, retryAfterMs?: number) {
    super(message)
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}

/** Names a raw error of a memory store. */
export function classifyMemory(error: unknown): Classification {
  if (!(error instanceof MemoryError)) return { code: 'internal' }
  return error.retryAfterMs === undefined ? { code: error.code } : { code: error.code, retryAfterMs: error.retryAfterMs }
}

/** A version as the memory backend holds it. */
export interface MemoryVersion {
  readonly id: VersionId
  readonly order: number
  readonly createdAt: Date
  readonly idempotencyKey: string
  /** Gone once destroyed. */
  value: SecretValue | undefined
  disabled: boolean
  /** Whether it ever was current: what never was is pending. */
  promoted: boolean
}

/** One secret of a backend: its versions, oldest first, and which of them is current. */
export class MemorySecret {
  readonly versions: MemoryVersion[] = []
  current: MemoryVersion | undefined
  previous: MemoryVersion | undefined
  deleted = false
  etag: Etag

  constructor(etag: Etag) {
    this.etag = etag
  }

  info(version: MemoryVersion): VersionInfo {
    return { version: version.id, state: this.#state(version), createdAt: version.createdAt, etag: this.etag, order: version.order }
  }

  find(id: VersionId): MemoryVersion | undefined {
    return this.versions.find(version => version.id === id)
  }

  #state(version: MemoryVersion): VersionInfo['state'] {
    if (version.value === undefined) return 'destroyed'
    if (version.disabled) return 'disabled'
    if (version === this.current) return 'current'
    if (version === this.previous) return 'previous'
    return version.promoted ? 'older' : 'pending'
  }
}

/** What outlives the process: every adapter opened on one backend sees the same secrets. Ids and etags repeat with the seed of `random`. */
export class MemoryBackend {
  readonly shape: MemoryShape
  readonly secrets = new Map<StorePath, MemorySecret>()
  /** Every version ever made, for tests that count: a slot forgets what it overwrites. */
  readonly made: { readonly path: StorePath; readonly version: VersionId; readonly idempotencyKey: string }[] = []
  /** Set: every call fails with it. */
  fault: Error | undefined
  readonly #clock: Clock
  readonly #random: Random
  readonly #key: KeyObject
  readonly #watchers = new Set<(path: StorePath, info: VersionInfo) => void>()
  #order = 0

  constructor(shape: MemoryShape, ports: { readonly clock: Clock; readonly random: Random }) {
    this.shape = shape
    this.#clock = ports.clock
    this.#random = ports.random
    this.#key = createSecretKey(ports.random.bytes(32))
  }

  /** A secret that may be read: there, and not deleted. */
  live(path: StorePath): MemorySecret | undefined {
    const secret = this.secrets.get(path)
    return secret === undefined || secret.deleted ? undefined : secret
  }

  add(path: StorePath, value: SecretValue, idempotencyKey: string): { secret: MemorySecret; version: MemoryVersion } {
    const secret = this.secrets.get(path) ?? new MemorySecret(this.#etag(path, value))
    this.secrets.set(path, secret)
    this.#order += 1
    const id = this.shape.history ? String(this.#order) : this.#fingerprint(path, value).slice(0, 16)
    const version: MemoryVersion = {
      id: id as VersionId,
      order: this.#order,
      createdAt: this.#clock.now(),
      idempotencyKey,
      value,
      disabled: false,
      promoted: false,
    }
    if (!this.shape.history) secret.versions.length = 0
    secret.versions.push(version)
    this.made.push({ path, version: version.id, idempotencyKey })
    return { secret, version }
  }

  makeCurrent(path: StorePath, secret: MemorySecret, version: MemoryVersion): void {
    secret.previous = this.shape.history ? secret.current : undefined
    secret.current = version
    secret.deleted = false
    version.promoted = true
    // a version without a value is never made current, so there is one to take the etag of
    if (version.value !== undefined) secret.etag = this.#etag(path, version.value)
    for (const watcher of this.#watchers) watcher(path, secret.info(version))
  }

  watch(watcher: (path: StorePath, info: VersionInfo) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #etag(path: StorePath, value: SecretValue): Etag {
    return (this.shape.history ? this.#random.uuid() : this.#fingerprint(path, value)) as Etag
  }

  #fingerprint(path: StorePath, value: SecretValue): string {
    return createHmac('sha256', this.#key).update(`${path}\0`).update(value.encode()).digest('hex')
  }
}
