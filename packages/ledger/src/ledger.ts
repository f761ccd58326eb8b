import type {
  ErrorCode,
  Journal,
  LedgerVersion,
  OperationId,
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
  schedule(id: SecretId, nextRotationAt: Date | null): Promise<void>
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
export type OperationKind = 'rotate' | 'rollback' | 'rewrap' | 'reencrypt'

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
}

/** The records of the broker itself, closed like values. */
export interface SealedRecords {
  get(name: string): Promise<Sealed | null>
  /** Writes if the record is still what was read (null: absent); `conflict` otherwise. */
  put(name: string, sealed: Sealed, before: Sealed | null): Promise<void>
}

export type { LedgerVersion }
