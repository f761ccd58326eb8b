import type { IssuerAdapter } from '../issuer-adapter.ts'
import type { SecretName, StorePath } from '../name.ts'
import type { CalendarRules } from '../ports.ts'
import type { Store } from '../store.ts'

/** What the config says of one secret, as the engine needs it. */
export interface Target {
  readonly store: Store
  readonly path: StorePath
  /** Who honours the credential; null: nobody but its readers. */
  readonly issuer: IssuerAdapter | null
  readonly settings: RotationSettings
}

/** How one secret is rotated. All times in milliseconds. */
export interface RotationSettings {
  readonly type: string
  /** Milliseconds from one promotion to the next due time; null: not scheduled. */
  readonly everyMs: number | null
  readonly graceMs: number
  readonly generate: { readonly bytes: number; readonly encoding: 'base64url' | 'base64' | 'hex' }
  /** The fields that change; null: the value is one unnamed field. */
  readonly renew: readonly string[] | null
  readonly rules: CalendarRules
  /** Of key sets: how long verifiers may cache, so how long a new key is shown before it signs. */
  readonly distributeMs: number
  /** A person must say yes before anything is touched. */
  readonly approval: boolean
}

/** Finds the target of a secret in the config of this moment. `not_found` when no row or store takes the name any more. */
export type FindTarget = (secret: SecretName) => Promise<Target>
