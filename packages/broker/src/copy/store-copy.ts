import type { KeyObject } from 'node:crypto'
import { BrokerError, type Etag, type Store, type VersionId } from '@keyturn/core'
import type { Copying, CopyOptions, CopyPlan, CopyResult } from './copy.ts'
import type { CopyAudit } from './deployment.ts'
import { type Looking, look } from './look.ts'
import { type CopyRow, type Item, type Move, movesOf } from './move.ts'
import { type Kept, keptIn, placeIn } from './places.ts'
import { put } from './put.ts'
import { type Side, Unrecorded } from './side.ts'

/** Calls that are under way at once; a store's own `maxInFlight` holds too. */
const movesAtOnce = 16

/** A move of a plan, without what cannot go, and what stood at its new path then. */
interface Planned {
  readonly move: Move
  readonly etag: Etag | null
  readonly rows: readonly CopyRow[]
}

type Tell = (result: CopyResult) => void

/** See `Copying`. */
export class StoreCopy implements Copying {
  readonly #options: CopyOptions
  readonly #sides: { readonly from: Side; readonly to: Side }
  readonly #audits: readonly CopyAudit[]
  readonly #key: KeyObject
  #planned: readonly Planned[] = []
  readonly #failed = new Set<string>()

  constructor(options: CopyOptions, sides: { readonly from: Side; readonly to: Side }, audits: readonly CopyAudit[], key: KeyObject) {
    this.#options = options
    this.#sides = sides
    this.#audits = audits
    this.#key = key
  }

  get audits(): readonly string[] {
    return [...new Set(this.#audits.map(audit => audit.path))]
  }

  async plan(onLook: (done: number, of: number) => void = () => undefined): Promise<CopyPlan> {
    const { from, to } = this.#sides
    await from.mustAnswer()
    await to.mustAnswer()
    const kept = await this.#kept()
    const { moves, refused } = movesOf(kept, name => placeIn(to.config, to.name, name), to.name)
    const { looking, notes } = await this.#looking()
    const planned: Planned[] = []
    const rows = [...refused]
    let done = 0
    await this.#each(moves, async move => {
      const seen = await look(looking, move)
      rows.push(...seen.rows)
      planned.push({ move: { ...move, items: goingOf(move, seen.rows) }, etag: seen.before?.etag ?? null, rows: seen.rows })
      done += 1
      onLook(done, moves.length)
    })
    this.#planned = planned.filter(({ move }) => move.items.length > 0)
    return { rows: rows.sort((a, b) => (a.name < b.name ? -1 : 1)), notes: [...notes, ...leftOut(kept, from.name)] }
  }

  async run(tell: Tell): Promise<void> {
    const { looking } = await this.#looking()
    await this.#each(this.#planned, async ({ move, etag, rows }) => {
      if (rows.every(({ action }) => action === 'same')) return tellAll(tell, move.items, 'same')
      if (this.#options.signal.aborted) throw stopped()
      try {
        tellAll(tell, move.items, 'copied', { version: await this.#carry(looking, move, etag) })
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        if (error.code === 'cancelled') throw stopped()
        for (const { name } of move.items) this.#failed.add(name)
        tellAll(tell, move.items, 'failed', error)
      }
    })
  }

  async verify(tell: Tell): Promise<void> {
    const { from, to } = this.#sides
    await Promise.all([from.reopen(), to.reopen()])
    const { looking } = await this.#looking()
    await this.#each(this.#planned, async ({ move }) => {
      const { rows } = await look(looking, move)
      for (const { name, from: path, to: place, action, why, code } of rows) {
        if (this.#failed.has(name)) continue
        const base = { name, from: path, to: place ?? '', version: null, code: code ?? null }
        if (action === 'same') tell({ ...base, result: 'verified', why: null })
        else if (action === 'failed') tell({ ...base, result: 'failed', why })
        else tell({ ...base, result: 'differs', why: action === 'replace' ? `${to.name} has another value than ${from.name} now` : why })
      }
    })
  }

  async close(): Promise<void> {
    await Promise.all([this.#sides.from.close(), this.#sides.to.close()])
    for (const audit of new Set(this.#audits)) await audit.close()
  }

  /** One move: looked at again, because the plan kept no value, and written only over what the plan saw. */
  async #carry(looking: Looking, move: Move, etag: Etag | null): Promise<VersionId | null> {
    const { from, to } = this.#sides
    const now = await look(looking, move)
    const wrong = now.rows.find(({ action }) => action === 'failed' || action === 'cannot' || action === 'absent')
    if (wrong !== undefined) {
      const gone = wrong.action === 'absent' ? `${wrong.name} is no longer in ${from.name}` : (wrong.why ?? 'it cannot be copied')
      throw new BrokerError(wrong.code ?? 'conflict', gone)
    }
    if (now.steps.length > 0 && (now.before?.etag ?? null) !== etag) {
      throw new BrokerError('conflict', `${move.path} of ${to.name} has changed since the plan was made`, { hint: 'copy again' })
    }
    return put(looking, move, now)
  }

  async #kept(): Promise<readonly Kept[]> {
    const { from, to } = this.#sides
    const { only } = this.#options
    const heir = from.config === to.config ? to.name : null
    const all = await Array.fromAsync(keptIn(from.config, from.name, under => from.list(under), heir))
    if (only === undefined) return all
    const wanted = all.filter(each => only.some(name => covers(name, nameOf(each))))
    const unknown = only.filter(name => !wanted.some(each => !('elsewhere' in each) && covers(name, nameOf(each))))
    if (unknown.length > 0) {
      const [hint = 'keyturn check shows what the config names'] = leftOut(wanted, from.name)
      throw new BrokerError('not_found', `${from.name} has no ${unknown.join(', ')}`, { hint })
    }
    return wanted
  }

  async #looking(): Promise<{ readonly looking: Looking; readonly notes: readonly string[] }> {
    const { from, to } = this.#sides
    const [source, store] = await Promise.all([from.open(), to.open()])
    const without = this.#options.versions ? [source, store].filter(each => !each.can.has('versions')) : []
    const versions = this.#options.versions && without.length === 0
    const notes = [...without.map(keepsNone), ...(versions ? [`versions get the ids and dates of ${to.name}`] : []), ...careOf(store)]
    return { looking: { from, to, store, key: this.#key, versions }, notes }
  }

  /** Every item in its turn, several at once. What ends it all lets those come to their end that have begun. */
  async #each<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
    const waiting = [...items]
    const take = async () => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
        try {
          await act(item)
        } catch (error) {
          waiting.length = 0
          throw error instanceof Unrecorded ? unrecorded(this.audits, error) : error
        }
      }
    }
    const ends = await Promise.allSettled(Array.from({ length: movesAtOnce }, take))
    const failed = ends.find(end => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
}

const going: ReadonlySet<CopyRow['action']> = new Set(['create', 'replace', 'same'])

function goingOf({ items }: Move, rows: readonly CopyRow[]): readonly Item[] {
  return items.filter(({ name }) => rows.some(row => row.name === name && going.has(row.action)))
}

function nameOf(each: Kept): string {
  if ('unnamed' in each) return each.unnamed
  return 'elsewhere' in each ? each.elsewhere : each.name
}

const leftOutShown = 5

/** What lies in FROM under names that are those of other stores: no reader gets it from there, and a copy does not either. */
function leftOut(kept: readonly Kept[], from: string): readonly string[] {
  const others = kept.flatMap(each => ('elsewhere' in each ? [`${each.elsewhere} (${each.stores.join(', ')})`] : []))
  if (others.length === 0) return []
  const more = others.length > leftOutShown ? ` and ${others.length - leftOutShown} more` : ''
  return [`left out of ${from}, because the config has these names in other stores: ${others.slice(0, leftOutShown).join(', ')}${more}`]
}

function covers(wanted: string, name: string): boolean {
  return wanted === name || (wanted.endsWith('/') && name.startsWith(wanted))
}

function tellAll(
  tell: Tell,
  items: readonly Item[],
  result: CopyResult['result'],
  about: { readonly version: VersionId | null } | BrokerError | null = null,
): void {
  const error = about instanceof BrokerError ? about : null
  const version = about === null || about instanceof BrokerError ? null : about.version
  const why = error === null ? null : `${error.message}${error.hint === undefined ? '' : `: ${error.hint}`}`
  for (const { name, from, to } of items) tell({ name, from: from.path, to: to.path, result, version, why, code: error?.code ?? null })
}

const keepsNone = (store: Store) => `${store.name} keeps no versions: only what is current is copied`

function careOf(store: Store): readonly string[] {
  return store.guarantees.cas ? [] : [`${store.name} has no compare-and-set: let nobody else write there meanwhile`]
}

function stopped(): BrokerError {
  return new BrokerError('cancelled', 'the copy was stopped between two secrets', { hint: 'run it again to go on' })
}

function unrecorded(audits: readonly string[], cause: Unrecorded): BrokerError {
  return new BrokerError('unavailable', `an access could not be recorded in ${audits.join(' or ')}, so the copy ended`, {
    hint: 'see to the disk of the audit file, then run it again to go on',
    cause,
  })
}
