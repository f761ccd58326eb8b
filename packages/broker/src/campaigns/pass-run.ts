import { type BrokerError, backoffMs, type Clock, type Envelopes, type Pass, type Random } from '@keyturn/core'
import { named } from '../exchange.ts'
import type { SealedPart } from '../keys/sealed-parts.ts'
import { outcomesOf, type Sealing, type Unopened } from './outcomes.ts'
import { holdYoungSpace } from './young-space.ts'

/** How long others are waited for who are at all that is left. */
const busyMs = 500
const retryMaxMs = 60_000
/** A step that has not come back for so long is told of. */
const slowMs = 20_000
/** What an embedded database is gone through by, where it says nothing else: its readers wait for each step. */
const embedded = { lanes: 1, rows: 100 } as const

/** How far one step may go, and when: rows now, or the milliseconds until it should be asked again. */
export type Pace = (envelopes: Envelopes) => Promise<{ readonly rows: number } | { readonly waitMs: number }>

/** What a pass through one database is run with. */
export interface PassRunOptions {
  readonly pass: Pass
  readonly part: SealedPart
  readonly clock: Clock
  readonly random: Random
  readonly sealing: (store: string) => Sealing
  /** Whether this process must leave the rows of this database to others. */
  readonly aside: (envelopes: Envelopes) => Promise<boolean>
  /** Left out: as fast as it goes. */
  readonly pace?: Pace
  /** After a step is durable: how many rows it looked at, and which could not be opened. */
  readonly stepped: (rows: number, unopened: readonly Unopened[]) => void
  /** It is over in this database, or in trouble, or out of it. */
  readonly changed: () => void
}

/**
 * Steps one pass through one database until nothing is left, several steps at a time where the database is shared. What fails is tried again with growing
 * pauses. It holds one page a lane, and nothing between two steps: it may end there at any time, and another process goes on.
 */
export class PassRun {
  readonly name: string
  readonly #options: PassRunOptions
  readonly #ended: Promise<void>
  readonly #pauses = new Set<() => void>()
  readonly #stepping = new Map<number, number>()
  #over = false
  #stopped = false
  #failures = 0
  #trouble: string | null = null

  constructor(options: PassRunOptions) {
    this.name = options.part.name
    this.#options = options
    this.#ended = this.#run()
  }

  /** Whether every row was gone through, by whomever. */
  get over(): boolean {
    return this.#over
  }

  /** What keeps it from going on, in words; null: nothing. */
  get trouble(): string | null {
    if (this.#over) return null
    const nowMs = this.#options.clock.now().getTime()
    const oldest = Math.min(nowMs, ...this.#stepping.values())
    return this.#trouble ?? (nowMs - oldest >= slowMs ? `${this.name} does not answer` : null)
  }

  /** Ends between two steps. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const rouse of this.#pauses) rouse()
    await this.#ended
  }

  async #run(): Promise<void> {
    const envelopes = await this.#opened()
    if (envelopes === null) return
    const isPaced = this.#options.pace !== undefined
    const { lanes } = isPaced ? embedded : (envelopes.suits ?? embedded)
    // what goes slowly makes little, and goes on all day
    const release = isPaced ? () => undefined : holdYoungSpace()
    try {
      await Promise.all(Array.from({ length: lanes }, (_, lane) => this.#lane(envelopes, lane)))
    } finally {
      release()
    }
  }

  async #opened(): Promise<Envelopes | null> {
    while (!this.#stopped) {
      const envelopes = await this.#try(-1, async () => {
        const opened = await this.#options.part.open()
        await opened.begin(this.#options.pass)
        this.#say(null)
        return opened
      })
      if (envelopes !== null) return envelopes
    }
    return null
  }

  async #lane(envelopes: Envelopes, lane: number): Promise<void> {
    while (!this.#stopped && !this.#over) {
      const end = await this.#try(lane, () => this.#step(envelopes))
      if (end === 'over') this.#finish()
      else if (typeof end === 'number') await this.#pause(end)
    }
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    for (const rouse of this.#pauses) rouse()
    this.#options.changed()
  }

  /** One step; a number is how long to wait for the next. */
  async #step(envelopes: Envelopes): Promise<'over' | 'stepped' | number> {
    const { pass, aside, pace, sealing, stepped } = this.#options
    if (await aside(envelopes)) return this.#elsewhere(envelopes)
    const may = pace === undefined ? { rows: (envelopes.suits ?? embedded).rows } : await pace(envelopes)
    if ('waitMs' in may) return may.waitMs
    let seen = 0
    let unopened: readonly Unopened[] = []
    const end = await envelopes.step(pass.id, {
      rows: may.rows,
      act: async rows => {
        const page = await outcomesOf(pass, sealing(envelopes.store), rows)
        seen = rows.length
        unopened = page.unopened
        return page.outcomes
      },
    })
    this.#say(null)
    if (end === 'busy') return busyMs
    if (end === 'stepped') stepped(seen, unopened)
    return end
  }

  /** What others do here: over, or not yet. */
  async #elsewhere(envelopes: Envelopes): Promise<'over' | number> {
    const progress = await envelopes.progress(this.#options.pass.id)
    return progress?.over === true ? 'over' : busyMs * 4
  }

  async #try<T>(lane: number, act: () => Promise<T>): Promise<T | null> {
    this.#stepping.set(lane, this.#options.clock.now().getTime())
    try {
      const result = await act()
      this.#failures = 0
      return result
    } catch (error) {
      this.#failures += 1
      this.#say(troubleOf(this.name, named(error)))
    } finally {
      this.#stepping.delete(lane)
    }
    await this.#pause(Math.min(retryMaxMs, backoffMs(this.#failures, this.#options.random)))
    return null
  }

  #say(trouble: string | null): void {
    if (trouble === this.#trouble) return
    this.#trouble = trouble
    this.#options.changed()
  }

  #pause(ms: number): Promise<void> {
    if (this.#stopped || this.#over) return Promise.resolve()
    return new Promise(resolve => {
      const rouse = () => {
        cancel()
        this.#pauses.delete(rouse)
        resolve()
      }
      const cancel = this.#options.clock.after(ms, rouse)
      this.#pauses.add(rouse)
    })
  }
}

/** In words, with the place. */
function troubleOf(name: string, error: BrokerError): string {
  return error.message.includes(name) ? error.message : `${name}: ${error.message}`
}
