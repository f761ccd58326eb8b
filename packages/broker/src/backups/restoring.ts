import type { KeyObject } from 'node:crypto'
import { BrokerError, type ErrorCode, type Random, type StorePath, type VersionId } from '@keyturn/core'
import { type Putting, put } from '../copy/put.ts'
import { type Side, Unrecorded } from '../copy/side.ts'
import type { BundledSecret, OpenedVersion } from './bundled-secret.ts'
import { type Comparison, compare, nameAt } from './comparison.ts'

/** What a restore does, or did, with one secret. */
export interface RestoreRow {
  readonly name: string
  /** The section that it goes to. */
  readonly store: string
  /**
   * `new`, `behind`: its history is to be written, or the rest of it. `different`: another value is there, and stays unless it is to be written over.
   * `left`: it has no current value in the bundle. `failed`: it could not be opened, looked at or written.
   */
  readonly action: Comparison['action'] | 'left' | 'failed'
  /** Versions to write, or written. */
  readonly versions: number
  readonly why: string | null
  readonly code: ErrorCode | null
}

/** The destination of a restore: one sealed store. */
export interface RestoringParts {
  readonly bundle: string
  readonly side: Side
  readonly key: KeyObject
  readonly random: Random
  /** Whether another value there gets the bundle's as a new version. */
  readonly overwrite: boolean
  /** Whether a secret comes back without the versions that do not open. */
  readonly partial: boolean
}

/** Brings secrets of a bundle into one store, each by what a look at it shows: a run that ended early is gone on with by another. */
export class Restoring {
  readonly #parts: RestoringParts

  constructor(parts: RestoringParts) {
    this.#parts = parts
  }

  get name(): string {
    return this.#parts.side.name
  }

  /** What a run would do with a secret. `history` is what it has in the bundle, `opened` what of that could be opened. */
  async look(secret: BundledSecret, history: BundledSecret['versions'], opened: readonly OpenedVersion[]): Promise<RestoreRow> {
    return this.#told(secret, async () => {
      const refused = this.#unfit(secret, history, opened)
      return refused ?? this.#row(secret, await this.#compare(secret, opened), left(history, opened))
    })
  }

  /** Does it. */
  async restore(secret: BundledSecret, history: BundledSecret['versions'], opened: readonly OpenedVersion[]): Promise<RestoreRow> {
    return this.#told(secret, async () => {
      const refused = this.#unfit(secret, history, opened)
      if (refused !== undefined) return refused
      const comparison = await this.#compare(secret, opened)
      const row = this.#row(secret, comparison, left(history, opened))
      if (comparison.action === 'same' || (comparison.action === 'different' && !this.#parts.overwrite)) return row
      await this.#write(secret.path, comparison, opened)
      return row
    })
  }

  async #write(path: StorePath, comparison: Comparison, opened: readonly OpenedVersion[]): Promise<void> {
    const { side } = this.#parts
    const last = comparison.steps.at(-1)
    // the version before the last is current until then, and cannot be withheld: all others are, before anybody sees the last one
    const early = comparison.steps.slice(0, -1)
    const isWithheld = opened.some(({ line }) => line.disabled)
    await this.#put(path, comparison.before, isWithheld ? early : comparison.steps)
    if (!isWithheld) return
    await this.#withhold(path, opened)
    if (last === undefined) return
    const before = await side.read(path, [nameAt(path)])
    await this.#put(path, before, [last])
    if (comparison.action !== 'different') await this.#withhold(path, opened)
  }

  async #withhold(path: StorePath, opened: readonly OpenedVersion[]): Promise<void> {
    const { side } = this.#parts
    const now = await this.#compare({ path }, opened)
    if (now.action !== 'behind') return
    for (const version of now.withhold) await side.disable(path, [nameAt(path)], version).catch(error => mustBeCurrent(error))
  }

  async #put(path: StorePath, before: Comparison['before'], steps: Comparison['steps']): Promise<VersionId | null> {
    const { side, key, random, bundle } = this.#parts
    const to: Putting['to'] = {
      name: side.name,
      read: (...about) => side.read(...about),
      // a secret that was restored, deleted, and is restored again: its old intent made a version that is not current any more
      write: async (at, names, value, options) => {
        const made = await side.write(at, names, value, options)
        return made.state === 'current' ? made : side.write(at, names, value, { ...options, idempotencyKey: random.uuid() })
      },
    }
    const place = { path, fields: null, format: 'stored' } as const
    const move = { path, items: [{ name: nameAt(path), from: place, to: place }] }
    return put({ from: { name: bundle }, to, store: await side.open(), key }, move, { before, steps })
  }

  async #compare({ path }: { readonly path: StorePath }, opened: readonly OpenedVersion[]): Promise<Comparison> {
    const { side, key } = this.#parts
    return compare({ side, store: await side.open(), key }, path, opened)
  }

  #unfit(secret: BundledSecret, history: BundledSecret['versions'], opened: readonly OpenedVersion[]): RestoreRow | undefined {
    const base = { name: secret.path, store: this.name, versions: 0, code: null }
    if (secret.deleted !== null) return { ...base, action: 'left', why: `it was deleted at ${secret.deleted}` }
    const current = history.at(-1)
    if (current === undefined) return { ...base, action: 'left', why: 'it had no current version' }
    const missing = history.length - opened.length
    if (missing === 0 || (this.#parts.partial && opened.at(-1)?.line === current)) return undefined
    const why = `${missing} of ${history.length} versions do not open; --partial brings back the others, if what is current opens`
    return { ...base, action: 'failed', why, code: 'unavailable' }
  }

  #row({ path }: BundledSecret, { action, steps, withhold }: Comparison, leftOut: number): RestoreRow {
    const { overwrite } = this.#parts
    const stays = action === 'different' && !overwrite
    const parts = [
      ...(stays ? ['another value is there, and stays; --overwrite adds this one as a new version'] : []),
      ...(withhold.length > 0 ? [`${withhold.length} to be withheld`] : []),
      ...(leftOut > 0 ? [`${leftOut} versions do not open and are left out`] : []),
    ]
    return { name: path, store: this.name, action, versions: stays ? 0 : steps.length, why: parts.join('; ') || null, code: null }
  }

  async #told({ path }: BundledSecret, act: () => Promise<RestoreRow>): Promise<RestoreRow> {
    try {
      return await act()
    } catch (error) {
      if (error instanceof Unrecorded) throw unrecorded(error)
      if (!(error instanceof BrokerError) || error.code === 'cancelled') throw error
      const why = `${error.message}${error.hint === undefined ? '' : `: ${error.hint}`}`
      return { name: path, store: this.name, action: 'failed', versions: 0, why, code: error.code }
    }
  }
}

const left = (history: BundledSecret['versions'], opened: readonly OpenedVersion[]) => history.length - opened.length

/** Somebody made it current meanwhile: then it is not ours to withhold. */
function mustBeCurrent(error: unknown): void {
  if (!(error instanceof BrokerError) || error.code !== 'precondition_failed') throw error
}

function unrecorded(cause: Unrecorded): BrokerError {
  return new BrokerError('unavailable', 'an access could not be recorded, so the restore ended', {
    hint: 'see to the disk of the audit file, then run it again to go on',
    cause,
  })
}
