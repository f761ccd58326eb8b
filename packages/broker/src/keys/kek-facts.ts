import { BrokerError, isOver, type OperationId } from '@keyturn/core'
import type { BackupRecord, Campaign, Instance, KekRecord } from '@keyturn/ledger'
import type { Broker } from '../broker.ts'
import { type PartUse, useOf } from './sealed-parts.ts'

/** How many open rotations are looked at: more than these say nothing new of a KEK. */
const rotationsMax = 100

/** An operation that is not over. */
export interface OpenOp {
  readonly op_id: OperationId | null
  readonly kind: string
  readonly state: string
  readonly started: Date
  /** The KEK that it leads to; null: it leads to none. */
  readonly target: string | null
}

/** What is known of the KEKs at one moment, everywhere. */
export interface KekFacts {
  readonly now: Date
  readonly records: readonly KekRecord[]
  readonly live: readonly Instance[]
  readonly uses: readonly PartUse[]
  readonly backups: readonly BackupRecord[]
  readonly openOps: readonly OpenOp[]
  /** The newest campaign that encrypted everything anew and is over without a fault; null: there was none. */
  readonly reencrypted: Campaign | null
}

/** Asks the ledger and every database with sealed rows, all at the same time. Only a ledger that does not answer is an error. */
export async function kekFacts(broker: Pick<Broker, 'ledger' | 'parts' | 'clock' | 'life' | 'config'>): Promise<KekFacts> {
  const { ledger, parts, clock, life, config } = broker
  const [now, records, live, uses, backups, campaigns, rotations, last] = await Promise.all([
    ledger.now(),
    ledger.keks.all(),
    ledger.instances.live(),
    useOf(parts, clock),
    ledger.backups.all(),
    ledger.campaigns.unfinished(),
    ledger.secrets.page({ after: null, limit: rotationsMax, open: true }),
    ledger.campaigns.last('reencrypt'),
  ])
  const [ledgers] = uses
  if (ledgers?.error !== undefined) throw ledgers.error
  const running = campaigns
    .filter(({ kind }) => kind !== 'scrub')
    .map(({ id, kind, state, startedAt, kekId }) => ({ op_id: id, kind, state, started: startedAt, target: kekId }))
  const rotating = rotations.flatMap(({ rotation }) =>
    rotation === null || isOver(rotation.state)
      ? []
      : [{ op_id: rotation.op, kind: 'rotate', state: rotation.state, started: rotation.startedAt, target: null }],
  )
  return {
    now,
    records,
    live: config.broker.ledger === null ? live.filter(({ id }) => id === life.id) : live,
    uses,
    backups,
    openOps: [...running, ...rotating],
    reencrypted: last?.state === 'done' ? last : null,
  }
}

/** The record of a KEK; `not_found` for an id that this deployment never met. */
export function recordOf(records: readonly KekRecord[], id: string): KekRecord {
  const record = records.find(known => known.id === id)
  if (record !== undefined) return record
  throw new BrokerError('not_found', `there is no KEK ${id}`, {
    hint: 'keyturn kek status shows those that there are',
    detail: { kekId: id },
  })
}

/** Envelopes that need a KEK, by what they are, with the versions in the backups that are kept. */
export function needsOf({ uses, backups }: Pick<KekFacts, 'uses' | 'backups'>, id: string): Readonly<Record<string, number>> {
  const needs: Record<string, number> = { versions: 0, pending: 0, journal: 0, records: 0, backups: 0 }
  for (const { keks = [] } of uses) {
    for (const [kind, count] of keks.filter(use => use.id === id).flatMap(use => Object.entries(use.needs)))
      needs[kind] = (needs[kind] ?? 0) + count
  }
  needs.backups = backups.reduce((sum, backup) => sum + (backup.keks[id] ?? 0), 0)
  return needs
}

/** Wraps under a KEK in all databases together, as they were reserved. */
export function wrapsOf({ uses }: Pick<KekFacts, 'uses'>, id: string): number {
  return uses.flatMap(({ keks = [] }) => keks).reduce((sum, use) => sum + (use.id === id ? use.wraps : 0), 0)
}
