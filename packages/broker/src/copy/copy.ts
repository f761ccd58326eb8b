import { userInfo } from 'node:os'
import process from 'node:process'
import type { Config } from '@keyturn/config'
import type { Clock, ErrorCode, Random } from '@keyturn/core'
import { systemClock } from '../clock.ts'
import { kinds } from '../compose.ts'
import { pooledRandom } from '../random.ts'
import { type Deployment, openDeployment } from './deployment.ts'
import type { CopyRow } from './move.ts'
import type { OnPause } from './patience.ts'
import { Side } from './side.ts'
import { StoreCopy } from './store-copy.ts'

/** What is copied, and by whom it may be stopped. */
export interface CopyOptions {
  readonly from: { readonly config: Config; readonly store: string }
  /** May be a store of another config, as when the whole deployment moves. */
  readonly to: { readonly config: Config; readonly store: string }
  /** Names, or prefixes that end in a slash; left out: everything. */
  readonly only?: readonly string[]
  /** Whether older versions go along. */
  readonly versions: boolean
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly onPause?: (store: string, ms: number, code: ErrorCode) => void
  readonly clock?: Clock
  readonly random?: Random
}

/** What is to be done, before anything is. */
export interface CopyPlan {
  readonly rows: readonly CopyRow[]
  /** What holds for all rows. */
  readonly notes: readonly string[]
}

/** What became of one secret. */
export interface CopyResult {
  readonly name: string
  readonly from: string
  readonly to: string
  /** `same`: nothing had to be done. `differs`: what was read back is not what is here. */
  readonly result: 'copied' | 'same' | 'failed' | 'verified' | 'differs'
  /** The version that is current at the new place. */
  readonly version: string | null
  readonly why: string | null
  readonly code: ErrorCode | null
}

/** A copy between two stores. Nothing of it is kept anywhere: what is done is seen by looking, so that a run which ended early is gone on with by another. */
export interface Copying {
  /** Reads both stores and says what a run would do. `not_found` for a name of `only` that is not there; errors of a store that cannot be asked at all. */
  plan(onLook?: (done: number, of: number) => void): Promise<CopyPlan>
  /** Does what the plan says, and tells of each secret. What fails is its own affair; what cannot be recorded, or is stopped, ends it all. */
  run(tell: (result: CopyResult) => void): Promise<void>
  /** Reads everything back through new connections, from both stores, and compares. */
  verify(tell: (result: CopyResult) => void): Promise<void>
  /** The files that the accesses are recorded in. */
  readonly audits: readonly string[]
  close(): Promise<void>
}

/** Opens both stores of a copy, and what records it. */
export async function openCopy(options: CopyOptions): Promise<Copying> {
  const { from, to, env, clock = systemClock, random = pooledRandom() } = options
  const setting = { env, clock, random }
  const here = await openDeployment(from.config, setting)
  let there: Deployment | undefined
  try {
    const isOne = to.config.broker.data === from.config.broker.data
    there = isOne ? { ...here, config: to.config } : await openDeployment(to.config, setting)
    const parts = { kinds: await kinds(), ...setting, principal: principal(), requestId: `copy_${random.uuid()}`, signal: options.signal }
    const pausing =
      (store: string): OnPause =>
      (ms, error) =>
        options.onPause?.(store, ms, error.code)
    const sides = {
      from: new Side({ ...parts, deployment: here, store: from.store, onPause: pausing(from.store) }),
      to: new Side({ ...parts, deployment: there, store: to.store, onPause: pausing(to.store) }),
    }
    return new StoreCopy(options, sides, [here.audit, there.audit], there.keys.etag.key)
  } catch (error) {
    if (there !== undefined && there.audit !== here.audit) await there.audit.close()
    await here.audit.close()
    throw error
  }
}

/** Whoever runs a command on this machine. */
export function principal(): string {
  try {
    return `cli:${userInfo().username}`
  } catch {
    // a container may run under an id that has no name
    return `cli:${process.getuid?.() ?? 'unknown'}`
  }
}
