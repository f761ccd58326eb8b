import {
  BrokerError,
  type EnvelopeRow,
  type Envelopes,
  type KekUse,
  type Pass,
  type PassFailure,
  type PassOutcome,
  type PassProgress,
  type Sealed,
  type SecretId,
  type StorePath,
} from '@keyturn/core'

/** A place in a call at which a test may fail it, hold it, or change rows. */
export type Point = 'begin' | 'before step' | 'after step' | 'progress'

interface Held {
  readonly pass: Pass
  readonly total: number
  at: number
  counts: { done: number; skipped: number; failed: number }
  readonly failures: PassFailure[]
  over: boolean
  isTaken: boolean
}

/** The sealed rows of one database in memory. What a step does is committed at once or not at all. */
export class SealedRows implements Envelopes {
  readonly store: string
  readonly rows: EnvelopeRow[]
  readonly #passes = new Map<string, Held>()
  /** Every change of a row, as `pass index`. */
  readonly changes: string[] = []
  /** What happens at a point; throws to fail it. After a step it is committed. */
  at: (point: Point) => Promise<void> | void = () => undefined

  constructor(store: string, rows: readonly EnvelopeRow[]) {
    this.store = store
    this.rows = [...rows]
  }

  async keks(): Promise<readonly KekUse[]> {
    const counts = new Map<string, number>()
    for (const { sealed } of this.rows) counts.set(sealed.kekId, (counts.get(sealed.kekId) ?? 0) + 1)
    return [...counts].map(([id, versions]) => ({ id, fingerprint: '', wraps: 0, needs: { versions }, oldest: null }))
  }

  async retire(): Promise<void> {}

  async begin(pass: Pass): Promise<void> {
    await this.at('begin')
    if (this.#passes.has(pass.id)) return
    const total = this.rows.filter(row => this.#isOf(pass, row)).length
    const counts = { done: 0, skipped: 0, failed: 0 }
    this.#passes.set(pass.id, { pass, total, at: 0, counts, failures: [], over: false, isTaken: false })
  }

  async step(
    id: string,
    { rows, act }: { readonly rows: number; readonly act: (rows: readonly EnvelopeRow[]) => Promise<readonly PassOutcome[]> },
  ): Promise<'stepped' | 'busy' | 'over'> {
    await this.at('before step')
    const held = this.#pass(id)
    if (held.over) return 'over'
    if (held.isTaken) return 'busy'
    held.isTaken = true
    try {
      await this.#step(held, rows, act)
    } finally {
      held.isTaken = false
    }
    await this.at('after step')
    return held.over ? 'over' : 'stepped'
  }

  async #step(held: Held, limit: number, act: (rows: readonly EnvelopeRow[]) => Promise<readonly PassOutcome[]>): Promise<void> {
    const indexes: number[] = []
    let next = held.at
    for (; next < this.rows.length && indexes.length < limit; next += 1) {
      const row = this.rows[next]
      if (row !== undefined && this.#isOf(held.pass, row)) indexes.push(next)
    }
    const page = indexes.flatMap(index => this.rows[index] ?? [])
    const outcomes = page.length === 0 ? [] : await act(page)
    for (const [order, index] of indexes.entries()) this.#settle(held, index, page[order], outcomes[order])
    held.at = next
    if (page.length === 0) held.over = true
  }

  #settle({ pass, counts, failures }: Held, index: number, read: EnvelopeRow | undefined, outcome: PassOutcome | undefined): void {
    if (read === undefined || outcome === undefined) throw new Error('a row without an outcome')
    if (outcome !== 'kept' && 'code' in outcome) {
      counts.failed += 1
      failures.push({ slot: read.slot, kekId: read.sealed.kekId, ...outcome })
    } else if (this.rows[index] !== read) counts.skipped += 1
    else {
      counts.done += 1
      if (outcome !== 'kept') this.#change(pass, index, read, outcome)
    }
  }

  #change({ id, kind }: Pass, index: number, read: EnvelopeRow, sealed: Sealed): void {
    this.changes.push(`${id} ${index}`)
    this.rows[index] = { slot: read.slot, sealed: { ...sealed, payload: kind === 'reencrypt' ? sealed.payload : read.sealed.payload } }
  }

  async progress(id: string): Promise<PassProgress | null> {
    await this.at('progress')
    const held = this.#passes.get(id)
    if (held === undefined) return null
    const { total, counts, over } = held
    const passed = counts.done + counts.skipped + counts.failed
    return { ...counts, total: over ? passed : Math.max(total, passed), over }
  }

  async failures(id: string, limit: number): Promise<readonly PassFailure[]> {
    return this.#pass(id).failures.slice(0, limit)
  }

  async pathOf(id: SecretId): Promise<StorePath> {
    return `app/${id}` as StorePath
  }

  async forget(id: string): Promise<void> {
    this.#passes.delete(id)
  }

  /** Which passes are kept. */
  get kept(): readonly string[] {
    return [...this.#passes.keys()]
  }

  #isOf({ kind, kekId }: Pass, { sealed }: EnvelopeRow): boolean {
    return kind !== 'rewrap' || sealed.kekId !== kekId
  }

  #pass(id: string): Held {
    const held = this.#passes.get(id)
    if (held === undefined) throw new BrokerError('not_found', `no pass ${id} was begun in this database`)
    return held
  }
}
