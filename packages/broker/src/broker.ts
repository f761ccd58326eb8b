import type { AuditLog } from '@keyturn/audit'
import type { Config } from '@keyturn/config'
import type { Calendar, Clock, Journal, Random, RotationEngine, Sealer } from '@keyturn/core'
import type { Ledger } from '@keyturn/ledger'
import type { Policy } from '@keyturn/policy'
import type { Logger } from 'pino'
import type { TokenSessions } from './auth/tokens.ts'
import type { Bundles } from './backups/bundles.ts'
import type { Campaigns } from './campaigns/campaigns.ts'
import type { Catalog } from './catalog.ts'
import type { KeyLife } from './keys/key-life.ts'
import type { DerivedKeys } from './keys/root.ts'
import type { SealedPart } from './keys/sealed-parts.ts'
import type { Registry } from './metrics/registry.ts'
import type { HotReads } from './reads/hot-reads.ts'
import type { Materials } from './reads/materials.ts'
import type { Deliveries } from './several/deliveries.ts'
import type { Floors } from './several/floors.ts'
import type { AuditSinks } from './sinks/audit-sinks.ts'
import type { TurnClock } from './turn-clock.ts'
import type { Turns } from './writes/turns.ts'

/** The parts of a running broker, as its routes and its worker hold them. */
export interface Broker {
  /** A new id of a request: unique in this broker's life and between brokers. */
  readonly requestId: () => string
  readonly clock: Clock
  readonly calendar: Calendar
  readonly random: Random
  readonly log: Logger
  readonly ledger: Ledger
  /** The ledger's journal, which also tells `materials` what has changed. */
  readonly journal: Journal
  readonly sealer: Sealer
  readonly audit: Pick<AuditLog, 'append' | 'contains' | 'healthy'>
  readonly keys: DerivedKeys
  /** The KEKs, and this broker among those that share them. */
  readonly life: KeyLife
  /** Every database with sealed rows. */
  readonly parts: readonly SealedPart[]
  readonly campaigns: Campaigns
  /** The backups on this machine. */
  readonly bundles: Bundles
  /** What a monitoring system collects. */
  readonly metrics: Registry
  readonly sessions: TokenSessions
  readonly materials: Materials
  readonly hot: HotReads
  readonly turn: TurnClock
  /** Writes through the broker, one at a time for each name. */
  readonly turns: Turns
  /** What readers of names in several stores are not taken back behind, and what keeps their stores in step. */
  readonly floors: Floors
  readonly deliveries: Deliveries
  readonly policy: Policy
  readonly config: Config
  readonly catalog: Catalog
  readonly engine: RotationEngine
  /** Wakes the worker: something may be due now. */
  readonly wake: () => void
  /** A write of this process has an end that is not known: the worker looks when nobody can be at it any more. */
  readonly settleLater: () => void
  /** When the worker looks again by itself. */
  readonly nextScan: () => Date | null
  /** Whether what closes new values is loaded. */
  readonly kekLoaded: () => boolean
  /** Which stores answered last, by section. */
  readonly storeStates: () => Readonly<Record<string, 'ok' | 'unavailable'>>
  /** How far each audit sink is, and whether it answered last. */
  readonly sinkStates: () => AuditSinks['states']
  /** The version of this build. */
  readonly version: string
}
