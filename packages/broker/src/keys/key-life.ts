import { BrokerError, type Clock, type Random } from '@keyturn/core'
import { type EnvelopeSealer, type KekProvider, type Keyring, WrapMeter } from '@keyturn/envelope'
import type { Instance, KekRecord, Ledger } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { named } from '../exchange.ts'
import { DestroyedCopies } from './destroyed-copies.ts'
import { leaveKekCopy } from './kek-copy.ts'
import { LiveKeys } from './live-keys.ts'
import { activeOf, allows, type Promotion, promotion } from './promotion.ts'
import { registered } from './registered.ts'
import { rewrappedRoot, rootRecord } from './root.ts'
import { leaveRootCopy } from './root-copy.ts'

const beatMs = 15_000
/** While its own KEK is not current yet. */
const waitingMs = 2_000
/** Wraps that are reserved before a KEK closes anything: a root secret, and what comes with it. */
const reserved = 2

/** What the life of the keys in a broker takes. */
export interface KeyLifeParts {
  readonly provider: KekProvider
  readonly ledger: Pick<Ledger, 'id' | 'keks' | 'instances' | 'sealed'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** The data folder. */
  readonly data: string
  /** Whether nobody else can be at this ledger: its lock says so. */
  readonly alone: boolean
  readonly version: string
}

/** What a broker does about its keys beside closing values with them. */
export interface LifeEvents {
  /** A KEK closes new values from now on, by this broker's doing. */
  promoted(to: string, from: string | null): Promise<void>
  /** KEKs came or went here. */
  changed(): void
  /** After each heartbeat. */
  beat(): void
}

/**
 * The keys of a running broker: noted in the register, told to the other brokers by heartbeats, and exchanged when all are ready for it. One thing
 * happens at a time.
 */
export class KeyLife {
  /** This process, among the brokers of its ledger. */
  readonly id: string
  readonly keyring: Keyring
  readonly keys: LiveKeys
  /** Destroyed KEKs that its provider holds all the same; tried again at each heartbeat. */
  readonly copies: DestroyedCopies
  readonly meter: WrapMeter
  readonly #parts: KeyLifeParts
  #sealer: EnvelopeSealer | null = null
  #events: LifeEvents | null = null
  #records: readonly KekRecord[] = []
  /** What was promoted before anybody could be told. */
  #untold: { readonly to: string; readonly from: string | null } | null = null
  #live: readonly Instance[] = []
  #turn: Promise<unknown> = Promise.resolve()
  #cancel: () => void = () => undefined
  #stopped = false

  private constructor(parts: KeyLifeParts, keys: LiveKeys, copies: DestroyedCopies) {
    this.id = `broker_${Buffer.from(parts.random.bytes(6)).toString('hex')}`
    this.#parts = parts
    this.keys = keys
    this.copies = copies
    this.keyring = keys.keyring
    this.meter = new WrapMeter({ add: (id, count) => parts.ledger.keks.reserve(id, count) })
  }

  /** Loads the keys, and takes into use what the deployment uses. Errors as in `registered`, and of the ledger. */
  static async open(parts: KeyLifeParts): Promise<KeyLife> {
    const { ledger, provider, clock, log } = parts
    let keyring: Keyring | null = null
    const inUse = () => keyring?.currentId ?? null
    const copies = new DestroyedCopies(provider, log)
    const destroyed = (ids: readonly string[]) => copies.given(ids)
    const keys = await LiveKeys.open(registered(provider, { keks: ledger.keks, log, inUse, destroyed }), clock)
    keyring = keys.keyring
    const life = new KeyLife(parts, keys, copies)
    const active = activeOf(await ledger.keks.all())
    if (active !== undefined && keyring.has(active.id)) keyring.use(active.id)
    await life.#reserve(keyring.currentId)
    return life
  }

  /**
   * Makes itself known to the other brokers, and promotes the wanted KEK if they let it. The root secret must be there. `precondition_failed`: the
   * KEK that closes new values everywhere else is not loaded here.
   */
  async join(sealer: EnvelopeSealer): Promise<void> {
    this.#sealer = sealer
    const { instances } = this.#parts.ledger
    if (this.#parts.alone) for (const { id } of await instances.live()) await instances.signOff(id)
    await this.#beat()
    const active = activeOf(this.#records)?.id
    if (active === undefined || active === this.keyring.currentId) return
    await instances.signOff(this.id)
    throw new BrokerError('precondition_failed', `KEK ${active} closes new values in this deployment and is not loaded here`, {
      hint: `put KEK ${active} back: the other brokers need it`,
      detail: { kekId: active },
    })
  }

  /** From now on: heartbeats, and whatever the provider tells. */
  start(events: LifeEvents): void {
    const { log } = this.#parts
    this.#events = events
    if (this.#untold !== null) this.#tell(this.#untold).catch((error: unknown) => this.#missed(error))
    this.#untold = null
    this.keys.start({
      changed: () => this.#changed(),
      trouble: ({ code, message: why, hint }) => log.error({ code, why, hint }, 'the keys were not taken over; those before stay'),
      healed: () => log.info('the provider of the keys is well again'),
    })
    this.#later()
  }

  get provider(): KekProvider {
    return this.keys.provider
  }

  /** As the register was at the last heartbeat. */
  get records(): readonly KekRecord[] {
    return this.#records
  }

  /** Those at work on this ledger, as at the last heartbeat. */
  get live(): readonly Instance[] {
    return this.#live
  }

  /** Asks the provider again. Never throws: `keys.health` says what was wrong. */
  async reload(): Promise<void> {
    await this.keys.refresh().catch(() => undefined)
    await this.beat().catch((error: unknown) => this.#missed(error))
  }

  /** A heartbeat now: what changed in the register takes effect. Throws what the ledger does. */
  beat(): Promise<void> {
    const next = this.#turn.then(() => (this.#stopped ? undefined : this.#beat()))
    this.#turn = next.catch(() => undefined)
    return next
  }

  /** Signs off, so that nobody waits for this broker, and lets go of the provider. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel()
    await this.#turn
    await this.#parts.ledger.instances.signOff(this.id).catch((error: unknown) => this.#missed(error))
    await this.keys.close()
  }

  #later(): void {
    if (this.#stopped) return
    const { kind } = promotion(this.#records, this.#live, this.keyring.wanted)
    // between a promotion and the heartbeat that tells of it this broker goes on with the KEK before
    this.#cancel = this.#parts.clock.after(kind === 'waiting' || kind === 'ready' ? waitingMs : beatMs, () => {
      void this.beat()
        .catch((error: unknown) => this.#missed(error))
        .finally(() => this.#later())
    })
  }

  #missed(error: unknown): void {
    this.#parts.log.warn({ code: named(error).code }, 'the heartbeat of this broker was not written')
  }

  #changed(): void {
    const { ids, wanted } = this.keyring
    this.#parts.log.info({ loaded: ids, wanted }, 'the keys changed')
    this.beat().catch((error: unknown) => this.#missed(error))
    this.#events?.changed()
  }

  async #beat(): Promise<void> {
    await this.#look()
    const decision = promotion(this.#records, this.#live, this.keyring.wanted)
    if (decision.kind === 'ready' && (await this.#promote(decision))) await this.#look()
    await this.#leaveCopies()
    this.#events?.beat()
  }

  /** Tells what is held, reads what the others do, and follows them. */
  async #look(): Promise<void> {
    const { ledger, version, alone } = this.#parts
    this.#records = await ledger.keks.all()
    await this.#letGo()
    await this.#follow()
    const { ids: loaded, wanted, currentId: using } = this.keyring
    await ledger.instances.beat({ id: this.id, loaded, wanted, using, version })
    const live = await ledger.instances.live()
    this.#live = alone ? live.filter(({ id }) => id === this.id) : live
    if (this.#lacksMade()) this.keys.refresh().catch(() => undefined) // told by its events
  }

  /** Another broker had the provider make a key, which this one may have too. */
  #lacksMade(): boolean {
    const missing = new Set(this.keys.health.missing.map(({ id }) => id))
    return this.#records.some(
      ({ id, state, wrapped }) => wrapped !== null && state !== 'destroyed' && !this.keyring.has(id) && !missing.has(id),
    )
  }

  /** What was destroyed anywhere is gone here too, from the provider as well where it can; whoever asks for it is told. */
  async #letGo(): Promise<void> {
    const { log } = this.#parts
    for (const { id, why } of this.keys.health.missing) {
      const hint = why.hint ?? `bring KEK ${id} back where the keys come from`
      this.keyring.drop(id, new BrokerError('unavailable', `KEK ${id} is not loaded: ${why.message}`, { hint, detail: { kekId: id } }))
    }
    for (const { id, state, stateAt } of this.#records) {
      if (state !== 'destroyed') continue
      const held = this.keyring.has(id)
      const what = `KEK ${id} was destroyed on ${stateAt.toISOString()}: what it closed cannot be recovered`
      this.keyring.drop(id, new BrokerError('precondition_failed', what, { hint: 'write the value anew', detail: { kekId: id } }))
      if (held) {
        log.warn({ kek: id }, 'this KEK was destroyed and is let go of')
        this.#events?.changed()
      }
      await this.copies.destroy(id, held)
    }
  }

  /** What another broker promoted closes new values here too. */
  async #follow(): Promise<void> {
    const active = activeOf(this.#records)?.id
    if (active === undefined || active === this.keyring.currentId) return
    if (!this.keyring.has(active)) {
      this.#parts.log.error({ kek: active }, 'the current KEK is not loaded here: put it back')
      return
    }
    await this.#reserve(active)
    this.keyring.use(active)
    this.#parts.log.info({ kek: active }, 'this KEK closes new values now')
  }

  /** The root first: whoever starts after the promotion needs no KEK but this one. */
  async #promote({ from, to }: Promotion & { readonly kind: 'ready' }): Promise<boolean> {
    const { ledger, log } = this.#parts
    const record = this.#records.find(({ id }) => id === to)
    if (this.#sealer === null || record === undefined || !this.keyring.has(to)) return false
    await this.meter.ready(to, reserved)
    await rewrappedRoot(ledger.sealed, this.#sealer, to)
    if (!(await ledger.keks.promote(to, { from, allows: live => this.#allows(record, live) }))) return false
    this.keyring.use(to)
    log.info({ kek: to, before: from }, 'this KEK closes new values now')
    await this.#tell({ to, from })
    return true
  }

  async #tell(promoted: { readonly to: string; readonly from: string | null }): Promise<void> {
    if (this.#events === null) this.#untold = promoted
    else await this.#events.promoted(promoted.to, promoted.from)
  }

  /** A KEK at the limit of its use closes nothing; it opens, and the broker serves, and takes the next one over. */
  async #reserve(id: string): Promise<void> {
    try {
      await this.meter.ready(id, reserved)
    } catch (error) {
      const { code, message, hint } = named(error)
      if (code !== 'precondition_failed') throw error
      this.#parts.log.error({ kek: id, hint }, message)
    }
  }

  #allows(record: KekRecord, live: readonly Instance[]): boolean {
    return allows(record, this.#parts.alone ? live.filter(({ id }) => id === this.id) : live)
  }

  /** Whoever works beside a running broker, as `audit verify` does, needs the root as it is closed now. */
  async #leaveCopies(): Promise<void> {
    const { ledger, data } = this.#parts
    const root = await ledger.sealed.get(rootRecord)
    if (root !== null) leaveRootCopy(data, { ledger: ledger.id, sealed: root })
    leaveKekCopy(data, { ledger: ledger.id, current: this.keyring.currentId, keks: this.#records })
  }
}
