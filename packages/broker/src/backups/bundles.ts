import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { BrokerError, type Clock } from '@keyturn/core'
import type { BackupRecord, Ledger } from '@keyturn/ledger'
import { makePrivateFolder, mustBePrivate } from '../private-file.ts'
import { syncFolder } from './bundle-file.ts'
import type { SealParts } from './bundle-seal.ts'
import { bundleIdFrom, writeBundle } from './bundle-writer.ts'
import { alone } from './folder-lock.ts'
import { adopt } from './leftovers.ts'
import { type Renewed, type RenewWish, registerAgain, renewBundle } from './renewal.ts'
import type { BackupSource } from './source.ts'

/** What keeps the bundles of a broker. */
export interface BundlesParts extends SealParts {
  readonly ledger: Pick<Ledger, 'id' | 'backups' | 'secrets' | 'now'>
  readonly clock: Clock
  readonly folder: string
  readonly keepMs: number
  /** Opens every database whose versions go into a bundle. */
  readonly sources: () => Promise<readonly BackupSource[]>
}

/** What bundle is to be made. */
export interface BundleWish {
  readonly reason: string
  /** Null: until somebody removes it; left out: as the config says. */
  readonly keepMs?: number | null
  /** Left out: a new one. */
  readonly id?: string
  /** Ends the making before its time. */
  readonly signal?: AbortSignal
}

/** A bundle as it is listed. */
export interface ListedBackup extends BackupRecord {
  /** Whether its file is there; null: it is on another machine. */
  readonly isThere: boolean | null
}

/** What became of the retained bundles of this machine. Versions are counted, not files. */
export interface RenewedBundles extends Renewed {
  readonly bundles: number
  /** Why bundles, or versions in them, stayed as they were; names of bundles and KEKs. */
  readonly notes: readonly string[]
}

/** The bundles on this machine: they are made, listed, renewed when a KEK is replaced, and removed when their time is over. */
export class Bundles {
  readonly #parts: BundlesParts
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: BundlesParts) {
    this.#parts = parts
  }

  get folder(): string {
    return this.#parts.folder
  }

  /**
   * Writes a bundle of every version in every sealed store, and registers it: it is durable when this resolves. One whose id is registered is not made
   * again. One at a time. Errors: `unavailable` (a store, the disk, a KEK), `precondition_failed` (the folder is open to others), the reason of `signal`;
   * then nothing is left.
   */
  create(wish: BundleWish): Promise<BackupRecord> {
    return this.#inTurn(async () => {
      mustBeUsable(this.#parts.folder)
      const made = wish.id === undefined ? undefined : await this.#found(wish.id)
      return made ?? this.#create(wish)
    })
  }

  /** Every bundle that is registered, oldest first. */
  async list(): Promise<readonly ListedBackup[]> {
    const all = await this.#parts.ledger.backups.all()
    return all.map(backup => ({ ...backup, isThere: isThere(backup) }))
  }

  /**
   * Renews the wraps of every retained bundle of this machine to a KEK, or re-encrypts what is in them. What another broker does at the same time is
   * done once. Call it again after a death: what is done is seen by looking.
   */
  renew(wish: RenewWish): Promise<RenewedBundles> {
    return this.#inTurn(async () => {
      const sum = { bundles: 0, done: 0, failed: 0, notes: [] as string[] }
      for (const backup of await this.#parts.ledger.backups.all()) {
        if (isThere(backup) === null) continue
        wish.signal.throwIfAborted()
        const { done, failed, note } = await this.#renewOne(backup, wish)
        sum.bundles += 1
        sum.done += done
        sum.failed += failed
        if (note !== null) sum.notes.push(note)
      }
      return sum
    })
  }

  /**
   * Tidies at start: what a death left half written goes away, and a bundle that was whole and not yet registered is registered. A file of anybody
   * else is left as it is.
   */
  settle(): Promise<void> {
    return this.#inTurn(async () => {
      if (!existsSync(this.#parts.folder)) return
      const known = new Set((await this.#parts.ledger.backups.all()).map(({ file }) => file))
      for (const name of await readdir(this.#parts.folder)) await adopt(this.#parts, name, known)
    })
  }

  /** Removes bundles whose time is over, never the newest one. Answers how many. */
  removeExpired(): Promise<number> {
    return this.#inTurn(async () => {
      const { ledger } = this.#parts
      const now = (await ledger.now()).getTime()
      const all = await ledger.backups.all()
      const newest = all.findLast(backup => isThere(backup) !== false)
      let removed = 0
      for (const backup of all) {
        if (backup === newest || backup.keepUntil === null || backup.keepUntil.getTime() > now) continue
        // whoever has the file removes it; a machine that is gone for long does not come back for it
        if (isThere(backup) === null && now - backup.keepUntil.getTime() < strangersKeptMs) continue
        await this.#remove(backup)
        removed += 1
      }
      return removed
    })
  }

  /** A bundle that somebody made by this id. A death may have left it whole here, and not registered. */
  async #found(id: string): Promise<BackupRecord | undefined> {
    const { ledger, folder } = this.#parts
    const { backups } = ledger
    const registered = (await backups.all()).find(each => each.id === id)
    const name = `${id}.jsonl`
    if (registered !== undefined || !existsSync(join(folder, name))) return registered
    await adopt(this.#parts, name, new Set())
    return (await backups.all()).find(each => each.id === id)
  }

  async #create(wish: BundleWish): Promise<BackupRecord> {
    const { ledger, random } = this.#parts
    const { reason, keepMs = this.#parts.keepMs, id = bundleIdFrom(random), signal = new AbortController().signal } = wish
    signal.throwIfAborted()
    const sources = await this.#parts.sources()
    const written = await writeBundle(this.#parts, sources, { id, reason, signal })
    const keepUntil = keepMs === null ? null : new Date((await ledger.now()).getTime() + keepMs)
    try {
      return await ledger.backups.add({ ...written, host: hostname(), reason, keepUntil })
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
      return this.#madeTwice(id, written.file, error)
    }
  }

  /** Another broker made it at the same time, and was first: its bundle counts. */
  async #madeTwice(id: string, file: string, cause: BrokerError): Promise<BackupRecord> {
    const { backups } = this.#parts.ledger
    const first = (await backups.all()).find(each => each.id === id)
    if (first === undefined) throw cause
    // in a folder that both have, ours is in the place of theirs
    if (first.file === file) await registerAgain(this.#parts, id)
    else await rm(file)
    return (await backups.all()).find(each => each.id === id) ?? first
  }

  async #renewOne(backup: BackupRecord, wish: RenewWish): Promise<Renewed & { readonly note: string | null }> {
    if (isThere(backup) === false) return { done: 0, failed: stale(backup, wish), note: `${backup.id}: its file is gone: ${backup.file}` }
    try {
      return await alone(dirname(backup.file), this.#parts.clock, wish.signal, async () => {
        // another broker of this machine may have renewed it meanwhile
        const now = (await this.#parts.ledger.backups.all()).find(({ id }) => id === backup.id)
        return now === undefined ? { done: 0, failed: 0, note: null } : renewBundle(this.#parts, now, wish)
      })
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code === 'cancelled') throw error
      return { done: 0, failed: stale(backup, wish), note: `${backup.id}: ${error.message}` }
    }
  }

  /** First the file: a death in between leaves a row without a file, which the next round removes. */
  async #remove({ id, file }: BackupRecord): Promise<void> {
    if (existsSync(file)) {
      await rm(file)
      await syncFolder(join(file, '..'))
    }
    await this.#parts.ledger.backups.remove(id)
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#last.then(act)
    this.#last = result.catch(() => undefined)
    return result
  }
}

function mustBeUsable(folder: string): void {
  try {
    makePrivateFolder(folder)
    mustBePrivate(folder)
  } catch (cause) {
    if (cause instanceof BrokerError) throw cause
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new BrokerError('unavailable', `the folder of backups ${folder} cannot be used (${why})`, {
      hint: 'name a folder that this user may write to in broker.backups.folder',
      cause,
    })
  }
}

/** A day. */
const strangersKeptMs = 24 * 3_600_000

/** A container comes back under another name with the same disk: where the file is, is its machine. */
function isThere({ file, host }: BackupRecord): boolean | null {
  if (existsSync(file)) return true
  return host === hostname() ? false : null
}

/** What in it is not under the target. */
function stale({ keks }: BackupRecord, { toKek }: RenewWish): number {
  return Object.entries(keks).reduce((sum, [id, opens]) => (id === toKek ? sum : sum + opens), 0)
}

/** Whether a file is called as bundles are. */
export function isBundleName(name: string): boolean {
  return /^bak_[0-9A-HJKMNP-TV-Z]{26}\.jsonl$/.test(name)
}
