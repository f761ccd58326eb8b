import type { KeyObject } from 'node:crypto'
import type { Envelopes } from './envelopes.ts'
import type { Classification, ErrorCode } from './error.ts'
import type { Etag, StorePath, VersionId } from './name.ts'
import type { Clock, Random } from './ports.ts'
import type { SecretValue } from './secret-value.ts'

/**
 * Where versions of secrets live; one implementation per backend. Adapters throw what their SDK throws: `classify`
 * names it, `Store` wraps it once. A member that is present works; an absent one is the declaration that the backend cannot.
 * The signal in the options ends the call; nothing may be left running behind it.
 */
export interface StoreAdapter {
  /** For logs and errors. Nothing may switch on it. */
  readonly kind: string
  readonly guarantees: Guarantees
  /** The current version, or the one asked for. Only the backend's own "not there" may end as `not_found`. */
  read(path: StorePath, options: ReadOptions): Promise<SecretVersion>
  /** Adds a version and makes it current. */
  write(path: StorePath, value: SecretValue, options: WriteOptions): Promise<VersionInfo>
  /** Every path under a prefix, lazily, in any order, each once. Never fetches a value; a failed page is an error, never a short list. */
  list(prefix: string, options: CallOptions): AsyncIterable<StorePath>
  /** Pure. Why this value cannot be held here whole (binary, empty, field names, bytes as encoded); undefined when it can. */
  refuses(value: SecretValue): string | undefined
  /** Logs in and looks at rights, path and fields; reads a value only where the backend has no other way. */
  examine(path: StorePath | null, options: CallOptions): Promise<readonly Finding[]>
  /** Pure. The default is `internal`, never `not_found`; a cut after the request went out is `outcome_unknown`. */
  classify(error: unknown): Classification
  close(): Promise<void>

  readonly stages?: Stages
  /** Versions of a secret, newest first. Never a value. */
  versions?(path: StorePath, options: CallOptions): AsyncIterable<VersionInfo>
  /** Withholds a version until `enable`. The current version is refused with `precondition_failed`. Twice is once. */
  disable?(path: StorePath, version: VersionId, options: CallOptions): Promise<void>
  enable?(path: StorePath, version: VersionId, options: CallOptions): Promise<void>
  /** Ends a version for good. The current version is refused with `precondition_failed`. Twice is once. */
  destroy?(path: StorePath, version: VersionId, options: CallOptions): Promise<void>
  /** Takes the whole secret away, recoverably where `restore` is present. */
  delete?(path: StorePath, options: WriteOptions): Promise<void>
  restore?(path: StorePath, options: CallOptions): Promise<void>
  /** Every change of the current version from now on, whoever made it, until the signal. */
  watch?(path: StorePath, options: CallOptions): AsyncIterable<VersionInfo>
  /** What it keeps under the broker's KEKs; present when it closes its values itself. */
  readonly envelopes?: Envelopes
}

/** Holds a version that readers of the current one cannot see yet. */
export interface Stages {
  /** Adds a version without making it current. `versions` shows it as `pending`. Always idempotent: a key used again answers with the version it made. */
  stage(path: StorePath, value: SecretValue, options: WriteOptions): Promise<VersionInfo>
  /** Moves current. `conflict` when `from` (null: none) is no longer current; already at `to` is success. */
  promote(path: StorePath, move: { readonly from: VersionId | null; readonly to: VersionId }, options: CallOptions): Promise<void>
}

/** Promises that no method can show. */
export interface Guarantees {
  /** `write` and `delete` honour `ifMatch`. */
  readonly cas: boolean
  /** A key used again returns the version it made, or `conflict` if the value differs. */
  readonly idempotent: boolean
  /** The most bytes of a value as this store encodes it. */
  readonly valueBytesMax: number
}

/** What every call carries. */
export interface CallOptions {
  readonly signal: AbortSignal
}

/** Which version; left out: the current one. */
export interface ReadOptions extends CallOptions {
  readonly version?: VersionId
}

/** What makes a write safe to send again, and on what condition it holds. */
export interface WriteOptions extends CallOptions {
  /** A UUID; one per intent, not one per attempt. */
  readonly idempotencyKey: string
  /** The etag last seen; null when the secret must not exist; left out: unconditional. */
  readonly ifMatch?: Etag | null
}

/** What is known of a version without its value. */
export interface VersionInfo {
  readonly version: VersionId
  readonly state: 'current' | 'pending' | 'previous' | 'older' | 'disabled' | 'destroyed'
  readonly createdAt: Date
  /** Changes whenever the current version does. */
  readonly etag: Etag
  /** Grows with every version, where the store numbers them. */
  readonly order?: number
}

/** A version with its value. */
export interface SecretVersion extends VersionInfo {
  readonly value: SecretValue
}

/** One thing that `examine` or a preflight found. `ok: false` needs a hint. Names, never values. */
export interface Finding {
  readonly ok: boolean
  /** What was looked at: `login`, `right to read secret/data/app`, `field api_key`. */
  readonly what: string
  readonly detail?: string
  readonly hint?: string
  /** The names of the fields at a path, where they were told without a value. */
  readonly fields?: readonly string[]
  /** The error behind it, where there is one: it tells unreachable, denied and absent apart. */
  readonly code?: ErrorCode
  /** The login may read here and not write, and this would give it the right: a fault only of a secret that is written here. */
  readonly toWrite?: string
}

/** What a store of any kind may need from the broker when it is opened. */
export interface OpenContext {
  readonly clock: Clock
  readonly random: Random
  /** Keys the ids and etags of stores that have none of their own. */
  readonly etagKey: KeyObject
  /** The broker's data folder, absolute. */
  readonly data: string
  /** Whether a store of Keyturn's own refuses a server that acknowledges a commit before it is on disk. */
  readonly production?: boolean
}
