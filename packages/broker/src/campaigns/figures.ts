import type { PassKind, PassProgress } from '@keyturn/core'
import type { Campaign } from '@keyturn/ledger'
import type { Unopened } from './outcomes.ts'

/** What there is to say of one kind of campaign. */
export interface CampaignFigures {
  readonly kind: PassKind
  /** The newest of its kind, with the counts of all databases that answered; null: there was none. */
  readonly newest: { readonly campaign: Campaign; readonly progress: Omit<PassProgress, 'over'> } | null
  /** Rows that this process went through since it began. */
  readonly rows: number
  /** Of these: damaged, and closed under a KEK that is not loaded. */
  readonly damaged: number
  readonly unreadable: number
}

const kinds = ['rewrap', 'reencrypt', 'scrub'] as const

interface Count {
  rows: number
  damaged: number
  unreadable: number
}

/** What this process has done, by kind; only ever grows. */
export class Counters {
  readonly #counts = new Map<PassKind, Count>(kinds.map(kind => [kind, { rows: 0, damaged: 0, unreadable: 0 }]))

  /** After a step is durable. */
  count(kind: PassKind, rows: number, unopened: readonly Unopened[]): void {
    const count = this.#counts.get(kind)
    if (count === undefined) return
    const damaged = unopened.filter(({ error }) => error.code === 'corrupt').length
    count.rows += rows
    count.damaged += damaged
    count.unreadable += unopened.length - damaged
  }

  async figures(newest: (kind: PassKind) => Promise<CampaignFigures['newest']>): Promise<readonly CampaignFigures[]> {
    return Promise.all([...this.#counts].map(async ([kind, count]) => ({ kind, newest: await newest(kind), ...count })))
  }
}
