import type { OperationId, PassKind } from '@keyturn/core'
import { newOperationId } from '../identifier.ts'
import type { Campaign, Campaigns } from '../ledger.ts'
import { type CampaignRequest, isUnfinished, noCampaign, overtaken } from '../rules/campaign.ts'
import { copy } from '../rules/copy.ts'
import type { MemoryState } from './state.ts'

export class MemoryCampaigns implements Campaigns {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async open({ kind, kekId, principal, reason, state }: CampaignRequest): Promise<Campaign> {
    const { clock, random, operations, campaigns } = this.#state
    const open = [...campaigns.values()].find(campaign => campaign.kind === kind && isUnfinished(campaign.state))
    if (open?.kekId === kekId) return copy(open)
    const startedAt = clock.now()
    const id = newOperationId(random)
    if (open !== undefined) campaigns.set(open.id, { ...open, state: 'aborted', finishedAt: startedAt, note: overtaken({ id, kekId }) })
    operations.set(id, { id, kind, principal, reason, startedAt })
    const campaign: Campaign = { id, kind, kekId, state, principal, reason, startedAt, finishedAt: null, note: null }
    campaigns.set(id, campaign)
    return copy(campaign)
  }

  async byId(id: OperationId): Promise<Campaign | null> {
    return copy(this.#state.campaigns.get(id) ?? null)
  }

  async unfinished(): Promise<readonly Campaign[]> {
    return copy([...this.#state.campaigns.values()].filter(({ state }) => isUnfinished(state)))
  }

  async last(kind: PassKind): Promise<Campaign | null> {
    return copy([...this.#state.campaigns.values()].findLast(campaign => campaign.kind === kind) ?? null)
  }

  async lastWhole(kind: PassKind): Promise<Campaign | null> {
    const whole = (campaign: Campaign) => campaign.kind === kind && (campaign.state === 'done' || campaign.state === 'failed')
    return copy([...this.#state.campaigns.values()].findLast(whole) ?? null)
  }

  async move(id: OperationId, to: { readonly state: Campaign['state']; readonly note: string | null }): Promise<boolean> {
    const { clock, campaigns } = this.#state
    const campaign = campaigns.get(id)
    if (campaign === undefined) throw noCampaign(id)
    if (!isUnfinished(campaign.state)) return false
    const finishedAt = isUnfinished(to.state) ? null : clock.now()
    campaigns.set(id, { ...campaign, state: to.state, note: to.note, finishedAt })
    return true
  }
}
