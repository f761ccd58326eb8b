import { MemoryBackend, openMemoryStore } from '@keyturn/conformance'
import {
  BrokerError,
  isOver,
  type LedgerVersion,
  type Rotation,
  RotationEngine,
  type RotationId,
  type RotationSettings,
  SecretValue,
  Store,
  type VersionId,
  type Wish,
} from '@keyturn/core'
import { MemoryLedger, type SecretRow } from '@keyturn/ledger'
import { type Cell, shapes } from '../crash/matrix.ts'
import { SimulatedClock } from './clock.ts'
import { type Event, eventsOf, type Flavour, outcomes } from './events.ts'
import { failures } from './faults.ts'
import { Invariants } from './invariants.ts'
import { Outsiders } from './outsiders.ts'
import { plainSealer } from './plain-sealer.ts'
import { type OutsideCall, Process, Switchboard } from './processes.ts'
import { SeededRandom } from './random.ts'
import { issuerMethods, journalMethods, name, storeMethods, worlds } from './rotation-world.ts'
import { fieldsLike, mustBeConflict, requestFor, settingsFor, settled, standingOf } from './setting.ts'
import type { SimulatedTarget } from './target.ts'
import { Console } from './targets.ts'
import { path, type WorldOptions } from './world.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const processesMax = 3
/** Turns in which everything must have come to its end once nothing goes wrong any more. */
const settleTurns = 400

/**
 * Several broker processes at work on one secret, and everything that can happen to them: a tape decides which outside call goes on and how,
 * who dies or is stopped, what operators wish, what someone writes past the broker, how time passes. When the tape ends nothing goes
 * wrong any more, and everything must come to its end.
 */
export class Simulation {
  readonly clock = new SimulatedClock()
  readonly #cell: Cell
  readonly #events: readonly Event[]
  readonly #random = new SeededRandom('simulation')
  readonly #ledger: MemoryLedger
  readonly #backend: MemoryBackend
  readonly #target: SimulatedTarget | null
  readonly #settings: RotationSettings
  readonly #board = new Switchboard()
  readonly #engine: NonNullable<WorldOptions['engine']>
  readonly #first: SecretValue
  readonly #rotations: RotationId[] = []
  readonly #known: SecretValue[] = []
  #processes: { readonly process: Process; readonly engine: ReturnType<NonNullable<WorldOptions['engine']>> }[] = []
  #born = 0
  #secret!: SecretRow
  readonly invariants = new Invariants()
  readonly #outsiders = new Outsiders()
  /** Versions that someone else made, and those that a promotion has to make again because its first looks as if it had never been. */
  #foreign = 0
  readonly story: string[] = []

  constructor(cell: Cell, flavour: Flavour, engine: NonNullable<WorldOptions['engine']> = ports => new RotationEngine(ports)) {
    this.#cell = cell
    this.#events = eventsOf(flavour)
    this.#engine = engine
    this.#ledger = new MemoryLedger(this.clock, this.#random)
    const shape = shapes[cell.shape]
    if (shape === undefined) throw new Error(`no shape ${cell.shape}`)
    this.#backend = new MemoryBackend(shape, { clock: this.clock, random: this.#random })
    const { target, renew } = worlds[cell.strategy]
    this.#target = target(this.clock)
    this.#first = this.#target?.first() ?? SecretValue.text('first')
    this.#settings = settingsFor(cell.strategy, this.#target, renew)
    if (this.#target !== null) this.#target.onHonour = value => this.invariants.honour(value, this.#first)
    this.#board.onEffect = () => this.#look()
  }

  /** Plays the tape, then lets everything come to its end. Answers with what went wrong, each thing once. */
  async run(tape: Iterable<number>): Promise<readonly string[]> {
    const options = { signal: new AbortController().signal, idempotencyKey: this.#random.uuid() }
    await openMemoryStore(this.#backend).write(path, this.#first, options)
    this.#secret = await this.#ledger.secrets.ensure(name)
    await this.#open('normal')
    for (const decision of tape) {
      await this.#decide(decision)
      if (this.invariants.broken.length > 0) break
    }
    if (this.invariants.broken.length === 0) await this.#comeToAnEnd()
    return [...new Set(this.invariants.broken)]
  }

  async #decide(decision: number): Promise<void> {
    const calls = this.#board.waiting()
    const call = calls[decision % Math.max(1, calls.length)]
    const what = outcomes[decision]
    if (call !== undefined && what !== undefined) {
      this.story.push(`${call.process.name} ${call.site} ${what}`)
      await this.#become(call, what)
    } else await this.#event(this.#events[decision % this.#events.length] ?? 'work').catch(error => this.#end(`no fault of ours: ${error}`))
    await settled()
  }

  async #become(call: OutsideCall, what: (typeof outcomes)[number]): Promise<void> {
    if (what === 'fails' && !call.happened) return call.fail('unavailable')
    if (what === 'dies before') return this.#die(call.process)
    if (!call.happened) await call.happen()
    if (what === 'twice') await call.happen()
    if (what === 'happens') return
    if (what === 'dies') return this.#die(call.process)
    if (what === 'reply lost') return call.fail('outcome_unknown')
    call.answer()
  }

  #die(process: Process): void {
    process.alive = false
    this.#processes = this.#processes.filter(other => other.process !== process)
  }

  async #event(event: Event): Promise<void> {
    this.story.push(event)
    const busy = this.#processes.filter(({ process }) => process.busy)
    switch (event) {
      case 'work':
        return this.#work()
      case 'stop': {
        const running = busy.find(({ process }) => !process.asleep)
        if (running !== undefined) running.process.asleep = true
        this.clock.advance(130_000)
        return
      }
      case 'go on':
        for (const { process } of busy) if (process.asleep) process.wake()
        return
      case 'a second':
      case 'half a minute':
      case 'an hour':
        return this.clock.advance({ 'a second': 1_000, 'half a minute': 31_000, 'an hour': hourMs }[event])
      case 'wait': {
        const next = await this.#ledger.nextDeadline()
        return next === null ? this.clock.advance(minuteMs) : this.clock.advanceTo(next)
      }
      case 'people':
        return this.#people()
      case 'audit':
        return this.#drain()
      case 'open':
        return this.#open('normal')
      case 'compromise':
        return this.#open('compromise')
      case 'abort':
      case 'rollback':
        return this.#wish(event)
      case 'retry':
        return this.#wish(null)
      case 'put back':
      case 'meddle':
        return this.#overwrite(event === 'meddle' ? this.#garbage() : this.#older())
      case 'put':
        return this.#put(this.#older())
    }
  }

  async #work(): Promise<void> {
    const idle = this.#processes.find(({ process }) => !process.busy && !process.asleep)
    const worker = idle ?? (this.#processes.length < processesMax ? this.#bear() : undefined)
    if (worker === undefined) return
    const { process, engine } = worker
    process.busy = true
    engine
      .runOne({ holder: process.name })
      .catch(error => {
        if (!(error instanceof BrokerError) || error.code === 'internal') this.invariants.broken.push(`no fault of ours: ${error}`)
      })
      .finally(() => (process.busy = false))
  }

  #bear() {
    this.#born += 1
    const process = new Process(`process ${this.#born}`, this.clock)
    const wrap = <T extends object>(kind: keyof typeof failures, object: T, methods: readonly string[]) =>
      this.#board.wrap(process, kind, object, methods, failures[kind])
    const store = new Store(wrap('store', openMemoryStore(this.#backend), storeMethods), {
      name: 'memory',
      clock: process,
      timeoutMs: 30_000,
    })
    const issuer = this.#target === null ? null : wrap('issuer', this.#target, issuerMethods)
    const engine = this.#engine({
      clock: process,
      random: this.#random,
      calendar: { allows: () => ({ open: true, next: null }) },
      journal: wrap('journal', this.#ledger.journal, journalMethods),
      sealer: plainSealer,
      target: async () => ({ store, path, issuer, settings: this.#settings }),
    })
    const worker = { process, engine }
    this.#processes.push(worker)
    return worker
  }

  async #open(mode: Rotation['mode']): Promise<void> {
    // what readers were promised ends with the request, not with the answer
    if (mode === 'compromise') {
      this.#outsiders.leaked = true
      this.invariants.compromise()
    }
    try {
      const { id } = await this.#ledger.journal.open(requestFor(this.#secret, this.#cell.strategy, mode))
      if (!this.#rotations.includes(id)) this.#rotations.push(id)
    } catch (error) {
      mustBeConflict(error)
    }
  }

  async #wish(wish: Wish | null): Promise<void> {
    const id = this.#rotations.at(-1)
    if (id === undefined) return
    this.#outsiders.wished(wish, await this.#ledger.journal.rotation(id))
    await this.#ledger.journal.wish(id, wish).catch(mustBeConflict)
  }

  /** What a person at the console does when a rotation waits for one. */
  async #people(): Promise<void> {
    const rotation = await this.#last()
    if (!(this.#target instanceof Console) || rotation.hold?.kind !== 'waiting' || rotation.hold.for !== 'person') return
    if (rotation.state === 'backed-up') {
      const value = this.#target.create()
      await this.#ledger.journal.enter(rotation.id, number =>
        plainSealer.seal({ secretId: rotation.secretId, number, kind: 'pending' }, value),
      )
      return
    }
    this.#target.end(this.#current() ?? this.#first)
    await this.#ledger.journal.wish(rotation.id, 'confirm')
  }

  #garbage(): SecretValue {
    const text = `garbage ${this.#known.length}`
    return this.#first.fieldNames === undefined ? SecretValue.text(text) : SecretValue.fields({ ...fieldsLike(this.#first, text) })
  }

  /** A value that readers have had before. */
  #older(): SecretValue {
    return this.#known.at(-2) ?? this.#first
  }

  async #overwrite(value: SecretValue): Promise<void> {
    this.#outsiders.meddled = true
    this.#foreign += [this.#first, ...this.#known].some(known => known.equals(value)) ? 2 : 1
    this.invariants.overwritten(value, await this.#isDoubtful(value))
    const { secret, version } = this.#backend.add(path, value, this.#random.uuid())
    this.#backend.makeCurrent(path, secret, version)
    await this.#look()
  }

  /** A write through the broker: noted, written, ended, with nobody in between. */
  async #put(value: SecretValue): Promise<void> {
    const before = this.#backend.live(path)?.current
    if (before?.value === undefined) return
    const kept = before.value
    const seal = (kind: 'previous' | 'pending', one: SecretValue) => (number: number) =>
      plainSealer.seal({ secretId: this.#secret.id, number, kind }, one)
    try {
      const intent = await this.#ledger.secrets.beginWrite({
        secretId: this.#secret.id,
        idempotencyKey: this.#random.uuid(),
        superseded: { version: before.id, seal: seal('previous', kept) },
        next: seal('pending', value),
      })
      this.#outsiders.meddled = true
      this.#foreign += 1
      this.invariants.written(value, await this.#isDoubtful(value))
      const { secret, version } = this.#backend.add(path, value, intent.idempotencyKey)
      this.#backend.makeCurrent(path, secret, version)
      const graceUntil = new Date(this.clock.now().getTime() + hourMs)
      await this.#ledger.secrets.endWrite(intent, { version: version.id as VersionId, graceUntil, nextRotationAt: null })
    } catch (error) {
      mustBeConflict(error)
    }
    await this.#look()
  }

  /** Whether nobody may count on it: it does not work, or its end is under way. */
  async #isDoubtful(value: SecretValue): Promise<boolean> {
    if (this.#target === null || !this.#target.accepts(value)) return true
    const last = await this.#last()
    if (isOver(last.state)) return false
    const due = await this.#ledger.journal.revocations(last.id)
    return (
      last.mode === 'compromise' ||
      !['promoted', 'published', 'grace'].includes(last.state) ||
      due.some(row => row.dueAt <= this.clock.now())
    )
  }

  async #look(): Promise<void> {
    const current = this.#current()
    if (current !== undefined && !this.#known.some(value => value.equals(current))) this.#known.push(current)
    this.invariants.look({
      now: this.clock.now(),
      strategy: this.#cell.strategy,
      target: this.#target,
      current,
      stored: (this.#backend.live(path)?.versions ?? []).flatMap(({ value }) => (value === undefined ? [] : [value])),
      rows: await this.#rows(),
      rotations: await Promise.all(this.#rotations.map(id => this.#ledger.journal.rotation(id))),
      conditional: this.#backend.shape.cas || this.#backend.shape.stages,
    })
  }

  #current(): SecretValue | undefined {
    return this.#backend.live(path)?.current?.value
  }

  #rows(): Promise<readonly LedgerVersion[]> {
    return this.#ledger.journal.versions(this.#secret.id)
  }

  async #last(): Promise<Rotation> {
    return this.#ledger.journal.rotation(this.#rotations.at(-1) as RotationId)
  }

  async #drain(): Promise<void> {
    const rows = await this.#ledger.outbox.pending(1_000)
    await this.#ledger.outbox.delivered(rows.map(row => row.id))
  }

  /** Nothing goes wrong any more: what is open ends, and one more rotation goes through. */
  async #comeToAnEnd(): Promise<void> {
    this.story.push('nothing goes wrong from here')
    for (const { process } of this.#processes) process.wake()
    const last = await this.#settle()
    if (last === undefined) return
    await this.#mustBeWhole()
    const current = this.#current()
    const works = current !== undefined && (this.#target === null || this.#target.accepts(current))
    if (!works || this.invariants.broken.length > 0) return
    this.clock.advance(2 * hourMs)
    await this.#open('normal')
    const next = await this.#settle()
    if (next !== undefined && next.state !== 'done' && !this.#outsiders.meddled) this.#end(`ends: a last rotation is ${standingOf(next)}`)
  }

  /** Works until nothing is open; undefined when a person must look, and is told why. */
  async #settle(): Promise<Rotation | undefined> {
    for (let turn = 0; turn < settleTurns && this.invariants.broken.length === 0; turn += 1) {
      const last = await this.#last()
      if (isOver(last.state)) return last
      if (this.#outsiders.excuse(last)) return undefined
      await this.#people().catch(error => this.#end(`no fault of ours: ${error}`))
      await this.#drain()
      await this.#work()
      await this.#answerAll()
      const now = await this.#last()
      if (!isOver(now.state)) await this.#event(this.#processes.some(({ process }) => process.busy) ? 'half a minute' : 'wait')
      this.story.pop()
    }
    const last = await this.#last()
    if (!isOver(last.state)) this.#end(`ends: the rotation is ${standingOf(last)}`)
    return undefined
  }

  async #answerAll(): Promise<void> {
    await settled()
    for (let call = this.#board.waiting()[0]; call !== undefined; call = this.#board.waiting()[0]) {
      if (!call.happened) await call.happen()
      call.answer()
      await settled()
    }
  }

  async #mustBeWhole(): Promise<void> {
    const current = this.#current()
    if (current === undefined) return
    const works = this.#target === null || this.#target.accepts(current)
    if (!works && !this.invariants.isDoubtful(current)) this.#end('ends: what readers get does not work')
    for (const id of this.#rotations) {
      const rows = await this.#ledger.journal.revocations(id)
      if (rows.some(row => row.state === 'pending')) this.#end('ends: a revocation was forgotten')
    }
    const rotations = await Promise.all(this.#rotations.map(id => this.#ledger.journal.rotation(id)))
    const back = rotations.filter(({ outcome }) => outcome.rotation === 'rolled-back').length
    const made = new Set(this.#backend.made.map(({ version }) => version)).size
    if (made > 1 + this.#foreign + rotations.length + back) this.#end(`one version a rotation: ${rotations.length} made ${made - 1}`)
    const left = (await this.#rows()).filter(row => row.sealedAs === 'pending' && row.fate === null)
    // what a compromise took over keeps it until the next rotation backs it up
    if (left.length > 0 && !this.#outsiders.meddled && !this.#outsiders.leaked) this.#end('ends: a pending copy was left in the journal')
    if (this.#target !== null && works && !this.#outsiders.meddled && this.#cell.strategy !== 'external') {
      const others = this.#target.others(current)
      if (others.length > 0) this.#end(`ends: ${others.join(', ')} works too`)
    }
  }

  #end(words: string): void {
    this.invariants.broken.push(words)
  }
}
