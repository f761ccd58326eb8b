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
import { copy } from '../rules/copy.ts'
import { kekNeeded } from '../rules/kek.ts'
import { type HeldEnvelope, heldEnvelopes, type Kept, needsOf, replaced } from './envelope-rows.ts'
import type { MemoryState } from './state.ts'

interface MemoryPass {
  readonly pass: Pass
  readonly total: number
  /** Where each part is. */
  readonly places: Map<Kept, { readonly after: string; readonly busy: boolean; readonly over: boolean }>
  readonly failures: PassFailure[]
  done: number
  skipped: number
  over: boolean
}

const kinds: readonly Kept[] = ['versions', 'writes', 'records']

/** The passes in memory: a place for each of the three kinds of rows, and nobody at the one that somebody is at. */
export class MemoryEnvelopes implements Envelopes {
  readonly store: string
  readonly #state: MemoryState
  readonly #passes = new Map<string, MemoryPass>()

  constructor(state: MemoryState, store: string) {
    this.#state = state
    this.store = store
  }

  async keks(): Promise<readonly KekUse[]> {
    const rows = heldEnvelopes(this.#state)
    return [...this.#state.keks].sort(byId).map(([id, { fingerprint, wraps }]) => {
      const times = rows.filter(({ sealed, madeAt }) => sealed.kekId === id && madeAt !== null).map(({ madeAt }) => Number(madeAt))
      const oldest = times.length === 0 ? null : new Date(Math.min(...times))
      return { id, fingerprint: fingerprint ?? '', wraps, needs: needsOf(rows, id), oldest }
    })
  }

  async retire(kekId: string): Promise<void> {
    const { keks, clock } = this.#state
    const needs = needsOf(heldEnvelopes(this.#state), kekId)
    if (Object.keys(needs).length > 0) throw kekNeeded(kekId, needs)
    const known = keks.get(kekId) ?? { fingerprint: null, wraps: 0, retiredAt: null }
    keks.set(kekId, { ...known, retiredAt: known.retiredAt ?? clock.now() })
  }

  async begin(given: Pass): Promise<void> {
    const pass = copy(given)
    const known = this.#passes.get(pass.id)?.pass
    if (known !== undefined) {
      if (known.kind === pass.kind && known.kekId === pass.kekId) return
      throw new BrokerError('conflict', `the pass ${pass.id} is a ${known.kind} to the KEK ${known.kekId ?? 'of each row'}`)
    }
    const total = heldEnvelopes(this.#state).filter(row => isPassed(pass, row)).length
    const places = new Map(kinds.map(kind => [kind, { after: '', busy: false, over: false }]))
    this.#passes.set(pass.id, { pass, total, places, failures: [], done: 0, skipped: 0, over: false })
  }

  async step(
    id: string,
    { rows, act }: { readonly rows: number; readonly act: (rows: readonly EnvelopeRow[]) => Promise<readonly PassOutcome[]> },
  ): Promise<'stepped' | 'busy' | 'over'> {
    const kept = this.#passes.get(id)
    if (kept === undefined) throw new BrokerError('not_found', `no pass ${id} was begun in this database`)
    const left = [...kept.places].filter(([, place]) => !place.over)
    const [kind, place] = left.find(([, { busy }]) => !busy) ?? []
    if (kind === undefined || place === undefined) return left.length > 0 ? 'busy' : this.#end(kept)
    const page = heldEnvelopes(this.#state)
      .filter(row => row.kept === kind && row.key > place.after && isPassed(kept.pass, row))
      .slice(0, rows)
    kept.places.set(kind, { ...place, busy: true })
    try {
      const seen = page.map(({ slot, sealed }) => ({
        slot,
        sealed: kept.pass.kind === 'rewrap' ? { ...sealed, payload: nothing } : sealed,
      }))
      this.#settle(kept, page, page.length === 0 ? [] : copy(await act(copy(seen))))
      kept.places.set(kind, { after: page.at(-1)?.key ?? place.after, busy: false, over: page.length < rows })
    } catch (error) {
      kept.places.set(kind, place)
      throw error
    }
    return 'stepped'
  }

  #settle(kept: MemoryPass, page: readonly HeldEnvelope[], outcomes: readonly PassOutcome[]): void {
    if (outcomes.length !== page.length) {
      throw new BrokerError('internal', `a step of the pass ${kept.pass.id} has ${outcomes.length} outcomes for ${page.length} rows`)
    }
    // first of all: what throws has changed nothing
    for (const outcome of outcomes) if (outcome !== 'kept' && 'kekId' in outcome) this.#state.admit(outcome)
    for (const [index, row] of page.entries()) {
      const outcome = outcomes[index] ?? 'kept'
      if (outcome === 'kept') kept.done += 1
      else if ('code' in outcome) kept.failures.push({ slot: row.slot, kekId: row.sealed.kekId, ...outcome })
      else {
        const { payload } = kept.pass.kind === 'reencrypt' ? outcome : row.sealed
        if (replaced(this.#state, row, { ...outcome, payload })) kept.done += 1
        else kept.skipped += 1
      }
    }
  }

  #end(kept: MemoryPass): 'over' {
    if (!kept.over) kept.skipped += Math.max(0, kept.total - kept.done - kept.skipped - kept.failures.length)
    kept.over = true
    return 'over'
  }

  async progress(id: string): Promise<PassProgress | null> {
    const kept = this.#passes.get(id)
    if (kept === undefined) return null
    const { done, skipped, over } = kept
    const failed = kept.failures.length
    const passed = done + skipped + failed
    return { total: over ? passed : Math.max(kept.total, passed), done, skipped, failed, over }
  }

  async failures(id: string, limit: number): Promise<readonly PassFailure[]> {
    return copy(this.#passes.get(id)?.failures.slice(0, limit) ?? [])
  }

  async forget(id: string): Promise<void> {
    this.#passes.delete(id)
  }
}

const nothing = new Uint8Array()

const isPassed = (pass: Pass, { sealed }: HeldEnvelope): boolean => pass.kind !== 'rewrap' || sealed.kekId !== pass.kekId

const byId = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
