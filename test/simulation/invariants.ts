import { isOver, isPromoted, type LedgerVersion, type Rotation, SecretValue, type Strategy } from '@keyturn/core'
import type { SimulatedTarget } from './target.ts'

/** What can be seen of the world at one moment. */
export interface Sight {
  readonly now: Date
  readonly strategy: Strategy
  readonly target: SimulatedTarget | null
  readonly current: SecretValue | undefined
  /** Every value that the store still holds. */
  readonly stored: readonly SecretValue[]
  readonly rows: readonly LedgerVersion[]
  readonly rotations: readonly Rotation[]
  /** Whether the store moves current only from where it was seen. */
  readonly conditional: boolean
}

const texts = new WeakMap<SecretValue, string>()

/** The value as a string, worked out once: a run compares the same few values thousands of times. */
function textOf(value: SecretValue): string {
  let text = texts.get(value)
  if (text === undefined) {
    text = Buffer.from(value.encode()).toString('latin1')
    texts.set(value, text)
  }
  return text
}

const same = (one: SecretValue, other: SecretValue) => textOf(one) === textOf(other)

/** Opens rows of a journal, each value once. */
class Opener {
  readonly #values = new Map<string, SecretValue>()

  open({ sealed }: LedgerVersion): SecretValue | null {
    if (sealed === null) return null
    const text = Buffer.from(sealed.payload).toString('latin1')
    let value = this.#values.get(text)
    if (value === undefined) {
      value = SecretValue.decode(sealed.payload)
      this.#values.set(text, value)
    }
    return value
  }
}

/** Remembers what was promised and what someone outside did, and says at each moment which promise is broken. */
export class Invariants {
  readonly broken: string[] = []
  readonly #opener = new Opener()
  #sealed: SecretValue[] = []
  readonly #promised = new Map<number, { readonly until: Date; readonly value: SecretValue }>()
  readonly #values = new Map<number, SecretValue>()
  /** What someone outside put into the store and that does not work, or soon will not. */
  readonly #doubtful: SecretValue[] = []
  /** Numbers whose value was overwritten behind the broker's back. */
  readonly #lost = new Set<number>()

  /** Everything promised so far may end: someone said that it leaked. */
  compromise(): void {
    this.#promised.clear()
    this.#pardoned = true
  }

  #pardoned = false
  /** What readers got at the last look, where the store has a way to move it only from there. */
  #served: SecretValue | undefined
  readonly #promotedOnce = new Set<string>()

  /** Someone outside is about to write `value` over what the store has; `doubtful`: it does not work, or is about to end. */
  overwritten(value: SecretValue, doubtful: boolean): void {
    if (doubtful) this.#doubtful.push(value)
    this.#served = value
    for (const [number, known] of this.#values) if (!same(known, value)) this.#lost.add(number)
  }

  /** Someone is about to write `value` through the broker, which keeps what it replaces. */
  written(value: SecretValue, doubtful: boolean): void {
    if (doubtful) this.#doubtful.push(value)
    this.#served = value
  }

  /** Write ahead: a target honours nothing that is not on disk. */
  honour(value: SecretValue, first: SecretValue): void {
    if (![...this.#sealed, first].some(known => same(known, value)))
      this.#say('write ahead: the target was given a value that the journal does not hold')
  }

  isDoubtful(value: SecretValue): boolean {
    return this.#doubtful.some(known => same(known, value))
  }

  look(sight: Sight): void {
    const { rows, rotations } = sight
    this.#sealed = rows.map(row => this.#opener.open(row)).filter(value => value !== null)
    if (rotations.filter(({ state }) => !isOver(state)).length > 1) this.#say('one open rotation: there are more')
    for (const label of ['current', 'pending']) {
      if (rows.filter(row => row.label === label).length > 1) this.#say(`labels: several versions are ${label}`)
    }
    for (const { error, state } of rotations) if (error?.code === 'internal') this.#say(`no fault of ours: ${error.message} (${state})`)
    for (const { id, state } of rotations) {
      if (isPromoted(state)) this.#promotedOnce.add(id)
      else if (this.#promotedOnce.has(id)) this.#say(`after promotion nothing fails: the rotation is ${state}`)
    }
    this.#mustServe(sight)
    this.#mustRespect(sight)
    this.#mustKeepPromises(sight)
    this.#mustKeepValues(sight)
  }

  #mustServe({ current, target, strategy }: Sight): void {
    if (current === undefined) this.#say('no lock-out: the store serves nothing')
    if (current === undefined || target === null || this.isDoubtful(current)) return
    if (![current, ...this.#sealed].some(value => target.accepts(value))) this.#say('no lock-out: no stored credential works')
    // without an overlap there is a moment between the target and the store
    if (strategy === 'single-user') return
    if (!target.accepts(current)) this.#say('no lock-out: what readers get does not work')
  }

  /** What anyone wrote is replaced only once it is kept. */
  #mustRespect({ current, conditional }: Sight): void {
    const [before, now] = [this.#served, current]
    this.#served = current
    if (!conditional || before === undefined || now === undefined || same(before, now)) return
    if (!this.#sealed.some(kept => same(kept, before))) this.#say('someone else wrote: it was replaced unseen')
  }

  #mustKeepPromises({ rows, now, target, strategy }: Sight): void {
    if (target === null || strategy === 'single-user') return
    for (const row of rows) {
      const value = this.#opener.open(row)
      const { number, label, graceUntil } = row
      if (label === 'current') this.#promised.delete(number)
      if (label !== 'previous' || graceUntil === null || value === null) continue
      const promised = this.#promised.get(number)
      if (promised === undefined) {
        // a promise counts from a moment at which it could be kept, and compromise makes none
        if (graceUntil > now && target.accepts(value) && !this.#pardoned) this.#promised.set(number, { until: graceUntil, value })
      } else if (graceUntil < promised.until) this.#say('promised grace: it was shortened')
    }
    for (const { until, value } of this.#promised.values()) {
      if (until > now && !target.accepts(value)) this.#say('promised grace: a version ended before its time')
    }
  }

  #mustKeepValues({ rows, current, stored }: Sight): void {
    for (const row of rows) {
      const { number, label, fate } = row
      const value = this.#opener.open(row)
      if (label === 'current' && current !== undefined && !this.#values.has(number)) this.#values.set(number, value ?? current)
      const known = this.#values.get(number)
      if (known === undefined || fate === 'revoked' || this.#lost.has(number)) continue
      if (label !== 'current' && label !== 'previous') continue
      if (![...stored, ...this.#sealed].some(kept => same(kept, known))) this.#say('no value lost: a version in use is nowhere any more')
    }
  }

  #say(words: string): void {
    this.broken.push(words)
  }
}
