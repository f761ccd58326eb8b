import { BrokerError, type Clock, type OperationId, type PassKind, type Random } from '@keyturn/core'
import type { Keyring } from '@keyturn/envelope'
import type { Campaign, Ledger } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { named } from '../exchange.ts'
import type { SealedPart } from '../keys/sealed-parts.ts'
import { Asides } from './asides.ts'
import { CampaignRun } from './campaign-run.ts'
import { Damage } from './damage.ts'
import { endCampaign } from './ending.ts'
import { type CampaignFigures, Counters } from './figures.ts'
import type { Sealing } from './outcomes.ts'
import { Preparation, type PreparationParts } from './preparation.ts'
import { type RenewalParts, Renewals } from './renewals.ts'
import type { NameParts } from './row-names.ts'
import { scrubPace } from './scrub-pace.ts'
import { type DamagedValue, damagedValues, scrubIfDue } from './scrubs.ts'
import { currentOf, hindrance, type Situation, targetOf } from './target.ts'
import { campaignView, progressOf, sumOf } from './view.ts'

const lookMs = 15_000
/** While one runs: how soon an abort elsewhere, or a new current KEK, is noticed. */
const lookRunningMs = 2_000

type CampaignWish = Pick<Campaign, 'kind' | 'principal' | 'reason'>

/** What campaigns are run with. */
export interface CampaignParts extends PreparationParts, RenewalParts, NameParts {
  readonly ledger: Pick<Ledger, 'campaigns' | 'keks' | 'instances' | 'secrets' | 'backups' | 'now'>
  readonly keyring: Pick<Keyring, 'currentId' | 'wanted' | 'has'>
  /** Every database with sealed rows. */
  readonly parts: readonly SealedPart[]
  /** What opens and closes the rows of a database, by its id. */
  readonly sealing: (store: string) => Sealing
  readonly clock: Clock
  readonly random: Random
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
}

/**
 * The passes through every sealed value of the deployment: re-wraps, re-encryptions, and the daily scrub. What is to be done is in the ledger, how far it is
 * in each database; here is only who steps. Several brokers share one campaign, and any of them may die at any time.
 */
export class Campaigns {
  readonly #parts: CampaignParts
  readonly #runs = new Map<OperationId, CampaignRun>()
  readonly #stopping = new Set<Promise<void>>()
  readonly #asides: Asides
  readonly #counters = new Counters()
  readonly #damage: Damage
  readonly #preparation: Preparation
  readonly #renewals: Renewals
  #loop: Promise<void> | null = null
  readonly #stop = new AbortController()
  #woken = false
  #rouse: () => void = () => undefined

  constructor(parts: CampaignParts) {
    this.#parts = parts
    this.#damage = new Damage(parts)
    this.#preparation = new Preparation(parts, () => this.wake())
    this.#renewals = new Renewals(parts, () => this.wake())
    this.#asides = new Asides(parts)
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** Something may have begun, or may begin now: a KEK became current. */
  wake(): void {
    this.#woken = true
    this.#rouse()
  }

  /** Ends what this process does between two steps; others, or its next life, go on. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.wake()
    await this.#loop
    await this.#preparation.stop()
    await this.#renewals.stop()
    for (const id of [...this.#runs.keys()]) this.#leave(id)
    await Promise.all(this.#stopping)
  }

  /**
   * Begins a campaign to the current KEK, or to the one that is about to be, or joins the one that is open. One that a backup is to be made before waits
   * for that, and this process makes it.
   */
  async begin(wish: CampaignWish & { readonly kind: Exclude<PassKind, 'scrub'> }): Promise<Campaign> {
    const situation = await this.#situation()
    const { campaign, why } = await this.#open(wish, situation)
    // whoever joins one finds its backup begun
    if (campaign.state === 'waiting' && campaign.note === null && why === null) await this.#preparation.begin(campaign)
    this.wake()
    return campaign
  }

  async #open(wish: CampaignWish, situation: Situation): Promise<{ readonly campaign: Campaign; readonly why: string | null }> {
    const kekId = targetOf(situation)
    const why = hindrance({ kekId }, situation)
    const state = why === null && !this.#preparation.isNeeded(wish.kind) ? 'running' : 'waiting'
    return { campaign: await this.#parts.ledger.campaigns.open({ ...wish, kekId, state }), why }
  }

  /** Ends one for good; every broker stops within seconds. `conflict` when it is over, `not_found` when there is none. */
  async abort(id: OperationId, why: string): Promise<void> {
    await this.#mustBeOpen(id)
    await this.#parts.ledger.campaigns.move(id, { state: 'aborted', note: why })
    this.wake()
  }

  /** Goes on at once where it waits for the next try. Errors as of `abort`. */
  async retry(id: OperationId): Promise<void> {
    await this.#mustBeOpen(id)
    this.#leave(id)
    this.wake()
  }

  /** A campaign as `rotation-status` shows it; null when there is none. */
  async view(id: OperationId): Promise<object | null> {
    const campaign = await this.#parts.ledger.campaigns.byId(id)
    return campaign === null ? null : campaignView(this.#parts, campaign, await this.#waitsFor(campaign))
  }

  /** The newest campaign of each kind, and what this process has done for campaigns since it began. */
  async figures(): Promise<readonly CampaignFigures[]> {
    const { ledger, parts, clock } = this.#parts
    return this.#counters.figures(async kind => {
      const campaign = await ledger.campaigns.last(kind)
      return campaign === null ? null : { campaign, progress: sumOf(await progressOf(parts, campaign.id, clock, 0)) }
    })
  }

  /** What scrubs found damaged, and none found healed since. */
  damaged(): Promise<readonly DamagedValue[]> {
    return damagedValues(this.#parts)
  }

  async #waitsFor(campaign: Campaign): Promise<'kek' | 'backup' | null> {
    if (campaign.state !== 'waiting') return null
    return hindrance(campaign, await this.#situation()) === null ? 'backup' : 'kek'
  }

  async #mustBeOpen(id: OperationId): Promise<void> {
    const campaign = await this.#parts.ledger.campaigns.byId(id)
    if (campaign === null) throw new BrokerError('not_found', 'no campaign has this id')
    if (campaign.finishedAt === null) return
    throw new BrokerError('conflict', `nothing in this operation is open any more: it is ${campaign.state}`, { detail: { op: id } })
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#woken = false
      await this.#look().catch((error: unknown) => {
        this.#parts.log.warn({ code: named(error).code }, 'campaigns could not be looked at; they are looked at again')
      })
      await this.#sleep()
    }
  }

  #sleep(): Promise<void> {
    if (this.#woken || this.#stop.signal.aborted) return Promise.resolve()
    const hurried = this.#preparation.ids.length > 0 || [...this.#runs.values()].some(run => run.kind !== 'scrub' || run.over)
    return new Promise(resolve => {
      const cancel = this.#parts.clock.after(hurried ? lookRunningMs : lookMs, resolve)
      this.#rouse = () => {
        cancel()
        resolve()
      }
    })
  }

  async #look(): Promise<void> {
    await this.#try('scrub', () => scrubIfDue(this.#parts))
    const unfinished = await this.#parts.ledger.campaigns.unfinished()
    const ids = new Set(unfinished.map(({ id }) => id))
    for (const id of [...this.#runs.keys()].filter(id => !ids.has(id))) await this.#try(id, () => this.#ended(id))
    for (const id of this.#preparation.ids.filter(id => !ids.has(id))) this.#preparation.leave(id)
    const situation = await this.#situation()
    for (const campaign of unfinished) {
      if (this.#stop.signal.aborted) return
      await this.#try(campaign.id, () => this.#attend(campaign, situation))
    }
  }

  /** What fails of one campaign keeps nobody from the others, and is done again at the next look. */
  async #try(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#parts.log.warn({ what, code: named(error).code }, 'a campaign could not be looked after; it is looked at again')
    }
  }

  async #situation(): Promise<Situation> {
    const { ledger, keyring } = this.#parts
    const [records, live] = await Promise.all([ledger.keks.all(), ledger.instances.live()])
    return { records, live, own: { currentId: keyring.currentId, wanted: keyring.wanted } }
  }

  async #attend(campaign: Campaign, situation: Situation): Promise<void> {
    const why = hindrance(campaign, situation)
    if (why !== null && targetOf(situation) !== campaign.kekId) return this.#redirect(campaign, situation)
    const isCurrent = campaign.kekId === null || campaign.kekId === currentOf(situation)
    if (!isCurrent) this.#leave(campaign.id)
    if (why !== null && (campaign.state === 'waiting' || !isCurrent)) return this.#tell({ ...campaign, state: 'waiting' }, why)
    if (campaign.state === 'waiting' && !(await this.#preparation.isDone(campaign, situation.live))) return
    const run = this.#runs.get(campaign.id) ?? this.#join(campaign)
    if (run.over) return this.#end(campaign)
    if (campaign.state === 'running' && run.trouble === run.told) return
    run.told = run.trouble
    if (run.told !== null) this.#parts.log.warn({ op: campaign.id, kind: campaign.kind, why: run.told }, 'a campaign is held up')
    await this.#tell({ ...campaign, state: 'running' }, run.told === null ? null : `${run.told}: it is tried again by itself`)
  }

  /** Brokers have troubles of their own: each tells of what it met and takes back what it told. */
  async #tell({ id, state, note }: Campaign, now: string | null): Promise<void> {
    if (state === 'running' || now !== note) await this.#parts.ledger.campaigns.move(id, { state, note: now })
  }

  /** Another KEK has become current, or is about to: what was wrapped for the former target would have to be wrapped again, so it goes on from the start. */
  async #redirect(campaign: Campaign, situation: Situation): Promise<void> {
    const { kind, principal, reason } = campaign
    const { campaign: begun } = await this.#open({ kind, principal, reason }, situation)
    this.#parts.log.info({ op: campaign.id, goesOnAs: begun.id, kek: begun.kekId }, 'a campaign leads to another KEK now')
    this.wake()
  }

  #join(campaign: Campaign): CampaignRun {
    const { id, kind, kekId, startedAt } = campaign
    const { parts, clock, random, sealing, log } = this.#parts
    log.info({ op: id, kind, kek: kekId }, 'joins a campaign')
    const run = new CampaignRun({
      campaign,
      parts,
      clock,
      random,
      sealing,
      aside: envelopes => this.#asides.of(envelopes),
      ...(kind === 'scrub' ? { pace: scrubPace(id, startedAt, clock) } : {}),
      stepped: (part, rows, unopened) => {
        this.#counters.count(kind, rows, unopened)
        this.#damage.found(campaign, part, unopened)
      },
      changed: () => this.wake(),
    })
    this.#runs.set(id, run)
    return run
  }

  #leave(id: OperationId): void {
    const run = this.#runs.get(id)
    this.#runs.delete(id)
    if (run === undefined) return
    const stopping: Promise<void> = run.stop().finally(() => this.#stopping.delete(stopping))
    this.#stopping.add(stopping)
  }

  /** Somebody else ended it, or a person did. The backups of this machine are nobody else's to renew. */
  async #ended(id: OperationId): Promise<void> {
    this.#leave(id)
    this.#damage.forget(id)
    const campaign = await this.#parts.ledger.campaigns.byId(id)
    if (campaign === null || campaign.state === 'aborted') this.#renewals.leave(id)
    else this.#renewals.notesOf(campaign)
  }

  async #end(campaign: Campaign): Promise<void> {
    const notes = this.#renewals.notesOf(campaign)
    if (notes === null || this.#stop.signal.aborted || !(await endCampaign(this.#parts, campaign, notes))) return
    this.#leave(campaign.id)
    this.#damage.forget(campaign.id)
    this.#renewals.forget(campaign.id)
  }
}
