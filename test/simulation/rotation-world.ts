import {
  BrokerError,
  type Calendar,
  type EnginePorts,
  isOver,
  type LedgerVersion,
  type Rotation,
  RotationEngine,
  type RunOptions,
  SecretValue,
  Store,
  type StoreAdapter,
  type StorePath,
  type Strategy,
  secretName,
  type Target,
} from '@keyturn/core'
import { MemoryLedger, type SecretRow } from '@keyturn/ledger'
import { SimulatedClock } from './clock.ts'
import { Death, type Failure, FaultLine, failures, type Mode } from './faults.ts'
import { plainSealer, valueIn } from './plain-sealer.ts'
import { SeededRandom } from './random.ts'
import { fieldOf, type SimulatedTarget } from './target.ts'
import { Console, KeySet, Leaf, OneUser, TwoKeys, TwoPasswords, TwoUsers } from './targets.ts'

const hourMs = 3_600_000
export const name = secretName('app/credential')

/** What a strategy needs of the world: its target and the fields that it renews. */
export const worlds: Readonly<
  Record<Strategy, { readonly target: (clock: SimulatedClock) => SimulatedTarget | null; readonly renew: readonly string[] | null }>
> = {
  generated: { target: () => null, renew: null },
  'alternating-users': { target: () => new TwoUsers(), renew: ['password'] },
  'dual-password': { target: () => new TwoPasswords(), renew: ['password'] },
  'api-key-pair': { target: () => new TwoKeys(), renew: ['secret'] },
  'single-user': { target: () => new OneUser(), renew: ['password'] },
  'key-set': { target: clock => new KeySet(clock), renew: null },
  tls: { target: () => new Leaf(), renew: ['key'] },
  external: { target: () => new Console(), renew: null },
}

export const storeMethods = ['read', 'write', 'examine', 'versions', 'disable', 'enable', 'destroy']
export const issuerMethods = ['preflight', 'draft', 'mint', 'apply', 'probe', 'verify', 'revoke', 'prove']
export const journalMethods = ['claim', 'record', 'reserve', 'versions', 'revocations', 'undelivered']

const always: Calendar = { allows: () => ({ open: true, next: null }) }

export interface RotationWorldOptions {
  readonly strategy: Strategy
  /** Where the secret is kept in the store. */
  readonly path: StorePath
  /** What is there before the first rotation, where no target says it. */
  readonly first?: SecretValue
  readonly faults?: ReadonlyMap<number, Mode>
  readonly type?: string
  readonly settings?: Partial<Target['settings']>
  readonly ports?: Partial<EnginePorts>
  /** The longest a call to the store may take. */
  readonly storeTimeoutMs?: number
  /** The engine under test; the real one unless a test plants a bug. */
  readonly engine?: (ports: EnginePorts) => { runOne(options: RunOptions): Promise<Rotation | null> }
}

/** One secret, its target, its ledger, a clock that is moved by hand, and the things that must hold at every moment; whose store it is, a subclass says. */
export abstract class RotationWorld {
  readonly clock = new SimulatedClock()
  readonly faults: FaultLine
  readonly ledger: MemoryLedger
  readonly target: SimulatedTarget | null
  readonly settings: Target['settings']
  readonly base: SecretValue
  protected readonly random = new SeededRandom('world')
  readonly #options: RotationWorldOptions
  readonly #audited: string[] = []
  secret!: SecretRow
  /** What went wrong, in the words of the invariant. */
  readonly violations: string[] = []

  constructor(options: RotationWorldOptions) {
    const { strategy } = options
    const { renew, target } = worlds[strategy]
    this.#options = options
    this.faults = new FaultLine(this.clock, options.faults)
    this.ledger = new MemoryLedger(this.clock, this.random)
    this.target = target(this.clock)
    this.base = this.target?.first() ?? options.first ?? SecretValue.text('first')
    this.settings = {
      type: options.type ?? 'generic',
      everyMs: 30 * 24 * hourMs,
      graceMs: strategy === 'single-user' ? 0 : hourMs,
      generate: { bytes: 16, encoding: 'base64url' },
      renew,
      rules: { windows: [], freezes: [] },
      distributeMs: this.target instanceof KeySet ? this.target.cacheMs : 0,
      approval: false,
      ...options.settings,
    }
    if (this.target !== null) this.target.onHonour = value => this.#mustBeSealed(value)
    this.faults.onCall = () => this.#check()
  }

  /** The first version is in the store, and a rotation is queued. */
  async begin(request: Partial<Parameters<MemoryLedger['journal']['open']>[0]> = {}): Promise<Rotation> {
    await this.place(this.base)
    this.secret = await this.ledger.secrets.ensure(name, { type: this.settings.type })
    return this.open(request)
  }

  open(request: Partial<Parameters<MemoryLedger['journal']['open']>[0]> = {}): Promise<Rotation> {
    return this.ledger.journal.open({
      secretId: this.secret.id,
      secret: name,
      strategy: this.#options.strategy,
      trigger: 'schedule',
      mode: 'normal',
      reason: 'scheduled',
      graceOverrideMs: null,
      op: null,
      approved: false,
      ...request,
    })
  }

  /** A broker process: its own engine, its own connections, which end with it. */
  engine(more: Partial<EnginePorts> = {}): { runOne(options: RunOptions): Promise<Rotation | null> } {
    const { path, storeTimeoutMs = 30_000 } = this.#options
    const adapter = this.faults.wrap('store', this.openStore(), storeMethods, this.storeFailure)
    const store = new Store(adapter, { name: adapter.kind, clock: this.clock, timeoutMs: storeTimeoutMs })
    const issuer = this.target === null ? null : this.faults.wrap('issuer', this.target, issuerMethods, failures.issuer)
    const ports: EnginePorts = {
      clock: this.clock,
      random: this.random,
      calendar: always,
      journal: this.faults.wrap('journal', this.ledger.journal, journalMethods, failures.journal),
      sealer: plainSealer,
      target: async () => ({ store, path, issuer, settings: this.settings }),
      ...this.#options.ports,
      ...more,
    }
    return this.#options.engine?.(ports) ?? new RotationEngine(ports)
  }

  /** Lets broker processes live and die until the rotation is over or nothing moves any more; answers with where it ended. */
  async run(rotation: Rotation, until: (now: Rotation) => boolean = now => isOver(now.state)): Promise<Rotation> {
    await this.born()
    let engine = this.engine()
    for (let turn = 0; turn < 300; turn += 1) {
      const before = await this.ledger.journal.rotation(rotation.id)
      if (until(before)) return before
      await this.#people(before)
      await this.#drain()
      try {
        if ((await engine.runOne({ holder: `process ${turn}` })) === null) this.#wait(await this.ledger.journal.rotation(rotation.id))
      } catch (error) {
        if (error instanceof Death) {
          await this.born()
          engine = this.engine()
        } else if (!(error instanceof BrokerError)) throw error
        this.clock.advance(1_000)
      }
    }
    return this.ledger.journal.rotation(rotation.id)
  }

  #wait({ wakeAt }: Rotation): void {
    if (wakeAt !== null && wakeAt > this.clock.now()) this.clock.advanceTo(wakeAt)
    // due and not claimed: a dead process still holds the lease
    else this.clock.advance(61_000)
  }

  /** What a person at the console does when a rotation waits for one. */
  async #people(rotation: Rotation): Promise<void> {
    if (!(this.target instanceof Console) || rotation.hold?.kind !== 'waiting' || rotation.hold.for !== 'person') return
    if (rotation.state === 'backed-up') {
      const value = this.target.create()
      const seal = (number: number) => plainSealer.seal({ secretId: rotation.secretId, number, kind: 'pending' }, value)
      await this.ledger.journal.enter(rotation.id, seal)
      return
    }
    this.target.end(this.current() ?? this.base)
    await this.ledger.journal.wish(rotation.id, 'confirm')
  }

  async #drain(): Promise<void> {
    const rows = await this.ledger.outbox.pending(1_000)
    this.#audited.push(...rows.map(row => `${row.action}${row.code === null ? '' : ` ${row.code}`}`))
    await this.ledger.outbox.delivered(rows.map(row => row.id))
  }

  get audited(): readonly string[] {
    return this.#audited
  }

  async rows(): Promise<readonly LedgerVersion[]> {
    return this.ledger.journal.versions(this.secret.id)
  }

  /** What readers get now. */
  abstract current(): SecretValue | undefined
  /** Distinct versions that the store was ever given, without the first; undefined where it keeps no count. */
  abstract made(): number | undefined
  /** Someone puts a value into the store, past the broker. */
  protected abstract place(value: SecretValue): Promise<void>
  /** The store as the process of this moment opens it. */
  protected abstract openStore(): StoreAdapter
  /** The error that a planted fault of the store is. */
  protected abstract readonly storeFailure: Failure
  /** Before `current` and `made` are asked for. */
  protected async look(): Promise<void> {}
  /** A new process begins, before its engine does. */
  protected async born(): Promise<void> {}

  #sealed: SecretValue[] = []

  /** Write ahead: a target honours nothing that is not on disk. */
  #mustBeSealed(value: SecretValue): void {
    const text = (one: SecretValue) => Buffer.from(one.encode()).toString()
    const known = [...this.#sealed, this.base].some(one => text(one) === text(value))
    if (!known) this.violations.push('write ahead: the target was given a value that the journal does not hold')
  }

  /** What must hold after every single call, whoever died. */
  async #check(): Promise<void> {
    await this.look()
    const rows = await this.ledger.journal.versions(this.secret.id)
    this.#sealed = rows.flatMap(row => (row.sealed === null ? [] : [valueIn(row)]))
    const { target } = this
    const current = this.current()
    if (current === undefined) {
      this.violations.push('no lock-out: the store serves nothing')
      return
    }
    if (target === null) return
    const kept = [current, ...this.#sealed]
    if (!kept.some(value => target.accepts(value))) this.violations.push('no lock-out: no stored credential works')
    const gap = this.#options.strategy === 'single-user'
    if (!gap && !target.accepts(current)) this.violations.push('no lock-out: what readers get does not work')
    for (const row of rows) {
      if (row.label !== 'previous' || row.graceUntil === null || row.graceUntil <= this.clock.now() || row.sealed === null) continue
      if (!target.accepts(valueIn(row))) this.violations.push('promised grace: the previous version ended before its time')
    }
  }

  /** What must hold when a rotation has ended well. */
  async checkDone(rotation: Rotation): Promise<void> {
    const say = (broken: boolean, words: string) => {
      if (broken) this.violations.push(words)
    }
    await this.look()
    const rows = await this.rows()
    const current = rows.filter(row => row.label === 'current')
    const value = this.current()
    say(
      rotation.state !== 'done',
      `ends: the rotation stands at ${rotation.state} ${JSON.stringify(rotation.hold)} ${JSON.stringify(rotation.error)}`,
    )
    const made = this.made()
    say(made !== undefined && made !== 1, `exactly one new version: the store was given ${made}`)
    say(current.length !== 1 || current[0]?.number !== rotation.number, 'labels: the new version is not the one current')
    say(value === undefined || value.equals(this.base), 'promoted: readers still get the old value')
    say(rows.find(row => row.number === rotation.base?.number)?.fate !== 'revoked', 'revoked: the old version is not marked so')
    const revocations = await this.ledger.journal.revocations(rotation.id)
    say(revocations.length !== 1 || revocations[0]?.state !== 'proven', 'proven: the revocation row does not say so')
    say(rotation.outcome.revocation !== 'proven' || rotation.outcome.rotation !== 'ok', `outcome: ${JSON.stringify(rotation.outcome)}`)
    say((await this.ledger.secrets.byName(name))?.nextRotationAt == null, 'schedule: no next due time')
    say(
      rows.some(row => row.sealedAs === 'pending' && row.fate === null && row.sealed !== null),
      'a pending copy was left in the journal',
    )
    for (const step of ['rotation.promoted', 'rotation.published', 'rotation.revoked']) {
      say(!this.#audited.includes(step), `audit: no event ${step}`)
    }
    if (this.target === null || value === undefined) return
    say(!this.target.accepts(value), 'no lock-out: the new value does not work')
    say(this.target.accepts(this.base), 'revoked: the old credential still works')
    say(this.target.others(value).length > 0, `no orphan: ${this.target.others(value).join(', ')} works too`)
  }

  /** The text of what readers get, for messages of tests. */
  text(): string {
    const value = this.current()
    return value === undefined ? '' : fieldOf(value)
  }
}
