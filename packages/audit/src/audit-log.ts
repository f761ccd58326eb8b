import { resolve } from 'node:path'
import { setImmediate } from 'node:timers'
import { BrokerError, type Clock } from '@keyturn/core'
import type { AuditKey, FindKey } from './chain.ts'
import type { AuditDisk } from './disk.ts'
import { type AuditEvent, EventEncoder, ownEvent } from './event.ts'
import { findIds } from './find-ids.ts'
import { type ChainPlace, type Followed, follow } from './follow.ts'
import { type AuditTrouble, LogFile } from './log-file.ts'
import { nodeDisk } from './node-disk.ts'

/** What a log is opened with. */
export interface AuditSettings {
  readonly path: string
  /** Closes new batches. */
  readonly key: AuditKey
  /** Older keys by their id; the new one need not be among them. */
  readonly findKey?: FindKey
  readonly clock: Clock
  /** The head is written here every `everyMs` and at the end; best a file on another machine's disk. */
  readonly anchor?: { readonly path: string; readonly everyMs: number }
  /** How long one sync may take before waiting callers are refused: 10 s. */
  readonly stallMs?: number
  /** Told of every repair, damage and failure, for logs and alerts. Names, never values. */
  readonly onTrouble?: (trouble: AuditTrouble) => void
  readonly disk?: AuditDisk
}

interface Batch {
  readonly parts: string[]
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: BrokerError) => void
}

const batchLinesMax = 4096
const retryMs = 1000

/**
 * The record of every access, in one file of one broker. `append` resolves when its line is durable; all that arrives
 * while a sync runs shares the next one. It never resolves early: when the file cannot be written, every waiting append and
 * each new one that fails rejects with `unavailable`, and the file is tried again with each append and every second.
 */
export class AuditLog {
  readonly path: string
  readonly #settings: AuditSettings
  readonly #disk: AuditDisk
  readonly #encoder = new EventEncoder()
  readonly #unlock: () => void
  readonly #file: LogFile
  #waiting: Batch[] = []
  #flying: Batch | undefined
  #scheduled = false
  #stalled = false
  #closed = false
  /** Events refused since the last success; undefined while all is well. */
  #refused: number | undefined
  #cancelRetry: () => void = () => undefined
  #idle: Array<() => void> = []

  private constructor(settings: AuditSettings, path: string, unlock: () => void) {
    this.#settings = settings
    this.path = path
    this.#disk = settings.disk ?? nodeDisk
    this.#unlock = unlock
    this.#file = new LogFile({ ...settings, path, disk: this.#disk })
  }

  /**
   * Takes the file for this process, reads its end, repairs a batch that was never acknowledged, and records that it was
   * opened. `conflict`: another broker holds the file. `precondition_failed`: it is no audit file. `unavailable`: it cannot be opened. A file that can be read
   * but not written does not throw: `healthy` is false until it can.
   */
  static async open(settings: AuditSettings): Promise<AuditLog> {
    const path = resolve(settings.path)
    let unlock: (() => void) | undefined
    try {
      unlock = (settings.disk ?? nodeDisk).lock(path)
      const log = new AuditLog(settings, path, unlock)
      for (const trouble of log.#file.open()) settings.onTrouble?.(trouble)
      await log.append(ownEvent('audit.opened', null, null)).catch(() => undefined)
      return log
    } catch (error) {
      unlock?.()
      throw error instanceof BrokerError ? error : unwritable(path, codeOf(error), error)
    }
  }

  /** Resolves when the event is durable. Rejects with `unavailable` when it is not, and then nothing may be answered that it would have recorded. */
  append(event: AuditEvent): Promise<void> {
    const part = this.#encoder.encode(event)
    if (this.#closed) return Promise.reject(unwritable(this.path, 'the log is closed'))
    if (this.#stalled) {
      this.#refused = (this.#refused ?? 0) + 1
      return Promise.reject(unwritable(this.path, 'the disk does not answer'))
    }
    let batch = this.#waiting.at(-1)
    if (batch === undefined || batch.parts.length >= batchLinesMax) {
      batch = { parts: [], ...Promise.withResolvers<void>() }
      this.#waiting.push(batch)
    }
    batch.parts.push(part)
    this.#schedule()
    return batch.promise
  }

  /** False from the first failed write or a sync that hangs until a write succeeds. */
  healthy(): boolean {
    return this.#refused === undefined && !this.#stalled && !this.#closed
  }

  /**
   * Which of these request ids are in the chain already, in files rotated away too, unless they were compressed. Reads backward in
   * bounded memory and stops when all are found, or at lines older than `notBefore`.
   */
  contains(ids: Iterable<string>, options: { readonly notBefore?: Date } = {}): Promise<ReadonlySet<string>> {
    return findIds(this.#disk, this.path, this.#file.size, new Set(ids), options.notBefore)
  }

  /** The durable lines behind a place, for whoever carries copies elsewhere; null: from the beginning. */
  follow(place: ChainPlace | null): Followed {
    return follow(this.#disk, this.path, this.#file, place)
  }

  /** Writes what waits, and lets go of the file. Appends from now on are refused. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    while (this.#flying !== undefined || this.#waiting.length > 0) {
      if (this.#stalled) break
      await new Promise<void>(done => this.#idle.push(done))
    }
    this.#cancelRetry()
    this.#file.close()
    this.#unlock()
  }

  /** A turn later, so that all callers that this turn wakes share one write. */
  #schedule(): void {
    if (this.#scheduled || this.#flying !== undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const batch = this.#waiting.shift()
    if (batch === undefined) {
      this.#rest()
      return
    }
    this.#flying = batch
    const resumed = this.#refused
    let cancelStall: () => void = () => undefined
    try {
      const own =
        resumed === undefined ? [] : [this.#encoder.encode(ownEvent('audit.resumed', 'unavailable', `${resumed} events were refused`))]
      const found = this.#file.write(batch.parts, own, this.#encoder)
      for (const trouble of found) this.#settings.onTrouble?.(trouble)
      cancelStall = this.#settings.clock.after(this.#settings.stallMs ?? 10_000, () => this.#stall())
      this.#file.sync(error => {
        cancelStall()
        if (error === null) this.#succeed(batch)
        else this.#fail(error)
      })
    } catch (error) {
      this.#fail(error)
    }
  }

  #succeed(batch: Batch): void {
    const wasStalled = this.#stalled
    const resumed = this.#refused !== undefined && !wasStalled
    this.#flying = undefined
    this.#stalled = false
    if (resumed) {
      this.#refused = undefined
      this.#cancelRetry()
      this.#settings.onTrouble?.({ kind: 'resumed', message: `audit is written again to ${this.path}` })
    }
    batch.resolve()
    for (const trouble of this.#file.anchorHead()) this.#settings.onTrouble?.(trouble)
    // what was refused meanwhile has to stand in the log before all is well
    if (wasStalled) this.#retry()
    else if (this.#waiting.length > 0) this.#schedule()
    else this.#rest()
  }

  /** Every waiting caller hears it: what waited behind a failure would only wait for the next one. */
  #fail(cause: unknown): void {
    this.#stalled = false
    this.#file.forget()
    this.#refuse(unwritable(this.path, codeOf(cause), cause))
    this.#flying = undefined
    this.#rest()
    this.#cancelRetry()
    if (!this.#closed) this.#cancelRetry = this.#settings.clock.after(retryMs, () => this.#retry())
  }

  /** The sync cannot be called back, but those who wait for it can be told. What it wrote may yet become durable: records of acts that did not happen. */
  #stall(): void {
    this.#stalled = true
    this.#refuse(unwritable(this.path, 'the disk does not answer'))
    if (this.#closed) this.#rest()
  }

  #refuse(error: BrokerError): void {
    const refused = [...(this.#flying === undefined ? [] : [this.#flying]), ...this.#waiting]
    if (this.#refused === undefined) this.#settings.onTrouble?.({ kind: 'unwritable', message: error.message })
    this.#refused = (this.#refused ?? 0) + refused.reduce((sum, batch) => sum + batch.parts.length, 0)
    this.#waiting = []
    for (const batch of refused) {
      // who does not wait for the promise has the health to look at
      batch.promise.catch(() => undefined)
      batch.reject(error)
    }
  }

  #retry(): void {
    if (this.#closed || this.#refused === undefined || this.#flying !== undefined) return
    const retried: Batch = { parts: [], ...Promise.withResolvers<void>() }
    this.#waiting.push(retried)
    this.#schedule()
  }

  #rest(): void {
    for (const done of this.#idle.splice(0)) done()
  }
}

function unwritable(path: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError('unavailable', `audit cannot be written: ${why}`, {
    hint: hints[why] ?? `see to the disk of ${path}`,
    detail: { reason: 'audit' },
    retryAfterMs: retryMs,
    cause,
  })
}

const hints: Readonly<Record<string, string>> = {
  ENOSPC: 'free space on the disk of the audit file',
  EDQUOT: "raise the quota of the broker's user, or free space",
  EACCES: "give the broker's user the right to write the audit file and its folder",
  EROFS: 'mount the disk of the audit file for writing',
}

/** The system's own code; its message may hold anything. */
function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'the write failed'
}
