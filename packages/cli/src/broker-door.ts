import type { KeyObject } from 'node:crypto'
import type { Config, Kinds } from '@keyturn/config'
import { BrokerError, type ErrorCode, type Finding } from '@keyturn/core'

/**
 * What the commands that work on the broker's own files need of `@keyturn/broker`. It is loaded only by them: a command that
 * talks to a running broker must not wait for it. A member that is not there makes its command `unsupported`.
 */
export interface BrokerDoor {
  /** What this build can do, as `loadConfig` asks for it. No SDK is loaded. */
  kinds(): Promise<Kinds>
  /** Starts the broker and its worker. Throws `ConfigError` and `BrokerError`. */
  serve(options: {
    readonly config: string
    readonly cwd: string
    readonly env: NodeJS.ProcessEnv
    readonly version: string
  }): Promise<Running>
  /** Logs in to the stores and looks at them, without a running broker; one store or one secret where `only` says so. */
  examineStores?(config: Config, only: ExamineOnly): Promise<readonly Examined[]>
  /** Ledger, KEKs, audit and clock of a broker that is not running. */
  examineBroker?(config: Config, env: NodeJS.ProcessEnv): Promise<readonly NamedFinding[]>
  /** Makes a token in the ledger itself. `conflict` while a broker holds an embedded ledger. */
  makeOfflineToken?(config: Config, token: OfflineToken, env: NodeJS.ProcessEnv): Promise<MadeToken>
  /** Finds the keys of the audit chain by their id; also while a broker runs. */
  auditKeys?(config: Config, env: NodeJS.ProcessEnv): Promise<(id: string) => KeyObject | undefined>
}

/** A broker that answers. */
export interface Running {
  readonly address: string
  readonly config: Config
  /** Where the first admin token was left. */
  readonly tokenFile: string
  stop(): Promise<void>
}

export interface ExamineOnly {
  readonly store?: string
  readonly secret?: string
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
}

/** A finding with the one word for what is wrong, or the error behind it, which gives that word. */
export type NamedFinding = Finding & { readonly name?: string; readonly code?: ErrorCode }

export interface Examined {
  readonly store: string
  readonly kind: string
  /** Null: the store itself. */
  readonly secret: string | null
  readonly findings: readonly NamedFinding[]
}

export interface OfflineToken {
  readonly role: string
  /** Seconds. */
  readonly ttl: number
  readonly name?: string
}

export interface MadeToken {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly token: string
  readonly expires_at: string | null
}

/** Loads the broker. `unsupported` when this install has none. */
export async function openDoor(): Promise<BrokerDoor> {
  try {
    return await import('@keyturn/broker')
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND')) throw cause
    throw new BrokerError('unsupported', 'this install has no broker in it, only the command line', {
      hint: 'install @keyturn/broker beside it',
      cause,
    })
  }
}

/** What a command says when the build lacks what it needs. */
export function notBuilt(what: string): BrokerError {
  return new BrokerError('unsupported', `this build cannot ${what}`)
}
