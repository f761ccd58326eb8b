import type { Broker } from './broker.ts'
import type { Entry } from './catalog.ts'
import { named } from './exchange.ts'
import { OutboxCarrier } from './outbox.ts'
import { align, openDue, settleWrites } from './schedule.ts'

const slotsMax = 8
/** The shortest pause between two looks: what is overdue and cannot be taken must not keep the processor busy. */
const pauseMinMs = 100
const retryMs = 15_000
/** A little longer than the ledger gives a write before it counts as unfinished. */
const settleLaterMs = 61_000
/** How long a superseded value can be restored after its end: 30 days. */
const backupMs = 30 * 24 * 3_600_000
const forgetEveryMs = 3_600_000

/**
 * Rotates what is due, in the process of the broker. It sleeps until the next deadline of the ledger, `scanMs` at most, or until it is woken.
 * Whatever one item does, the loop goes on; the next look begins where the ledger says.
 */
export class Worker {
  readonly #broker: Broker
  readonly #scanMs: number
  readonly #holder: string
  readonly #carrier: OutboxCarrier
  readonly #stop = new AbortController()
  readonly #slots = new Set<Promise<void>>()
  readonly #besides = new Map<string, Promise<void>>()
  #unaligned: readonly Entry[]
  #alignAgainMs = 0
  /** When writes that could not be settled are looked at again; null: none is known. */
  #settleAgainMs: number | null = null
  #forgetAgainMs = 0
  #tendAgainMs = 0
  #loop: Promise<void> | null = null
  #woken = false
  #rouse: () => void = () => undefined
  #nextScan: Date | null = null

  constructor(broker: Broker, options: { readonly scanMs: number; readonly holder: string }) {
    this.#broker = broker
    this.#scanMs = options.scanMs
    this.#holder = options.holder
    this.#carrier = new OutboxCarrier(broker)
    this.#unaligned = broker.catalog.named().flatMap(name => broker.catalog.find(name) ?? [])
  }

  get nextScan(): Date | null {
    return this.#nextScan
  }

  start(): void {
    if (this.#loop !== null) return
    this.#broker.deliveries.start()
    this.#loop = this.#run()
  }

  /** Something may be due now. */
  wake(): void {
    this.#woken = true
    this.#rouse()
  }

  /** A write has an end that is not known, and nobody may settle it yet. */
  settleLater(): void {
    this.#settleAgainMs = this.#broker.clock.now().getTime() + settleLaterMs
    this.wake()
  }

  /** Lets running rotations come to their next durable step, and takes no new ones. Resolves when all have, or after `withinMs`. */
  async stop(withinMs: number): Promise<void> {
    this.#stop.abort()
    this.#rouse()
    const finished = Promise.all([this.#loop, ...this.#slots, ...this.#besides.values(), this.#broker.deliveries.stop()])
    let cancel: () => void = () => undefined
    const late = new Promise<void>(resolve => {
      cancel = this.#broker.clock.after(withinMs, resolve)
    })
    await Promise.race([finished, late])
    cancel()
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#woken = false
      // a store that hangs must not keep the rest from its deadlines
      if (this.#mustSettle()) this.#beside('settle', () => this.#settle())
      if (this.#mustAlign()) this.#beside('align', () => this.#align())
      await this.#try('due', () => openDue(this.#broker))
      this.#fill()
      await this.#try('outbox', () => this.#carrier.carry())
      this.#beside('forget', () => this.#forget())
      this.#beside('backups', () => this.#tendBackups())
      await this.#sleep()
    }
  }

  /** Does a thing while the loop goes on, unless it is still being done. */
  #beside(what: string, act: () => Promise<void>): void {
    if (this.#besides.has(what)) return
    const running = this.#try(what, act).finally(() => this.#besides.delete(what))
    this.#besides.set(what, running)
  }

  /** What fails here fails again in a moment, and is said each time. */
  async #try(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#broker.log.error({ what, code: named(error).code }, 'the worker could not do a part of its round')
    }
  }

  /** Superseded values are kept in the journal as a backup, and then no longer. */
  async #forget(): Promise<void> {
    const { clock, ledger, log } = this.#broker
    if (clock.now().getTime() < this.#forgetAgainMs) return
    this.#forgetAgainMs = clock.now().getTime() + forgetEveryMs
    const dropped = await ledger.secrets.forget(new Date((await ledger.now()).getTime() - backupMs))
    if (dropped > 0) log.info({ dropped }, 'backups of superseded values are over')
  }

  /** At start what a death left is tidied away; then bundles go when their time is over. */
  async #tendBackups(): Promise<void> {
    const { bundles, clock, log } = this.#broker
    if (clock.now().getTime() < this.#tendAgainMs) return
    const isFirst = this.#tendAgainMs === 0
    this.#tendAgainMs = clock.now().getTime() + forgetEveryMs
    if (isFirst) await bundles.settle()
    const removed = await bundles.removeExpired()
    if (removed > 0) log.info({ removed }, 'backups whose time is over are removed')
  }

  #mustSettle(): boolean {
    return this.#settleAgainMs === null || this.#broker.clock.now().getTime() >= this.#settleAgainMs
  }

  /** Until a write is settled nobody else may write that secret. */
  async #settle(): Promise<void> {
    const before = this.#settleAgainMs
    const settled = await settleWrites(this.#broker)
    if (settled && this.#settleAgainMs === before) this.#settleAgainMs = null
    if (settled) return
    this.#settleAgainMs = this.#broker.clock.now().getTime() + retryMs
    // the loop may be asleep for longer than that
    this.wake()
  }

  #mustAlign(): boolean {
    return this.#unaligned.length > 0 && this.#broker.clock.now().getTime() >= this.#alignAgainMs
  }

  async #align(): Promise<void> {
    this.#unaligned = await align(this.#broker, this.#unaligned)
    this.#alignAgainMs = this.#broker.clock.now().getTime() + retryMs
    // what was opened or scheduled may be due before the loop would look
    this.wake()
  }

  #fill(): void {
    while (this.#slots.size < slotsMax && !this.#stop.signal.aborted) {
      const slot: Promise<void> = this.#work().finally(() => this.#slots.delete(slot))
      this.#slots.add(slot)
    }
  }

  /** Takes one rotation after another as far as they go, until none is due. */
  async #work(): Promise<void> {
    const { engine, journal, log } = this.#broker
    try {
      while (!this.#stop.signal.aborted) {
        const rotation = await engine.runOne({ holder: this.#holder, signal: this.#stop.signal })
        if (rotation === null) return
        const { id, secret, state, hold, error } = rotation
        log.info({ rotation: id, secret, state, hold: hold?.kind, code: error?.code }, 'rotation')
        await this.#carrier.carry()
        // its events are in the chain now: nothing else keeps it from its end
        if (hold?.kind === 'waiting' && hold.for === 'audit') await journal.wish(id, null)
        // its next deadline may be nearer than the one that the loop sleeps for
        this.wake()
      }
    } catch (error) {
      // `conflict` is a lease that somebody else has now: theirs to go on with
      log.warn({ code: named(error).code }, 'a rotation was left where it stood')
    }
  }

  async #sleep(): Promise<void> {
    const { clock, ledger } = this.#broker
    const deadline = await ledger.nextDeadline().catch(() => new Date(clock.now().getTime() + retryMs))
    if (this.#woken || this.#stop.signal.aborted) return
    const now = clock.now().getTime()
    const align = this.#unaligned.length === 0 ? this.#scanMs : Math.max(this.#alignAgainMs - now, retryMs)
    const again = this.#settleAgainMs === null ? align : Math.min(align, this.#settleAgainMs - now)
    const pauseMs = Math.max(pauseMinMs, Math.min(this.#scanMs, again, (deadline?.getTime() ?? Number.POSITIVE_INFINITY) - now))
    this.#nextScan = new Date(now + pauseMs)
    await new Promise<void>(resolve => {
      const cancel = clock.after(pauseMs, resolve)
      this.#rouse = () => {
        cancel()
        resolve()
      }
    })
  }
}
