import { BrokerError } from '../error.ts'
import { backoffMaxMs, backoffMs } from '../schedule/backoff.ts'
import { abort, restore } from './abort.ts'
import { apply, verify, verifyFailed } from './apply.ts'
import type { Change, Lease } from './journal.ts'
import { type Held, type Move, Passage } from './passage.ts'
import { type EngineLimits, type EnginePorts, engineLimits } from './ports.ts'
import { backUp, generate, preflight, stage } from './prepare.ts'
import { promote, publish } from './promote.ts'
import { endGrace, enterGrace, finish, prove, proveFailed, revoke } from './retire.ts'
import { refuse, rollBack, turnBack } from './rollback.ts'
import { isOver, isPromoted, type Rotation, type RotationId, type RotationState } from './rotation.ts'

type Step = (passage: Passage) => Promise<Move>

/** From each state, the step to the next. */
const steps: Readonly<Record<Exclude<RotationState, 'done' | 'aborted' | 'rolled-back'>, Step>> = {
  queued: preflight,
  preflight: backUp,
  'backed-up': generate,
  generated: stage,
  staged: apply,
  applied: verify,
  verified: promote,
  promoted: publish,
  published: enterGrace,
  grace: endGrace,
  revoking: revoke,
  revoked: prove,
  proven: finish,
  aborting: restore,
  'rolling-back': rollBack,
}

/** Who runs, what, and until when. */
export interface RunOptions {
  /** Who holds the lease, for people who read the ledger. */
  readonly holder: string
  /** Only this rotation, if it is due. */
  readonly rotation?: RotationId
  /** Stops between two durable steps, never inside one. */
  readonly signal?: AbortSignal
}

/**
 * Takes rotations through their states. It owns no state: everything is in the journal, so any engine on any broker goes on
 * where another one died. Each step does at most one thing outside, which is safe to do twice or is looked for before it is done again.
 */
export class RotationEngine {
  readonly #ports: EnginePorts
  readonly #limits: EngineLimits

  constructor(ports: EnginePorts, limits: EngineLimits = engineLimits) {
    this.#ports = ports
    this.#limits = limits
  }

  /**
   * Claims the rotation that has been due longest and takes it as far as it goes now; null when none is due. Errors of the
   * journal are thrown (`conflict`: the lease was lost); every other error is recorded in the rotation.
   */
  async runOne(options: RunOptions): Promise<Rotation | null> {
    const { holder, rotation, signal } = options
    const leasedAt = this.#ports.clock.now().getTime()
    const lease = await this.#ports.journal.claim({
      holder,
      leaseMs: this.#limits.leaseMs,
      ...(rotation === undefined ? {} : { rotation }),
    })
    return lease === null ? null : this.#takeAlong({ lease, leasedAt }, signal)
  }

  async #takeAlong(held: Held, signal: AbortSignal | undefined): Promise<Rotation> {
    const passage = await this.#begin(held)
    if (passage instanceof BrokerError) return this.#giveBack(held.lease, passage)
    for (;;) {
      const move = await this.#step(passage)
      const stop = move.rest !== undefined || signal?.aborted === true
      const refused = await this.#record(passage, stop ? resting(passage, move) : move.change)
      if (stop || refused || isOver(passage.rotation.state)) return passage.rotation
    }
  }

  /** A change that the ledger refuses for what it says is a failure like any other: told to a person, never repeated without end. */
  async #record(passage: Passage, change: Change): Promise<boolean> {
    try {
      await passage.record(change)
      return false
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'internal') throw error
      await passage.record(resting(passage, this.#retry(passage, error)))
      return true
    }
  }

  async #begin(held: Held): Promise<Passage | BrokerError> {
    try {
      return new Passage(this.#ports, this.#limits, held, await this.#ports.target(held.lease.rotation.secret))
    } catch (error) {
      return toBrokerError(error)
    }
  }

  /** The config no longer has this secret, or its store cannot be set up: tried again, never guessed. */
  async #giveBack(lease: Lease, error: BrokerError): Promise<Rotation> {
    const wakeAt = new Date(lease.now.getTime() + backoffMaxMs)
    const { code, message } = error
    const { state, hold: held } = lease.rotation
    const attempts = lease.rotation.attempts + 1
    // what is unclear at the target stays so, whatever becomes of the config
    const unclear = state === 'staged' && lease.abandoned ? ({ kind: 'ambiguous', refused: false } as const) : null
    const hold = held?.kind === 'ambiguous' ? held : (unclear ?? { kind: 'needs-attention' as const, why: message })
    const change = {
      rotation: { hold, wakeAt, attempts, error: { code, message } },
      release: true,
    }
    return (await this.#ports.journal.record(lease, change)).rotation
  }

  async #step(passage: Passage): Promise<Move> {
    const { state, wish } = passage.rotation
    try {
      if (wish === 'abort' && !isPromoted(state) && state !== 'aborting') {
        return abort(new BrokerError('cancelled', 'an operator aborted the rotation'))
      }
      if (wish === 'rollback' && isPromoted(state) && state !== 'rolling-back') return turnBack()
      // states that are over are never claimed
      return await steps[state as keyof typeof steps](passage)
    } catch (error) {
      return this.#failed(passage, toBrokerError(error))
    }
  }

  async #failed(passage: Passage, error: BrokerError): Promise<Move> {
    const { state, attempts, hold } = passage.rotation
    const last = attempts + 1 >= this.#limits.attemptsMax
    try {
      if (state === 'staged' && isUnclear(error))
        return this.#retry(passage, error, { kind: 'ambiguous', refused: error.code === 'invalid_argument' })
      if (state === 'staged' && passage.abandoned && hold?.kind !== 'ambiguous')
        return this.#retry(passage, error, { kind: 'ambiguous', refused: false })
      if (state === 'applied' && error.remedy !== 'retry') {
        const move = last ? await verifyFailed(passage, error) : undefined
        return move ?? this.#retry(passage, error)
      }
      if (state === 'revoked' && error.code === 'precondition_failed' && last) return await proveFailed(passage)
      if (state === 'rolling-back' && error.code === 'conflict') return refuse(error.message)
    } catch (again) {
      return this.#retry(passage, toBrokerError(again))
    }
    const mayAbort = !isPromoted(state) && state !== 'aborting' && error.remedy !== 'retry' && error.code !== 'outcome_unknown'
    return mayAbort ? abort(error) : this.#retry(passage, error)
  }

  /** Tries again after a pause that grows; after too many failures a person is told, and it goes on every 15 minutes. */
  #retry(passage: Passage, error: BrokerError, hold: Rotation['hold'] = null): Move {
    const { rotation, now, ports } = passage
    const attempts = rotation.attempts + 1
    const told = attempts >= this.#limits.attemptsMax
    const pauseMs = told ? backoffMaxMs : Math.max(backoffMs(attempts, ports.random), askedPauseMs(error))
    const wakeAt = new Date(now.getTime() + pauseMs)
    const { code, message } = error
    const needsAttention = { kind: 'needs-attention' as const, why: message }
    // what is unclear stays unclear: attention is drawn by the attempts, and the next step is still to probe
    const kept = hold ?? (rotation.hold?.kind === 'ambiguous' ? rotation.hold : told ? needsAttention : null)
    return {
      change: {
        rotation: { attempts, wakeAt, error: { code, message }, hold: kept },
        events: [{ action: told ? 'rotation.needs-attention' : 'rotation.retrying', outcome: 'failed', version: null, code }],
      },
      rest: { wakeAt },
    }
  }
}

/** What goes into the ledger with a rest. What a person did meanwhile is looked at at once. */
function resting(passage: Passage, { change, rest }: Move): Change {
  const wakeAt = rest === undefined || passage.roused ? passage.now : rest.wakeAt
  return { ...change, rotation: { ...change.rotation, wakeAt }, release: true }
}

/** The pause that the other side asked for, as far as it can be granted: nobody outside decides to be left alone for good. */
function askedPauseMs({ retryAfterMs = 0 }: BrokerError): number {
  return retryAfterMs > 0 ? Math.min(retryAfterMs, backoffMaxMs) : 0
}

/** Whether an error of `apply` leaves open what the target honours now. */
function isUnclear(error: BrokerError): boolean {
  return error.remedy !== 'retry'
}

function toBrokerError(error: unknown): BrokerError {
  return error instanceof BrokerError ? error : new BrokerError('internal', 'an unexpected error inside the engine', { cause: error })
}
