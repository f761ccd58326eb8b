import type { OperationId, PassKind } from '@keyturn/core'
import type { Campaign } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { named } from '../exchange.ts'

/** What is to become of the backups when the databases are through. */
export interface BundlesWish {
  readonly kind: Exclude<PassKind, 'scrub'>
  readonly pass: OperationId
  readonly toKek: string
  readonly signal: AbortSignal
}

/** What renews backups. */
export interface RenewalParts {
  readonly log: Pick<Logger, 'warn'>
  /** Renews what is closed in the backups on this machine; left out: there are none. Twice is once. */
  readonly renewBundles?: (wish: BundlesWish) => Promise<{ readonly notes: readonly string[] }>
}

interface Renewal {
  readonly end: AbortController
  readonly ended: Promise<void>
  notes: readonly string[] | null
}

/** The backups of campaigns that are through every database: renewed beside everything else, because that may take as long as the databases did. */
export class Renewals {
  readonly #parts: RenewalParts
  readonly #changed: () => void
  readonly #all = new Map<OperationId, Renewal>()

  /** `changed`: the backups of a campaign are through. */
  constructor(parts: RenewalParts, changed: () => void) {
    this.#parts = parts
    this.#changed = changed
  }

  /**
   * What there is to say of the backups of a campaign at its end; null: they are being renewed. One that cannot be renewed keeps no campaign from its
   * end: what it needs is counted where KEKs are retired.
   */
  notesOf(campaign: Campaign): readonly string[] | null {
    return (this.#all.get(campaign.id) ?? this.#begin(campaign)).notes
  }

  /** Nobody asks for this campaign any more; what is being renewed goes on. */
  forget(id: OperationId): void {
    if (this.#all.get(id)?.notes != null) this.#all.delete(id)
  }

  /** Ends between two lines of a bundle. */
  leave(id: OperationId): void {
    this.#all.get(id)?.end.abort()
  }

  async stop(): Promise<void> {
    for (const { end } of this.#all.values()) end.abort()
    await Promise.all([...this.#all.values()].map(({ ended }) => ended))
  }

  #begin(campaign: Campaign): Renewal {
    const end = new AbortController()
    const ended = this.#renew(campaign, end.signal).then(notes => {
      renewal.notes = notes
      this.#changed()
    })
    const renewal: Renewal = { end, ended, notes: null }
    this.#all.set(campaign.id, renewal)
    return renewal
  }

  async #renew({ id, kind, kekId }: Campaign, signal: AbortSignal): Promise<readonly string[]> {
    const { renewBundles, log } = this.#parts
    if (renewBundles === undefined || kind === 'scrub' || kekId === null) return []
    try {
      return (await renewBundles({ kind, pass: id, toKek: kekId, signal })).notes
    } catch (error) {
      if (signal.aborted) return []
      const { code, message } = named(error)
      log.warn({ op: id, code }, 'the backups on this machine could not be renewed')
      return [`backups: ${message}`]
    }
  }
}
