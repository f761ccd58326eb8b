import type { Instance, KekRecord, Keks, MetKek } from '../ledger.ts'
import { copy } from '../rules/copy.ts'
import { kekNeeded, metKeks, movedKek, mustClose, mustKnow, promotedKeks } from '../rules/kek.ts'
import { heldEnvelopes, needsOf } from './envelope-rows.ts'
import { liveIn } from './instances.ts'
import type { MemoryKek, MemoryState } from './state.ts'

const unused: MemoryKek = { fingerprint: null, wraps: 0, retiredAt: null }

export class MemoryKeks implements Keks {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async all(): Promise<readonly KekRecord[]> {
    return copy(this.#known())
  }

  async meet(keks: readonly MetKek[]): Promise<void> {
    const { clock, keks: uses } = this.#state
    const met = metKeks(this.#known(), copy(keks), clock.now())
    this.#save(met)
    for (const { id, fingerprint } of met) uses.set(id, { ...(uses.get(id) ?? unused), fingerprint })
  }

  async reserve(id: string, count: number): Promise<number> {
    const { keks: uses } = this.#state
    mustClose(mustKnow(this.#known(), id))
    const use = uses.get(id) ?? unused
    const wraps = use.wraps + count
    uses.set(id, { ...use, wraps })
    return wraps
  }

  async promote(
    to: string,
    options: { readonly from: string | null; readonly allows: (live: readonly Instance[]) => boolean },
  ): Promise<boolean> {
    const state = this.#state
    const promoted = promotedKeks(this.#known(), to, options.from, state.clock.now())
    if (promoted === null || !options.allows(liveIn(state))) return false
    this.#save(promoted)
    return true
  }

  async move(id: string, to: 'compromised' | 'retired' | 'destroyed'): Promise<void> {
    const { clock, keks: uses } = this.#state
    const now = clock.now()
    const moved = movedKek(mustKnow(this.#known(), id), to, now)
    if (moved === null) return
    if (to === 'retired') this.#mustBeFree(id)
    this.#save([moved])
    const use = uses.get(id)
    if (to !== 'compromised' && use !== undefined) uses.set(id, { ...use, retiredAt: use.retiredAt ?? now })
  }

  #known(): readonly KekRecord[] {
    return [...this.#state.kekLives.values()].sort((a, b) => a.metAt.getTime() - b.metAt.getTime() || (a.id < b.id ? -1 : 1))
  }

  #save(records: readonly KekRecord[]): void {
    for (const record of records) this.#state.kekLives.set(record.id, record)
  }

  #mustBeFree(id: string): void {
    const needs = needsOf(heldEnvelopes(this.#state), id)
    if (Object.keys(needs).length > 0) throw kekNeeded(id, needs)
  }
}
