import { BrokerError, bounded, type Clock, type PassFailure, type PassProgress } from '@keyturn/core'
import type { Campaign, Ledger } from '@keyturn/ledger'
import type { SealedPart } from '../keys/sealed-parts.ts'

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
export interface ViewParts {
  readonly ledger: Pick<Ledger, 'secrets'>
  readonly parts: readonly SealedPart[]
  readonly clock: Clock
}

/** A campaign as `rotation-status` shows it. */
export async function campaignView(
  { ledger, parts, clock }: ViewParts,
  campaign: Campaign,
  waitsFor: 'kek' | 'backup' | null,
): Promise<object> {
  const all = await progressOf(parts, campaign.id, clock, failuresMax)
  const silent = all.filter(each => each.silent).map(each => `${each.part} does not answer`)
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
    databases: all.map(each => partView(campaign, each)),
    failures: await failuresOf(ledger, all),
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

async function failuresOf(ledger: ViewParts['ledger'], all: readonly PartProgress[]): Promise<readonly object[]> {
  const found = all.flatMap(({ part, failures }) => failures.map(failure => ({ part, failure }))).slice(0, failuresMax)
  const views: object[] = []
  for (const { part, failure } of found) {
    const { slot, kekId, code, message } = failure
    const row = slot.kind === 'root' ? null : await ledger.secrets.byId(slot.secretId)
    views.push({ database: part, secret: row?.name ?? slot.secretId, version: String(slot.number), kek: kekId, code, detail: message })
  }
  return views
}
