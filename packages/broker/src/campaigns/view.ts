import { BrokerError, bounded, type Clock, type PassFailure, type PassProgress } from '@keyturn/core'
import type { BackupRecord, Campaign, Ledger } from '@keyturn/ledger'
import type { SealedPart } from '../keys/sealed-parts.ts'
import { type NameParts, nameOfRow } from './row-names.ts'

const answerMs = 5_000
const failuresMax = 100

/** How far a campaign is in one database. */
export interface PartProgress {
  readonly part: string
  /** Null: it has not begun there, or what was kept of it is forgotten. */
  readonly progress: PassProgress | null
  readonly failures: readonly PassFailure[]
  /** Set when the database did not answer. */
  readonly silent: boolean
}

/** Asks every database how far a pass is, all at the same time; one that does not answer keeps nobody waiting for long. */
export function progressOf(parts: readonly SealedPart[], id: string, clock: Clock, failures: number): Promise<readonly PartProgress[]> {
  return Promise.all(parts.map(part => progressIn(part, id, clock, failures)))
}

async function progressIn(part: SealedPart, id: string, clock: Clock, limit: number): Promise<PartProgress> {
  const late = () => new BrokerError('unavailable', `${part.name}: no answer within ${answerMs} ms`)
  try {
    return await bounded(clock, answerMs, undefined, late, async () => {
      const envelopes = await part.open()
      const progress = await envelopes.progress(id)
      const failed = limit > 0 && (progress?.failed ?? 0) > 0
      return { part: part.name, progress, failures: failed ? await envelopes.failures(id, limit) : [], silent: false }
    })
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return { part: part.name, progress: null, failures: [], silent: true }
  }
}

const none: PassProgress = { total: 0, done: 0, skipped: 0, failed: 0, over: false }

/** The counts of all databases together. */
export function sumOf(all: readonly PartProgress[]): Omit<PassProgress, 'over'> {
  const sum = { total: 0, done: 0, skipped: 0, failed: 0 }
  for (const { progress } of all) {
    const { total, done, skipped, failed } = progress ?? none
    sum.total += total
    sum.done += done
    sum.skipped += skipped
    sum.failed += failed
  }
  return sum
}

/** What a view of a campaign is made from. */
export interface ViewParts extends NameParts {
  readonly ledger: Pick<Ledger, 'secrets' | 'backups'>
  readonly clock: Clock
}

/** A campaign as `rotation-status` shows it. */
export async function campaignView(known: ViewParts, campaign: Campaign, waitsFor: 'kek' | 'backup' | null): Promise<object> {
  const all = await progressOf(known.parts, campaign.id, known.clock, failuresMax)
  // what a broker has told of it already says more
  const silent = all.filter(each => each.silent && campaign.note?.includes(each.part) !== true).map(each => `${each.part} does not answer`)
  const notes = [...(campaign.note === null ? [] : [campaign.note]), ...silent]
  return {
    op_id: campaign.id,
    kind: campaign.kind,
    state: campaign.state,
    waiting_for: waitsFor,
    target: campaign.kekId,
    note: notes.length === 0 ? null : notes.join('; '),
    ...sumOf(all),
    started: campaign.startedAt,
    finished: campaign.finishedAt,
    databases: [...all.map(each => partView(campaign, each)), ...backupsView(campaign, all, await known.ledger.backups.all())],
    failures: await failuresOf(known, all),
    items: [],
  }
}

function partView(campaign: Campaign, { part, progress }: PartProgress): object {
  const { total, done, skipped, failed } = progress ?? none
  return { name: part, total, done, skipped, failed, state: partState(campaign, progress) }
}

function partState({ state }: Campaign, progress: PassProgress | null): 'waiting' | 'running' | 'done' | 'failed' {
  if (progress?.over === true) return progress.failed > 0 ? 'failed' : 'done'
  if (progress === null && (state === 'done' || state === 'failed')) return 'done'
  return progress !== null && state === 'running' ? 'running' : 'waiting'
}

/** The versions in the backups that are kept: those under the KEK that it leads to, and the others. No entry where there are none. */
function backupsView({ kind, kekId, state }: Campaign, all: readonly PartProgress[], backups: readonly BackupRecord[]): readonly object[] {
  const counts = backups.flatMap(({ keks }) => Object.entries(keks))
  if (kind === 'scrub' || kekId === null || counts.length === 0) return []
  const total = counts.reduce((sum, [, opens]) => sum + opens, 0)
  const done = counts.reduce((sum, [id, opens]) => (id === kekId ? sum + opens : sum), 0)
  const isOver = state === 'done' || state === 'failed'
  const failed = isOver ? total - done : 0
  const isBegun = state === 'running' && all.every(({ progress }) => progress?.over === true)
  const ended = failed > 0 ? 'failed' : 'done'
  return [{ name: 'backups', total, done, skipped: 0, failed, state: isOver ? ended : isBegun ? 'running' : 'waiting' }]
}

async function failuresOf(known: ViewParts, all: readonly PartProgress[]): Promise<readonly object[]> {
  const found = all.flatMap(({ part, failures }) => failures.map(failure => ({ part, failure }))).slice(0, failuresMax)
  const views: object[] = []
  for (const { part, failure } of found) {
    const { slot, kekId, code, message } = failure
    const secret = await nameOfRow(known, part, slot)
    views.push({ database: part, secret, version: String(slot.number), kek: kekId, code, detail: message })
  }
  return views
}
