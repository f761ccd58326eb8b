import type { SecretId } from './name.ts'
import type { SecretValue } from './secret-value.ts'

/** Time comes in here; nothing in core reads a clock of its own. */
export interface Clock {
  now(): Date
  /** Runs once after `ms` milliseconds; the answer cancels it. */
  after(ms: number, run: () => void): () => void
}

/** Randomness comes in here. Bytes are cryptographically strong in production, seeded in simulations. */
export interface Random {
  bytes(count: number): Uint8Array
  uuid(): string
}

/** What time zones and cron know; implemented in `config`, because core has no dependencies. */
export interface Calendar {
  /** Whether work may start at `at`: inside one of the windows (none given: always) and in no freeze. `next` is the earliest time it may; null when never. */
  allows(at: Date, rules: CalendarRules): { readonly open: boolean; readonly next: Date | null }
}

/** When work may start. */
export interface CalendarRules {
  readonly windows: readonly Window[]
  readonly freezes: readonly Freeze[]
}

/** Opens at each tick of the cron expression, in its time zone, for some milliseconds of real time. */
export interface Window {
  readonly allow: string
  readonly forMs: number
  readonly timeZone: string
}

/** Whole days in a time zone, `to` the last frozen one; both `YYYY-MM-DD`. */
export interface Freeze {
  readonly from: string
  readonly to: string
  readonly timeZone: string
}

/** What a sealed value is bound to: it opens nowhere else. */
export interface SealSlot {
  readonly secretId: SecretId
  /** The ledger's number of the version, from 1. */
  readonly number: number
  readonly kind: 'pending' | 'previous'
}

/** A value closed for the journal. `wrap` is replaced when a KEK is; `payload` never changes. */
export interface Sealed {
  readonly kekId: string
  readonly payload: Uint8Array
  readonly wrap: Uint8Array
}

/** Closes and opens values of the journal. Errors: `corrupt` (changed or misplaced), `unavailable` (the KEK is not loaded, `detail.kekId`). */
export interface Sealer {
  seal(slot: SealSlot, value: SecretValue): Sealed
  open(slot: SealSlot, sealed: Sealed): SecretValue
}
