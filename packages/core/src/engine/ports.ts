import type { Act } from '../issuer-adapter.ts'
import type { Calendar, Clock, Random, Sealer } from '../ports.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Journal } from './journal.ts'
import type { Rotation } from './rotation.ts'
import type { FindTarget, Target } from './target.ts'

/** The world as the engine sees it. Everything it does outside itself goes through one of these. */
export interface EnginePorts {
  readonly clock: Clock
  readonly random: Random
  readonly calendar: Calendar
  readonly journal: Journal
  readonly sealer: Sealer
  readonly target: FindTarget
  /** Probes of the config's `verify`, beside the issuer's own. */
  readonly probes?: { verify(act: Act, target: Target, value: SecretValue): Promise<void> }
  /** Copies kept in step elsewhere. */
  readonly publisher?: { publish(act: Act, rotation: Rotation): Promise<Delivery> }
  /** Who still uses a version older than this one, by name. */
  readonly consumers?: { behind(rotation: Rotation): Promise<readonly string[]> }
}

/** How far a version has come on its way to its copies. */
export type Delivery = { readonly kind: 'complete' } | { readonly kind: 'degraded'; readonly reached: number; readonly of: number }

/** The bounds of an engine. All times in milliseconds. */
export interface EngineLimits {
  /** How long a claim holds without a sign of life. */
  readonly leaseMs: number
  /** The longest a call to an issuer may take. */
  readonly issuerTimeoutMs: number
  /** Failures in a row after which a person is told. */
  readonly attemptsMax: number
  /** Values that a target may refuse before the rotation is given up. */
  readonly quarantineMax: number
}

/** What a broker uses. */
export const engineLimits: EngineLimits = { leaseMs: 60_000, issuerTimeoutMs: 30_000, attemptsMax: 6, quarantineMax: 3 }
