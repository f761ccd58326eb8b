import type { AuditEvent } from '@keyturn/audit'
import type { OperationId, PassKind } from '@keyturn/core'
import type { Campaign, Instance, Ledger } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { named } from '../exchange.ts'

/** What makes the backups that campaigns begin after. */
export interface FirstBackups {
  isNeeded(kind: Exclude<PassKind, 'scrub'>): boolean
  /** Whether the backup of this campaign is on a disk, and registered. */
  isMade(id: OperationId): Promise<boolean>
  /** Makes it; made twice it is there once. Whatever it throws keeps the campaign from its beginning. */
  make(campaign: Campaign & { readonly kind: Exclude<PassKind, 'scrub'> }, signal: AbortSignal): Promise<void>
}

/** What the preparation of campaigns takes. */
export interface PreparationParts {
  readonly ledger: Pick<Ledger, 'campaigns'>
  readonly audit: { append(event: AuditEvent): Promise<void> }
  readonly log: Pick<Logger, 'warn' | 'error'>
  /** This process, among the brokers of its ledger. */
  readonly instance: string
  /** Left out: campaigns begin without a backup. */
  readonly backUp?: FirstBackups
}

/**
 * Makes the backup that a campaign begins after, while the campaign waits for it: the broker that accepted the campaign, or when that has died, another
 * one. A campaign whose backup cannot be made is aborted.
 */
export class Preparation {
  readonly #parts: PreparationParts
  readonly #changed: () => void
  readonly #making = new Map<OperationId, { readonly end: AbortController; readonly ended: Promise<void> }>()

  /** `changed`: a backup is made, or is not to be. */
  constructor(parts: PreparationParts, changed: () => void) {
    this.#parts = parts
    this.#changed = changed
  }

  /** The campaigns that a backup is made for here. */
  get ids(): readonly OperationId[] {
    return [...this.#making.keys()]
  }

  isNeeded(kind: PassKind): boolean {
    return kind !== 'scrub' && this.#parts.backUp?.isNeeded(kind) === true
  }

  /** Whether a campaign that waits for nothing else may run. If not, its backup is being made, by this broker or another. */
  async isDone(campaign: Campaign, live: readonly Instance[]): Promise<boolean> {
    const { backUp } = this.#parts
    if (backUp === undefined || !this.isNeeded(campaign.kind)) return true
    if (this.#making.has(campaign.id)) return false
    if (await backUp.isMade(campaign.id)) return true
    if (this.#isOurs(campaign, live)) await this.begin(campaign)
    return false
  }

  /** Tells that the backup is being made here, and makes it. */
  async begin(campaign: Campaign): Promise<void> {
    const { ledger, instance } = this.#parts
    await ledger.campaigns.move(campaign.id, { state: 'waiting', note: noteOf(instance) })
    if (this.#making.has(campaign.id)) return
    const end = new AbortController()
    const ended = this.#make(campaign, end.signal).finally(() => {
      this.#making.delete(campaign.id)
      this.#changed()
    })
    this.#making.set(campaign.id, { end, ended })
  }

  /** Somebody ended the campaign: nothing is left of a backup that is half made. */
  leave(id: OperationId): void {
    this.#making.get(id)?.end.abort()
  }

  /** Ends what is being made; another broker makes it, or the next life of this one. */
  async stop(): Promise<void> {
    for (const { end } of this.#making.values()) end.abort()
    await Promise.all([...this.#making.values()].map(({ ended }) => ended))
  }

  /** Its maker is the one that its note names. When that is gone, all see the same other one. */
  #isOurs({ note }: Campaign, live: readonly Instance[]): boolean {
    const ids = live.map(({ id }) => id).sort()
    const maker = ids.find(id => note === noteOf(id)) ?? ids[0]
    return maker === undefined || maker === this.#parts.instance
  }

  async #make(campaign: Campaign, signal: AbortSignal): Promise<void> {
    const { backUp, log } = this.#parts
    const { id, kind } = campaign
    if (backUp === undefined || kind === 'scrub') return
    try {
      await backUp.make({ ...campaign, kind }, signal)
    } catch (error) {
      if (signal.aborted) return
      await this.#fail(campaign, error).catch((failed: unknown) => {
        log.warn({ op: id, code: named(failed).code }, 'a campaign without its backup could not be ended; its backup is tried again')
      })
    }
  }

  async #fail({ id, kind }: Campaign, error: unknown): Promise<void> {
    const { ledger, audit, log } = this.#parts
    const { code, message } = named(error)
    await ledger.campaigns.move(id, { state: 'aborted', note: message })
    log.error({ op: id, kind, code }, message)
    const event = { principal: 'keyturn', action: `${kind}.aborted`, secret: null, version: null, field: null, requestId: id, source: null }
    await audit.append({ ...event, outcome: 'failed', code })
  }
}

const noteOf = (instance: string) => `a backup is being made first, by ${instance}`
