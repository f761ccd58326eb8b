import type {
  Envelopes,
  ErrorCode,
  Journal,
  LedgerVersion,
  OperationId,
  PassKind,
  Rotation,
  RotationEvent,
  RotationId,
  Sealed,
  SecretId,
  SecretName,
  VersionId,
} from '@keyturn/core'

/**
 * The durable state of a broker. One contract, three implementations: memory (simulation), SQLite (embedded, one process),
 * PostgreSQL (several brokers). Every method is one transaction, durable when it resolves. Errors as in `Journal`.
 */
export interface Ledger {
  /** Random, made with the first migration: what sealed values of this ledger are bound to. */
  readonly id: string
  readonly journal: Journal
  readonly secrets: Secrets
  readonly operations: Operations
  readonly tokens: Tokens
  readonly idempotency: IdempotencyKeys
  readonly outbox: Outbox
  /** Small sealed records by name (the root secret). */
  readonly sealed: SealedRecords
  /** Everything sealed that this ledger keeps: pending and previous values, writes under way, records. */
  readonly envelopes: Envelopes
  readonly keks: Keks
  readonly instances: Instances
  readonly campaigns: Campaigns
  readonly backups: Backups
  /** The ledger's own clock. */
  now(): Promise<Date>
  /** Proves that a commit reaches the disk; `unavailable` when not. */
  check(): Promise<void>
  /** When the worker must next look: the earliest `wakeAt` of a rotation or `nextRotationAt` of a secret; null: nothing ahead. */
  nextDeadline(): Promise<Date | null>
  close(): Promise<void>
}

/** A secret as the ledger knows it. The config's row wins over type and labels. */
export interface SecretRow {
  readonly id: SecretId
  readonly name: SecretName
  readonly type: string | null
  readonly labels: Readonly<Record<string, string>>
  readonly nextRotationAt: Date | null
  /** The open rotation, else the last one. */
  readonly rotation: Rotation | null
}

/** The secrets that the broker knows, and what was written through it. */
export interface Secrets {
  /** Makes the row if it is missing; never changes one that is there. Ids are `sec_` and 26 characters of Crockford's base 32. */
  ensure(name: SecretName, facts?: { readonly type?: string; readonly labels?: Readonly<Record<string, string>> }): Promise<SecretRow>
  byName(name: SecretName): Promise<SecretRow | null>
  byId(id: SecretId): Promise<SecretRow | null>
  /** Sets what a PUT gave; left out: unchanged. */
  describe(id: SecretId, facts: { readonly type?: string; readonly labels?: Readonly<Record<string, string>> }): Promise<void>
  /** With `was`: only where that is its due time still, so that nobody undoes what another one has decided since. */
  schedule(id: SecretId, nextRotationAt: Date | null, was?: Date | null): Promise<void>
  /** Secrets whose `nextRotationAt` has passed and that have no open rotation, longest due first. */
  due(limit: number): Promise<readonly SecretRow[]>
  /** Sorted by name, after a cursor; with the facts that `rotation/status` shows. */
  page(options: { readonly after: SecretName | null; readonly limit: number; readonly open?: boolean }): Promise<readonly SecretRow[]>
  /**
   * Writes down a write through the broker before it reaches the store: the value it supersedes, sealed. `conflict` while a rotation of the
   * secret is before `promoted` (`detail.op`, `detail.rotation`).
   */
  beginWrite(write: PendingWrite): Promise<WriteIntent>
  /** Ends it: what the store made becomes current, the superseded version previous with its grace; or nothing happened (`version: null`). */
  endWrite(
    intent: WriteIntent,
    made: { readonly version: VersionId; readonly graceUntil: Date | null; readonly nextRotationAt: Date | null } | null,
  ): Promise<void>
  /**
   * Drops sealed values that are kept as a backup only: of versions that were revoked, or whose grace ended, before this time. What an
   * open rotation or an encryption key needs stays, and so does everything in quarantine. Answers with how many were dropped.
   */
  forget(before: Date): Promise<number>
  /** Writes that began and never ended (the process died): to be settled by looking at the store. */
  unfinishedWrites(): Promise<readonly WriteIntent[]>
}

/** A write before it reaches the store. */
export interface PendingWrite {
  readonly secretId: SecretId
  readonly idempotencyKey: string
  /** Seals the superseded value under the number it gets; null: there is none. */
  readonly superseded: { readonly version: VersionId; readonly seal: (number: number) => Sealed } | null
  /** Seals the new value, so that a write whose outcome is unknown can be recognised; kept until `endWrite`. */
  readonly next: (number: number) => Sealed
}

/** A write that was noted and has not ended. */
export interface WriteIntent {
  readonly secretId: SecretId
  readonly idempotencyKey: string
  readonly number: number
  readonly superseded: { readonly version: VersionId; readonly number: number } | null
  readonly next: Sealed
}

/** What an operation does to its secrets. */
export type OperationKind = 'rotate' | 'rollback' | PassKind

/** What one request started, with the state of each of its secrets. */
export interface Operation {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly principal: string
  readonly reason: string
  readonly startedAt: Date
  readonly items: readonly OperationItem[]
}

/** One secret of an operation. */
export interface OperationItem {
  readonly secretId: SecretId
  readonly name: SecretName
  /** The rotation it started; null when it could not be started, with the reason in `error`. */
  readonly rotation: Rotation | null
  readonly error: { readonly code: ErrorCode; readonly message: string } | null
}

/** Requests of operators, kept for those who ask how they went. */
export interface Operations {
  create(operation: { readonly kind: OperationKind; readonly principal: string; readonly reason: string }): Promise<OperationId>
  add(
    id: OperationId,
    item: { readonly secretId: SecretId; readonly rotation: RotationId | null; readonly error: OperationItem['error'] },
  ): Promise<void>
  byId(id: OperationId): Promise<Operation | null>
}

/** A static token, without the token. */
export interface TokenRow {
  readonly id: string
  readonly name: string
  readonly role: string
  /** HMAC-SHA-256 of the token; the token itself is nowhere. */
  readonly mac: Uint8Array
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly revokedAt: Date | null
}

/** The static tokens. */
export interface Tokens {
  add(token: Omit<TokenRow, 'revokedAt' | 'createdAt'>): Promise<TokenRow>
  byMac(mac: Uint8Array): Promise<TokenRow | null>
  list(): Promise<readonly TokenRow[]>
  /** Final. `not_found` when there is none. */
  revoke(id: string): Promise<TokenRow>
  /** Grows with every `add` and `revoke` by any broker: what a cache of tokens is checked against. */
  revision(): Promise<number>
}

/** Answers kept for 24 hours by principal, route and key. */
export interface IdempotencyKeys {
  /** Claims the key, or gives back what it answered. The same key with another body, or one whose first request is still running: `conflict`. */
  begin(key: {
    readonly principal: string
    readonly route: string
    readonly key: string
    readonly bodyHash: Uint8Array
  }): Promise<{ readonly status: number; readonly body: string } | null>
  end(
    key: { readonly principal: string; readonly route: string; readonly key: string },
    answer: { readonly status: number; readonly body: string } | null,
  ): Promise<void>
}

/** An event of a rotation on its way to the audit chain. */
export interface OutboxRow extends RotationEvent {
  /** Ordered; the audit record's requestId is `evt_` and this. */
  readonly id: number
  readonly at: Date
  readonly secret: SecretName
  readonly rotation: RotationId
}

/** Events that the audit chain must have, each once. */
export interface Outbox {
  /** Undelivered events, oldest first. */
  pending(limit: number): Promise<readonly OutboxRow[]>
  delivered(ids: readonly number[]): Promise<void>
  /**
   * Gives the oldest to `take`, at most so many, and counts them as delivered when that resolves. Another broker that asks meanwhile waits, and is not
   * given them. May give them again after a failure.
   */
  deliver(limit: number, take: (rows: readonly OutboxRow[]) => Promise<void>): Promise<void>
}

/** The records of the broker itself, closed like values. */
export interface SealedRecords {
  get(name: string): Promise<Sealed | null>
  /** Writes if the record is still what was read (null: absent); `conflict` otherwise. */
  put(name: string, sealed: Sealed, before: Sealed | null): Promise<void>
}

/**
 * The life of a KEK (NIST SP 800-57 part 1 rev. 5, 8): `pre-active` (held, never current), `active` (closes new values), `deactivated` (opens only),
 * `compromised` (opens only, until everything under it is re-encrypted), `retired` (nothing needs it), `destroyed` (gone for good).
 */
export type KekState = 'pre-active' | 'active' | 'deactivated' | 'compromised' | 'retired' | 'destroyed'

/** What is known of a KEK of this deployment, for ever. */
export interface KekRecord {
  readonly id: string
  readonly fingerprint: string
  readonly state: KekState
  readonly metAt: Date
  /** When it first became current; null: never. */
  readonly currentSince: Date | null
  /** When its state last changed. */
  readonly stateAt: Date
  /** Every state that it entered and when, oldest first. */
  readonly changes: readonly { readonly state: KekState; readonly at: Date }[]
  /** The KEK itself as a provider of keys elsewhere closed it (bytes that only that provider opens); null where the operator holds it. */
  readonly wrapped: WrappedKek | null
}

/** A KEK closed by a key that never leaves its provider. */
export interface WrappedKek {
  readonly provider: string
  /** The provider's immutable name and version of its key. */
  readonly key: string
  readonly bytes: Uint8Array
}

/** A KEK as a broker that holds it tells of it. */
export interface MetKek {
  readonly id: string
  readonly fingerprint: string
  /** Left out: what is kept stays as it is. */
  readonly wrapped?: WrappedKek
}

/** The KEKs that this deployment has ever met. */
export interface Keks {
  /** Those that were met, oldest first. */
  all(): Promise<readonly KekRecord[]>
  /**
   * Notes KEKs that a broker holds. `precondition_failed` when one is known by that id with another fingerprint, its fingerprint goes by another id,
   * or it was destroyed; then nothing is noted. A retired one may be held: nothing changes.
   */
  meet(keks: readonly MetKek[]): Promise<void>
  /**
   * Reserves wraps under it and answers the sum ever reserved, by any broker. `not_found` before it was met; `conflict` once it is compromised,
   * retired or destroyed.
   */
  reserve(id: string, count: number): Promise<number>
  /**
   * Makes `to` active and what was active deactivated, if `from` is still what is active and `allows` says so of the live instances. Whether it did;
   * not when `to` is active already. `allows` may run more than once; no heartbeat and no other promotion comes between its answer and the change.
   * `not_found` before `to` was met, `conflict` when it is compromised, retired or destroyed.
   */
  promote(to: string, options: { readonly from: string | null; readonly allows: (live: readonly Instance[]) => boolean }): Promise<boolean>
  /**
   * Moves a KEK on: `deactivated -> compromised | retired`, `pre-active -> retired`, and all but `active -> destroyed`. `conflict` for any other
   * move, and for `retired` while a sealed value of this ledger needs it (`detail.needs`). `not_found` before it was met. `destroyed` drops `wrapped`.
   * Twice is once.
   */
  move(id: string, to: 'compromised' | 'retired' | 'destroyed'): Promise<void>
}

/** A broker that works on this ledger, as its last heartbeat told. */
export interface Instance {
  readonly id: string
  readonly startedAt: Date
  readonly seenAt: Date
  /** The ids of the KEKs that it holds. */
  readonly loaded: readonly string[]
  /** The one that its config calls current. */
  readonly wanted: string
  /** The one that it closes new values with. */
  readonly using: string
  readonly version: string
}

/** Who is at work here. */
export interface Instances {
  /** Notes a heartbeat, by the ledger's clock; the first is when it started. Once it has signed off, it is not heard any more. Forgets who is gone for a day. */
  beat(instance: Omit<Instance, 'startedAt' | 'seenAt'>): Promise<void>
  /** It stops in good order: from now on nobody waits for it. */
  signOff(id: string): Promise<void>
  /** Those whose heartbeat is younger than 60 s and that have not signed off, oldest first. */
  live(): Promise<readonly Instance[]>
}

/** One pass through every envelope of the deployment. */
export interface Campaign {
  /** Its operation; the passes in each database go by this id too. */
  readonly id: OperationId
  readonly kind: PassKind
  /** The KEK that it leads to; null for a scrub. */
  readonly kekId: string | null
  /** `waiting`: for a KEK to become current, or for its backup. `failed`: it ended, and some rows could not be opened. */
  readonly state: 'waiting' | 'running' | 'done' | 'failed' | 'aborted'
  readonly principal: string
  readonly reason: string
  readonly startedAt: Date
  readonly finishedAt: Date | null
  /** What keeps it from going on, or ended it, in words; null: nothing. */
  readonly note: string | null
}

/** The campaigns; at most one of a kind is open at a time. */
export interface Campaigns {
  /**
   * Begins one, or joins the open one of its kind with the same target. An open one with another target ends as `aborted` first. The operation is
   * made in the same transaction.
   */
  open(campaign: Pick<Campaign, 'kind' | 'kekId' | 'principal' | 'reason'> & { readonly state: 'waiting' | 'running' }): Promise<Campaign>
  byId(id: OperationId): Promise<Campaign | null>
  /** Those that are `waiting` or `running`, oldest first. */
  unfinished(): Promise<readonly Campaign[]>
  /** The newest of a kind, open or over. */
  last(kind: PassKind): Promise<Campaign | null>
  /** The newest of a kind that went through everything: `done` or `failed`. */
  lastWhole(kind: PassKind): Promise<Campaign | null>
  /** Moves an open campaign; one that is over stays as it is: false. `not_found` when there is none. */
  move(id: OperationId, to: { readonly state: Campaign['state']; readonly note: string | null }): Promise<boolean>
}

/** A sealed bundle on the disk of a broker. */
export interface BackupRecord {
  /** `bak_` and 26 characters. */
  readonly id: string
  readonly createdAt: Date
  /** Whole path, on the machine of `host`. */
  readonly file: string
  readonly host: string
  readonly reason: string
  readonly bytes: number
  readonly sha256: string
  /** Versions in it. */
  readonly versions: number
  /** How many of them each KEK opens. */
  readonly keks: Readonly<Record<string, number>>
  /** Kept until then; null: until somebody removes it. */
  readonly keepUntil: Date | null
}

/** The bundles that are kept, and which KEKs they need. */
export interface Backups {
  /** `conflict` when the id is taken. */
  add(backup: Omit<BackupRecord, 'createdAt'>): Promise<BackupRecord>
  /** Oldest first. */
  all(): Promise<readonly BackupRecord[]>
  /** After its wraps were renewed. `conflict` when it is not what was read (`before`: its sha256), or gone. */
  renew(id: string, before: string, now: Pick<BackupRecord, 'bytes' | 'sha256' | 'keks'>): Promise<void>
  /** It is gone, or nobody's any more. Twice is once. */
  remove(id: string): Promise<void>
}

export type { LedgerVersion }
