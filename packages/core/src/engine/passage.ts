import { createHash } from 'node:crypto'
import { bounded } from '../deadline.ts'
import { BrokerError } from '../error.ts'
import type { Act, IssuerAdapter, Probe } from '../issuer-adapter.ts'
import type { StorePath } from '../name.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Store } from '../store.ts'
import type { SecretVersion } from '../store-adapter.ts'
import type { Change, Lease, LedgerVersion } from './journal.ts'
import type { Delivery, EngineLimits, EnginePorts } from './ports.ts'
import type { Rotation } from './rotation.ts'
import { type StrategyTraits, strategyTraits } from './strategy.ts'
import type { Target } from './target.ts'

/** What a step answers: what to record, and whether to stop there. */
export interface Move {
  readonly change: Change
  /** Present: give the lease back and look again then; null: when a person has acted. Absent: go on at once. */
  readonly rest?: { readonly wakeAt: Date | null }
}

/** What it means that no answer came: nothing happened, or it may have. */
type Unanswered = 'unavailable' | 'outcome_unknown'

/** A lease as a worker has it. */
export interface Held {
  readonly lease: Lease
  /** When it was asked for, in milliseconds, by the worker's own clock: it runs from some moment after. */
  readonly leasedAt: number
}

/** The intents of a rotation that each reach the store at most once. */
type Intent = 'stage' | 'complete' | 'promote' | 'rollback'

/**
 * One rotation under a lease, for as long as this worker takes it along: what its steps read and whom they call. Calls outside
 * go through here, so that each has its deadline, its name in errors, and a lease that outlives it.
 */
export class Passage {
  readonly ports: EnginePorts
  readonly target: Target
  readonly limits: EngineLimits
  #lease: Lease
  #leasedAt: number
  /** When the ledger's last word came. */
  #heardAt: number
  #abandoned: boolean
  #roused = false

  constructor(ports: EnginePorts, limits: EngineLimits, held: Held, target: Target) {
    this.ports = ports
    this.limits = limits
    this.target = target
    this.#lease = held.lease
    this.#leasedAt = held.leasedAt
    this.#heardAt = ports.clock.now().getTime()
    this.#abandoned = held.lease.abandoned
  }

  get rotation(): Rotation {
    return this.#lease.rotation
  }

  /** The ledger's clock at the last commit. */
  get now(): Date {
    return this.#lease.now
  }

  /** The ledger's clock now: its last word, and what has passed here since. */
  get at(): Date {
    return new Date(this.now.getTime() + Math.max(0, this.ports.clock.now().getTime() - this.#heardAt))
  }

  get traits(): StrategyTraits {
    return strategyTraits[this.rotation.strategy]
  }

  /** Whether an earlier holder died in this state: its last call may have reached the target. True until the next step is recorded. */
  get abandoned(): boolean {
    return this.#abandoned
  }

  /** Whether a person acted while this step waited for somebody outside: it must not go to rest over that. */
  get roused(): boolean {
    return this.#roused
  }

  /** Commits what a step changed. Throws when the lease is lost: nothing may be done after that. */
  async record(change: Change): Promise<void> {
    // the lease runs from the commit, and whoever was stopped before the answer reached it must not take it for new
    const asked = this.ports.clock.now().getTime()
    this.#lease = await this.ports.journal.record(this.#lease, change)
    this.#leasedAt = asked
    this.#heardAt = this.ports.clock.now().getTime()
    this.#abandoned = false
    this.#roused = false
  }

  reserve(): Promise<number> {
    return this.ports.journal.reserve(this.#lease)
  }

  /** The base version's value, as it was read before anything was touched. */
  async baseValue(): Promise<SecretValue | null> {
    const { base } = this.rotation
    return base === null ? null : this.#open(base.number)
  }

  /** The value that this rotation makes. */
  async pendingValue(): Promise<SecretValue> {
    const { number } = this.rotation
    if (number === null)
      throw new BrokerError('internal', `rotation ${this.rotation.id} has no pending value in state ${this.rotation.state}`)
    return this.#open(number)
  }

  /** A kept value of another version; null when the journal holds it no longer. */
  async keptValue(version: LedgerVersion): Promise<SecretValue | null> {
    const { secretId, number, sealed, sealedAs } = version
    return sealed === null || sealedAs === null ? null : this.ports.sealer.open({ secretId, number, kind: sealedAs }, sealed)
  }

  versions(): Promise<readonly LedgerVersion[]> {
    return this.ports.journal.versions(this.rotation.secretId)
  }

  /** Whatever it is sealed as: a later write through the broker keeps what this rotation made as previous. */
  async #open(number: number): Promise<SecretValue> {
    const version = (await this.versions()).find(row => row.number === number)
    const value = version === undefined ? null : await this.keptValue(version)
    if (value === null) throw new BrokerError('corrupt', `the journal has no sealed value for version ${number} of ${this.rotation.secret}`)
    return value
  }

  seal(number: number, kind: 'pending' | 'previous', value: SecretValue) {
    return { sealed: this.ports.sealer.seal({ secretId: this.rotation.secretId, number, kind }, value), sealedAs: kind }
  }

  /** The store's current version; null when the secret is not there. */
  async current(): Promise<SecretVersion | null> {
    try {
      return await this.inStore((store, path) => store.read(path))
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'not_found') return null
      throw error
    }
  }

  /** A call to the store, under a lease that outlives it. */
  inStore<T>(run: (store: Store, path: StorePath) => Promise<T>): Promise<T> {
    return this.#hold(() => run(this.target.store, this.target.path))
  }

  /** One UUID for each intent of this rotation, the same for every attempt (RFC 9562, version 8). */
  intentKey(intent: Intent): string {
    const hash = createHash('sha256')
      .update(`${this.rotation.idempotencyKey}/${intent}/${this.rotation.number ?? 0}`)
      .digest()
    hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80
    hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80
    const hex = hash.toString('hex', 0, 16)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }

  /** The issuer, when this rotation's steps have one to call: a person's rotation touches nothing by itself. */
  get issuer(): IssuerAdapter | null {
    return this.target.issuer
  }

  /** A question to the issuer: no answer means that nothing happened. */
  ask<T>(operation: string, run: (issuer: IssuerAdapter, act: Act) => Promise<T>): Promise<T> {
    return this.#issuerCall(operation, 'unavailable', run)
  }

  /** An effect at the issuer: no answer means that it may have happened. */
  effect<T>(operation: string, run: (issuer: IssuerAdapter, act: Act) => Promise<T>): Promise<T> {
    return this.#issuerCall(operation, 'outcome_unknown', run)
  }

  /** New logins with each candidate; `unknown` throughout when the issuer cannot be asked. */
  async probe(candidates: readonly SecretValue[]): Promise<readonly Probe[]> {
    return this.ask('probe', (issuer, act) => issuer.probe(act, candidates))
  }

  /** The probes that the config adds to the issuer's own. */
  async runProbes(value: SecretValue): Promise<void> {
    const { probes } = this.ports
    if (probes === undefined) return
    await this.#bounded('unavailable', `the probes of ${this.rotation.secret}`, act => probes.verify(act, this.target, value))
  }

  /** Copies kept in step elsewhere; complete when there are none. */
  async publish(): Promise<Delivery> {
    const { publisher } = this.ports
    if (publisher === undefined) return { kind: 'complete' }
    return this.#bounded('unavailable', `publishing ${this.rotation.secret}`, act => publisher.publish(act, this.rotation))
  }

  async #issuerCall<T>(operation: string, unanswered: Unanswered, run: (issuer: IssuerAdapter, act: Act) => Promise<T>): Promise<T> {
    const { issuer } = this
    if (issuer === null) throw new BrokerError('internal', `rotation ${this.rotation.id} has no issuer to ${operation}`)
    const what = `issuer ${issuer.kind}: ${operation} for ${this.rotation.secret}`
    try {
      return await this.#bounded(unanswered, what, act => run(issuer, act))
    } catch (cause) {
      if (cause instanceof BrokerError) throw cause
      const { code, retryAfterMs } = issuer.classify(cause)
      const named = code === 'outcome_unknown' ? unanswered : code
      throw new BrokerError(named, `${what} failed (${named})`, { cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
    }
  }

  async #bounded<T>(unanswered: Unanswered, what: string, run: (act: Act) => Promise<T>): Promise<T> {
    const { issuerTimeoutMs } = this.limits
    const { id, epoch, idempotencyKey } = this.rotation
    return this.#hold(() =>
      bounded(
        this.ports.clock,
        issuerTimeoutMs,
        undefined,
        () => new BrokerError(unanswered, `${what}: no answer within ${issuerTimeoutMs} ms`),
        signal => run({ rotation: id, epoch, idempotencyKey, signal }),
      ),
    )
  }

  /** A call may take its whole deadline, and config sets that of a store: the lease is renewed before it and for as long as it lasts. */
  async #hold<T>(run: () => Promise<T>): Promise<T> {
    const { clock } = this.ports
    const everyMs = this.limits.leaseMs / 3
    if (clock.now().getTime() - this.#leasedAt > everyMs) await this.#renew()
    let over = false
    let renewal: Promise<void> = Promise.resolve()
    let cancel = () => {}
    const watch = () => {
      if (over) return
      cancel = clock.after(everyMs, () => {
        // a lease that is lost meanwhile is found by the next record, before anything else is done
        renewal = this.#renew().then(watch, () => undefined)
      })
    }
    watch()
    try {
      return await run()
    } finally {
      over = true
      cancel()
      await renewal
    }
  }

  async #renew(): Promise<void> {
    const { rotation } = this
    const [abandoned, roused] = [this.#abandoned, this.#roused]
    await this.record({})
    this.#abandoned = abandoned
    this.#roused = roused || rotation.wish !== this.rotation.wish || Number(rotation.wakeAt) !== Number(this.rotation.wakeAt)
  }
}
