import { BrokerError, type OperationId } from '@keyturn/core'
import type { Campaign } from '../ledger.ts'

/** What opens a campaign. */
export type CampaignRequest = Pick<Campaign, 'kind' | 'kekId' | 'principal' | 'reason'> & { readonly state: 'waiting' | 'running' }

export const isUnfinished = (state: Campaign['state']): boolean => state === 'waiting' || state === 'running'

/** Why an open campaign makes way for another one. */
export function overtaken({ id, kekId }: Pick<Campaign, 'id' | 'kekId'>): string {
  return kekId === null ? `it goes on as ${id}` : `it goes on as ${id}, which leads to KEK ${kekId}`
}

export const noCampaign = (id: OperationId): BrokerError => new BrokerError('not_found', `no campaign ${id} in the ledger`)
