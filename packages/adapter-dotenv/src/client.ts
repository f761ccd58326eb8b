import { BrokerError } from '@keyturn/core'
import { type Assignment, parseAssignments } from './assignments.ts'
import type { FileContent, Files } from './files.ts'
import type { TakeLock } from './lock.ts'
import { decodeFile } from './text.ts'

const fileBytesMax = 1_048_576
const triesMax = 20
const freshMode = 0o600
/** A folder that cannot be synced because nobody may write there has nothing in it to lose. */
const unsyncable = new Set(['EACCES', 'EPERM', 'EROFS', 'EINVAL', 'ENOTSUP'])

/** The file at one moment. */
export interface Snapshot {
  readonly text: string
  readonly assignments: readonly Assignment[]
  /** Undefined while the file does not exist. */
  readonly content: FileContent | undefined
}

/**
 * One `.env` file: read whole, replaced whole. A change is written beside it, synced, renamed over it, and the folder synced, under a
 * lock between processes; a change that somebody without the lock made meanwhile (an editor) is taken in, not overwritten.
 */
export class EnvFile {
  readonly file: string
  readonly #files: Files
  readonly #lock: TakeLock
  #settled = false
  #lastTurn: Promise<unknown> = Promise.resolve()

  constructor(file: string, files: Files, lock: TakeLock) {
    this.file = file
    this.#files = files
    this.#lock = lock
  }

  async read(signal: AbortSignal): Promise<Snapshot> {
    signal.throwIfAborted()
    const path = await this.#resolve()
    await this.#settle(path)
    signal.throwIfAborted()
    return this.#load(path)
  }

  /** Applies `edit` to the file as it is under the lock. Answers with the time of the change, once it would survive a power cut. */
  change(signal: AbortSignal, edit: (before: Snapshot) => string): Promise<Date> {
    const turn = this.#lastTurn.then(() => this.#change(signal, edit))
    this.#lastTurn = turn.catch(() => undefined)
    return turn
  }

  async #change(signal: AbortSignal, edit: (before: Snapshot) => string): Promise<Date> {
    signal.throwIfAborted()
    const path = await this.#resolve()
    const release = await this.#lock(`${path}.keyturn-lock`, signal)
    try {
      for (let tries = 0; tries < triesMax; tries += 1) {
        const before = await this.#load(path)
        const changedAt = await this.#replace(path, before, Buffer.from(edit(before)), signal)
        if (changedAt !== undefined) return changedAt
      }
      throw new BrokerError('unavailable', `${this.file} does not stand still: somebody else keeps writing it`)
    } finally {
      release()
    }
  }

  /** Undefined when the file is no longer the one that was read. */
  async #replace(path: string, { content }: Snapshot, bytes: Uint8Array, signal: AbortSignal): Promise<Date | undefined> {
    const files = this.#files
    if (bytes.byteLength > fileBytesMax) throw new BrokerError('too_large', `${this.file} would be larger than ${fileBytesMax} bytes`)
    if (content !== undefined && (content.mode & 0o222) === 0) {
      throw new BrokerError('permission_denied', `${this.file} is read-only`, { hint: 'make it writable by its owner (chmod u+w)' })
    }
    const temporary = `${path}.keyturn-new`
    // only the holder of the lock makes this file: one that is here was left by a process that died
    await files.remove(temporary)
    try {
      await files.create(temporary, bytes, content === undefined ? { mode: freshMode } : { mode: content.mode, owner: content })
      await files.sync(temporary)
      const changedAt = (await files.state(temporary))?.changedAt
      signal.throwIfAborted()
      if ((await files.state(path))?.identity !== content?.identity) {
        await files.remove(temporary)
        return undefined
      }
      await files.rename(temporary, path)
      await this.#commit(path)
      return changedAt
    } catch (error) {
      await files.remove(temporary).catch(() => undefined)
      throw error
    }
  }

  /** The new file is in place but a power cut could still bring the old one back. */
  async #commit(path: string): Promise<void> {
    this.#settled = false
    try {
      await this.#files.syncFolder(path)
    } catch (cause) {
      throw new BrokerError('outcome_unknown', `${this.file} was replaced, but its folder could not be synced`, {
        cause,
        hint: 'read the secret again',
      })
    }
    this.#settled = true
  }

  /** What a process that died had put in place but not synced must not be read and then lost. */
  async #settle(path: string): Promise<void> {
    if (this.#settled) return
    try {
      await this.#files.syncFolder(path)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && unsyncable.has(String(error.code)))) throw error
    }
    this.#settled = true
  }

  async #resolve(): Promise<string> {
    try {
      return await this.#files.resolve(this.file)
    } catch (cause) {
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw cause
      // a folder that is not mounted must not look like secrets that are absent
      throw new BrokerError('unavailable', `the folder of ${this.file} does not exist`, { cause, hint: 'make the folder, or correct file' })
    }
  }

  async #load(path: string): Promise<Snapshot> {
    const content = await this.#files.read(path, fileBytesMax)
    const text = content === undefined ? '' : decodeFile(this.file, content.bytes)
    return { text, assignments: parseAssignments(text), content }
  }
}
