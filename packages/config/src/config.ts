import type { CalendarRules, SecretName, SecretType, StorePath, Strategy } from '@keyturn/core'
import type { Policy, PolicySource, PolicyTest, Position } from '@keyturn/policy'
import type { z } from 'zod'
import type { Complaint } from './complaint.ts'
import type { ListenAddress } from './leaves.ts'
import type { accessSchema } from './schema/access.ts'
import type { Allowance, BackedUpAct, keysSchema } from './schema/broker.ts'
import type { publishSchema } from './schema/publish.ts'
import type { groupSchema } from './schema/rotation.ts'
import type { generateSchema, SecretRow } from './schema/secret-row.ts'
import type { alertsSchema, auditSchema, metricsSchema } from './schema/watching.ts'

/** A whole config, checked. Every path in it is absolute; every duration is in milliseconds. */
export interface Config {
  /** The files it was read from, as they were named, the first one first. */
  readonly files: readonly string[]
  readonly environment: string | null
  readonly broker: BrokerSettings
  readonly stores: ReadonlyMap<string, StoreSection>
  /** Every secret that has an entry or a row, by name, sorted. */
  readonly secrets: ReadonlyMap<SecretName, SecretConfig>
  /** Any name: the one in `secrets`, else what the longest `under` or a store of everything makes of it; undefined when no store takes it. */
  readonly find: (name: SecretName) => SecretConfig | undefined
  readonly prefixes: readonly PrefixEntry[]
  readonly issuers: ReadonlyMap<string, IssuerSection>
  readonly rotation: RotationConfig
  readonly publish: readonly z.output<typeof publishSchema>[]
  readonly access: AccessConfig
  readonly audit: z.output<typeof auditSchema> & { readonly file: string }
  readonly alerts: z.output<typeof alertsSchema>
  readonly metrics: z.output<typeof metricsSchema>
  readonly warnings: readonly Complaint[]
}

/** The section `broker`, with what the environment and the defaults add. */
export interface BrokerSettings {
  readonly listen: ListenAddress
  /** The folder of ledger, audit file and keys. */
  readonly data: string
  /** postgres://...; null: embedded in `data`. */
  readonly ledger: string | null
  readonly keys: z.output<typeof keysSchema>
  /** Where sealed bundles go, how long they are kept, and what begins only after one. */
  readonly backups: { readonly folder: string; readonly keepMs: number; readonly before: readonly BackedUpAct[] }
  readonly limits: { readonly valueBytes: number; readonly bodyBytes: number }
  readonly allow: readonly Allowance[]
}

/** One section that is a store. */
export interface StoreSection {
  readonly name: string
  readonly kind: string
  /** The kind's own options, as its schema made them. */
  readonly options: object
  readonly timeoutMs: number
  readonly ca: string | null
  readonly proxy: string | null
  readonly maxInFlight: number
  readonly at: Position
  /** Takes every name that nobody else does. */
  readonly takesAny: boolean
}

/** One of `issuers`: a target that honours credentials. */
export interface IssuerSection {
  readonly name: string
  readonly kind: string
  /** Null where this build has no such kind: its keys were not judged. */
  readonly options: object | null
  readonly timeoutMs: number
  readonly ca: string | null
  readonly proxy: string | null
  readonly maxInFlight: number
  readonly at: Position
}

/** Where a secret is kept. */
export interface SecretPlace {
  readonly store: string
  readonly path: StorePath
  /** The fields that entries name; null: all there are. */
  readonly fields: readonly string[] | null
  /** `fields`: named ones; `text`: one unnamed; `json`: the members of its JSON; `stored`: as it was first written. */
  readonly format: 'fields' | 'text' | 'json' | 'stored'
}

/** Everything of a store below a prefix, listed lazily. */
export interface PrefixEntry {
  readonly store: string
  /** The store's prefix. */
  readonly under: string
  /** The broker's prefix; empty or ending in a slash. */
  readonly name: string
  readonly format: SecretPlace['format']
  readonly at: Position
}

/** A figure and where it comes from. */
export interface Figure {
  readonly ms: number
  readonly source: FigureSource
  /** Where it stands; null for the environment and the defaults. */
  readonly at: Position | null
}

/** From the nearest to the farthest; `strategy`: one without a grace keeps none. */
export type FigureSource = 'row' | `rotation.types.${SecretType}` | 'rotation' | 'SECRET_ROTATION_INTERVAL_DAYS' | 'strategy' | 'default'

/** One secret with everything the config says of it. */
export interface SecretConfig {
  readonly name: SecretName
  readonly type: SecretType
  /** Whether a row of `secrets` names it. */
  readonly row: boolean
  readonly owner: string | null
  readonly labels: Readonly<Record<string, string>>
  /** Null: it is never rotated here. */
  readonly strategy: Strategy | null
  readonly strategySource: 'row' | 'default'
  /** False where this build lacks the strategy or the issuer: never touched. */
  readonly built: boolean
  readonly issuer: string | null
  /** Null: not scheduled. */
  readonly every: Figure | null
  readonly grace: Figure
  readonly rules: CalendarRules
  /** In the order of `from`; empty for a derived or managed secret that no store takes. */
  readonly places: readonly SecretPlace[]
  readonly generate: z.output<typeof generateSchema>
  /** The fields that change; null: the value is one unnamed field, or all that is known is what the store has. */
  readonly renew: readonly string[] | null
  readonly cacheMs: number
  readonly maxStaleMs: number | null
  readonly failClosed: boolean
  /** How long a new key of a key set is shown before it is used. */
  readonly distributeMs: number
  readonly approval: boolean
  readonly runbook: string | null
  readonly verify: NonNullable<SecretRow['verify']>
  readonly consumers: NonNullable<SecretRow['consumers']>
  readonly derive: { readonly template: string; readonly of: SecretName } | null
  readonly managed: string | null
  /** Made at start when no version of it exists. */
  readonly makeAtStart: boolean
  /** The row, else the entry. */
  readonly at: Position
}

/** The section `rotation`, with what the environment and the defaults add. */
export interface RotationConfig {
  readonly every: Figure
  readonly grace: Figure
  readonly groups: ReadonlyMap<string, z.output<typeof groupSchema>>
  readonly freezes: CalendarRules['freezes']
  /** The longest pause of the worker. */
  readonly scanMs: number
  /** From what age a KEK is due. */
  readonly kekThresholdMs: number
}

/** The section `access`: how callers come in, and what they may. */
export interface AccessConfig {
  readonly authentication: NonNullable<z.output<typeof accessSchema>['authentication']>
  /** Roles, bindings and tests, as the policy reads them, with their places: to be joined with those of other files. */
  readonly source: PolicySource
  /** The same, compiled. */
  readonly policy: Policy
  readonly tests: readonly PolicyTest[]
  /** Files in HCL, absolute, `*` not yet expanded. */
  readonly policies: readonly string[]
}
