import type { PassKind } from '@keyturn/core'
import type { Campaign } from '@keyturn/ledger'
import { PassRun, type PassRunOptions } from './pass-run.ts'

/** What the passes of one campaign are run with in this process. */
export interface CampaignRunOptions extends Omit<PassRunOptions, 'pass' | 'part' | 'stepped'> {
  readonly campaign: Campaign
  readonly parts: readonly PassRunOptions['part'][]
  readonly stepped: (part: string, ...step: Parameters<PassRunOptions['stepped']>) => void
}

/** This process's share of one campaign: its pass in every database, side by side, so that none waits for one that hangs. */
export class CampaignRun {
  readonly kind: PassKind
  readonly #passes: readonly PassRun[]
  /** What this process last told of it. */
  told: string | null = null

  constructor({ campaign, parts, stepped, ...options }: CampaignRunOptions) {
    const { id, kind, kekId } = campaign
    this.kind = kind
    this.#passes = parts.map(
      part => new PassRun({ ...options, part, pass: { id, kind, kekId }, stepped: (rows, unopened) => stepped(part.name, rows, unopened) }),
    )
  }

  /** Whether every database is through. */
  get over(): boolean {
    return this.#passes.every(pass => pass.over)
  }

  /** What keeps it from going on, in words; null: nothing. */
  get trouble(): string | null {
    const troubles = this.#passes.flatMap(({ trouble }) => trouble ?? [])
    return troubles.length === 0 ? null : troubles.join('; ')
  }

  /** Ends between two steps. */
  async stop(): Promise<void> {
    await Promise.all(this.#passes.map(pass => pass.stop()))
  }
}
