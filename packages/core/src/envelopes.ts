import type { ErrorCode } from './error.ts'
import type { SecretId, StorePath } from './name.ts'
import type { Sealed } from './ports.ts'

/** What a sealed value is. A store keeps `text`, `bytes` and `fields`; a ledger `pending`, `previous` and its one `root`. */
export type SealedKind = 'text' | 'bytes' | 'fields' | 'pending' | 'previous' | 'root'

/** A sealed value in its place, as those who keep its key see it. */
export interface EnvelopeRow {
  /** What it is bound to, beside the id of its database. */
  readonly slot: { readonly secretId: SecretId; readonly number: number; readonly kind: SealedKind }
  /** As it was read. In a pass that only re-wraps `payload` is empty: it is not read. */
  readonly sealed: Sealed
}

/**
 * What goes once through every envelope of a database: `rewrap` changes wraps to a KEK and passes over rows that have it already, `reencrypt`
 * changes payload and wrap, `scrub` changes nothing.
 */
export type PassKind = 'rewrap' | 'reencrypt' | 'scrub'

/** A pass by its name: as long as one of this id is not over, it goes on where it was, whoever goes on with it. */
export interface Pass {
  readonly id: string
  readonly kind: PassKind
  /** The KEK that it leads to; null for `scrub`. */
  readonly kekId: string | null
}

/** What became of a row: its new form, `kept` as it is, or why it cannot be opened. */
export type PassOutcome = Sealed | 'kept' | { readonly code: ErrorCode; readonly message: string }

/** How far a pass is. Rows that changed or went away between look and change are `skipped`. Once over, `total` is the sum of the three. */
export interface PassProgress {
  readonly total: number
  readonly done: number
  readonly skipped: number
  readonly failed: number
  readonly over: boolean
}

/** A row that a pass could not open. */
export interface PassFailure {
  readonly slot: EnvelopeRow['slot']
  readonly kekId: string
  readonly code: ErrorCode
  readonly message: string
}

/** A KEK as a database knows it. Counts are kept with every change, never scanned. */
export interface KekUse {
  readonly id: string
  /** Kept for ever, so that an old backup can name the key it needs. */
  readonly fingerprint: string
  /** Wraps that were ever reserved under it. */
  readonly wraps: number
  /** Envelopes that need it, by what they are: `versions` of a store; `pending`, `journal` and `records` of a ledger. */
  readonly needs: Readonly<Record<string, number>>
  /** When the oldest envelope that needs it was made; null when none does, or no time is kept. */
  readonly oldest: Date | null
}

/** A version as a backup takes it: closed, with what is known about it. */
export interface DumpedVersion {
  readonly number: number
  readonly kind: 'text' | 'bytes' | 'fields'
  readonly label: 'current' | 'pending' | 'previous' | null
  readonly disabled: boolean
  readonly createdAt: Date
  /** Null once it is destroyed. */
  readonly sealed: Sealed | null
}

/** A secret of a store with every version that it ever had, oldest first: as they were at one moment. */
export interface DumpedSecret {
  readonly id: SecretId
  readonly path: StorePath
  /** When it was deleted; null: it is there. */
  readonly deletedAt: Date | null
  readonly versions: readonly DumpedVersion[]
}

/**
 * Every sealed value of one database: what a re-wrap, a re-encryption and a scrub go through. Several processes may step one pass at the same
 * time; whatever dies, whenever, no row is changed twice in a pass and the counts are those of what was committed. Errors as in `Sql`.
 */
export interface Envelopes {
  /** The random id that every binding in this database carries. */
  readonly store: string
  /** How it is best gone through: how many steps of a process at a time, and rows in each. Left out: one at a time, of 100 rows. */
  readonly suits?: { readonly lanes: number; readonly rows: number }
  keks(): Promise<readonly KekUse[]>
  /** Forbids new envelopes under a KEK, by the database itself. `conflict` while an envelope needs it (`detail.needs`). Twice is once. */
  retire(kekId: string): Promise<void>
  /** Begins a pass, or finds that it was begun. */
  begin(pass: Pass): Promise<void>
  /**
   * Takes the next rows of a part that nobody else is at, lets `act` say what becomes of each (in their order), and commits that together with
   * the counts and the place. A row that is not what was read any more is skipped. `busy`: others are at all that is left; `over`: nothing is left.
   */
  step(
    id: string,
    options: { readonly rows: number; readonly act: (rows: readonly EnvelopeRow[]) => Promise<readonly PassOutcome[]> },
  ): Promise<'stepped' | 'busy' | 'over'>
  /** Null when no pass of this id was begun here, or it was forgotten. */
  progress(id: string): Promise<PassProgress | null>
  /** What it could not open, in the order of the rows. */
  failures(id: string, limit: number): Promise<readonly PassFailure[]>
  /** Where a secret is, or was before it was deleted; null when none has this id. Present where there are secrets with paths. */
  pathOf?(id: SecretId): Promise<StorePath | null>
  /**
   * What would be lost with a KEK: how many secrets have versions under it, of how many it is the current one, and the paths of some of these.
   * Present where there are secrets with paths.
   */
  losses?(
    kekId: string,
    limit: number,
  ): Promise<{ readonly secrets: number; readonly current: number; readonly paths: readonly StorePath[] }>
  /** Drops what is kept of a pass. */
  forget(id: string): Promise<void>
  /**
   * Every secret, the deleted ones too, each whole and as it was at one moment; two secrets may be of two moments. What is written meanwhile may be
   * in it or not. Lazily: memory holds a few megabytes of it, or one secret. Opens nothing. Present where there are secrets with paths.
   */
  dump?(options: { readonly signal: AbortSignal }): AsyncIterable<DumpedSecret>
}
