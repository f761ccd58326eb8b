import {
  BrokerError,
  type EnvelopeRow,
  type Envelopes,
  type KekUse,
  type Pass,
  type PassFailure,
  type PassOutcome,
  type PassProgress,
} from '@keyturn/core'
import type { Sql, Transaction } from '../sql.ts'
import { failuresOf } from './failures.ts'
import { kekUses, retireKek, rowsToPass } from './kek-use.ts'
import { type PageRow, readPage, type Slice } from './page.ts'
import { endPass, isPassed, passOf, progressOf } from './progress.ts'
import { settle } from './settle.ts'
import { cut, takeSlice } from './slices.ts'
import type { SealedTable } from './table.ts'

interface StepOptions {
  readonly rows: number
  readonly act: (rows: readonly EnvelopeRow[]) => Promise<readonly PassOutcome[]>
}

/**
 * The envelopes of a database whose migrations made `sealedSchema` of the same tables. A step on a server is one transaction, which holds its slice by a
 * row lock: whoever dies gives it back, with nothing done. An embedded database is one process's, and its transactions run one after another: there the
 * rows are read in one, and changed with the place in a second one, so that others read while `act` is at work.
 */
export class SqlEnvelopes implements Envelopes {
  readonly store: string
  /** A server works while this process closes wraps, so it is given several pages at a time; readers of an embedded database wait for each page. */
  readonly suits: { readonly lanes: number; readonly rows: number }
  readonly #sql: Sql
  readonly #tables: readonly SealedTable[]
  /** The slices of each pass that a step of this process is at, where no row lock says so. */
  readonly #taken = new Map<string, Set<number>>()

  constructor(sql: Sql, { store, tables }: { readonly store: string; readonly tables: readonly SealedTable[] }) {
    this.#sql = sql
    this.store = store
    this.#tables = tables
    this.suits = sql.dialect.database === 'postgres' ? { lanes: 3, rows: 300 } : { lanes: 1, rows: 100 }
  }

  keks(): Promise<readonly KekUse[]> {
    return this.#sql.transaction(tx => kekUses(tx, this.#tables))
  }

  retire(kekId: string): Promise<void> {
    return this.#sql.transaction(tx => retireKek(tx, kekId))
  }

  /** `conflict` when a pass of this id leads elsewhere; `permission_denied` for a re-encryption where the old ciphertext could not be erased. */
  async begin(pass: Pass): Promise<void> {
    if (pass.kind === 'reencrypt') await this.#sql.mustErase(this.#tables.map(({ name }) => name))
    return this.#sql.transaction(async tx => {
      const known = await passOf(tx, pass.id)
      if (known !== null) return mustBe(known, pass)
      const total = await rowsToPass(tx, pass)
      const begun = await tx.change(
        'insert into passes (id, kind, kek_id, begun_at, total) values ($1, $2, $3, $4, $5) on conflict (id) do nothing',
        [pass.id, pass.kind, pass.kekId, tx.now, total],
      )
      if (begun === 1) return cut(tx, pass, this.#tables, total)
      // another process was as far
      return mustBe((await passOf(tx, pass.id)) ?? pass, pass)
    })
  }

  async step(id: string, options: StepOptions): Promise<'stepped' | 'busy' | 'over'> {
    const stepped = this.#sql.dialect.database === 'sqlite' ? await this.#apart(id, options) : await this.#within(id, options)
    return stepped === 'passed' ? this.#end(id) : stepped
  }

  #within(id: string, { rows, act }: StepOptions): Promise<'stepped' | 'busy' | 'over' | 'passed'> {
    return this.#sql.transaction(async tx => {
      const found = await this.#find(tx, id, rows)
      if (typeof found === 'string') return found
      await settle(tx, { ...found, outcomes: await acted(found.page, act) })
      return 'stepped'
    })
  }

  async #apart(id: string, { rows, act }: StepOptions): Promise<'stepped' | 'busy' | 'over' | 'passed'> {
    const taken = this.#taken.get(id) ?? new Set()
    this.#taken.set(id, taken)
    const found = await this.#sql.transaction(async tx => {
      const found = await this.#find(tx, id, rows, taken)
      // in the same transaction, which is alone
      if (typeof found !== 'string') taken.add(found.slice.number)
      return found
    })
    if (typeof found === 'string') return found
    try {
      const outcomes = await acted(found.page, act)
      return await this.#sql.transaction(async tx => {
        if (!(await isThere(tx, id, found.slice))) return 'busy'
        await settle(tx, { ...found, outcomes })
        return 'stepped'
      })
    } finally {
      taken.delete(found.slice.number)
    }
  }

  async #find(
    tx: Transaction,
    id: string,
    rows: number,
    besides?: ReadonlySet<number>,
  ): Promise<'busy' | 'over' | 'passed' | { pass: Pass; slice: Slice; page: readonly PageRow[]; last: boolean }> {
    const pass = await passOf(tx, id)
    if (pass === null) throw new BrokerError('not_found', `no pass ${id} was begun in this database`, { detail: { pass: id } })
    if (pass.over) return 'over'
    const slice = await takeSlice(tx, id, this.#tables, besides)
    if (slice === null) return (await isPassed(tx, id)) ? 'passed' : 'busy'
    const page = await readPage(tx, slice, pass, rows)
    return { pass, slice, page, last: page.length < rows }
  }

  /** Whoever comes here second finds it done. */
  async #end(id: string): Promise<'over'> {
    const pass = await this.#sql.transaction(tx => passOf(tx, id))
    if (pass?.kind === 'reencrypt' && !pass.over) await this.#sql.erase(this.#tables.map(({ name }) => name))
    await this.#sql.transaction(tx => endPass(tx, id))
    this.#taken.delete(id)
    return 'over'
  }

  progress(id: string): Promise<PassProgress | null> {
    return progressOf(this.#sql, id)
  }

  /** Names at most 1,000 of each 20,000 rows or so; all are counted. */
  failures(id: string, limit: number): Promise<readonly PassFailure[]> {
    return failuresOf(this.#sql, id, limit)
  }

  async forget(id: string): Promise<void> {
    await this.#sql.transaction(tx => tx.change('delete from passes where id = $1', [id]))
  }
}

const acted = async (page: readonly PageRow[], act: StepOptions['act']): Promise<readonly PassOutcome[]> =>
  page.length === 0 ? [] : act(page)

function mustBe(known: Pass, pass: Pass): void {
  if (known.kind === pass.kind && known.kekId === pass.kekId) return
  throw new BrokerError('conflict', `the pass ${pass.id} is a ${known.kind} to the KEK ${known.kekId ?? 'of each row'}`, {
    detail: { pass: pass.id, kind: known.kind, kekId: known.kekId },
  })
}

/** Whether the slice is where it was read. Otherwise somebody else has this page, and nothing of it may count again. */
async function isThere(tx: Transaction, pass: string, { number, place }: Slice): Promise<boolean> {
  const there = await tx.rows('select 1 from pass_slices where pass = $1 and slice = $2 and is_over = 0 and place is $3', [
    pass,
    number,
    place,
  ])
  return there.length > 0
}
