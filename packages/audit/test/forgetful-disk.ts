import { BrokerError } from '@keyturn/core'
import type { AuditDisk, AuditFile } from '../src/disk.ts'

interface Stored {
  readonly id: string
  /** What a power cut leaves for certain. */
  durable: Buffer
  /** What programs see while the power is on. */
  seen: Buffer
}

/** How much of what was not synced a power cut leaves: nothing, a beginning, all, or all with a hole of NUL bytes in its first page. */
export type Survival = 'nothing' | 'half' | 'all' | 'hole'

/**
 * A disk that forgets what was not synced. `dieAt` counts calls that change something, from 1: at that call the power goes,
 * and every later call fails. `cut` is the disk after the power came back. `fail` makes calls fail with a code, once each.
 */
export class ForgetfulDisk implements AuditDisk {
  readonly files = new Map<string, Stored>()
  calls = 0
  dieAt = Number.POSITIVE_INFINITY
  /** Codes for the next calls of a kind; `short` writes half before it fails. */
  readonly fail: Array<{ call: 'append' | 'sync' | 'truncate' | 'open'; code: string; short?: boolean }> = []
  /** Syncs wait here while it is set. */
  held: Array<() => void> | undefined
  #next = 1
  #isLocked = false

  /** The same disk after a power cut. */
  cut(survival: Survival): ForgetfulDisk {
    const after = new ForgetfulDisk()
    after.#next = this.#next
    for (const [path, file] of this.files) {
      const rest = file.seen.subarray(file.durable.length)
      const kept = survival === 'nothing' ? 0 : survival === 'half' ? Math.floor(rest.length / 2) : rest.length
      const tail = Buffer.from(rest.subarray(0, kept))
      if (survival === 'hole') tail.fill(0, 0, Math.min(tail.length, 300))
      const bytes = Buffer.concat([file.durable, tail])
      after.files.set(path, { id: file.id, durable: bytes, seen: bytes })
    }
    return after
  }

  open(path: string): AuditFile {
    this.#step('open')
    let file = this.files.get(path)
    if (file === undefined) {
      file = { id: String(this.#next++), durable: Buffer.alloc(0), seen: Buffer.alloc(0) }
      this.files.set(path, file)
    }
    return this.#opened(file)
  }

  look(path: string): { id: string; size: number } | undefined {
    const file = this.files.get(path)
    return file === undefined ? undefined : { id: file.id, size: file.seen.length }
  }

  lock(path: string): () => void {
    if (this.#isLocked) throw new BrokerError('conflict', `${path} is locked`)
    this.#isLocked = true
    return () => {
      this.#isLocked = false
    }
  }

  replace(path: string, content: string | Uint8Array): void {
    this.#step('open')
    const bytes = Buffer.from(content)
    this.files.set(path, { id: String(this.#next++), durable: bytes, seen: bytes })
  }

  text(path: string): string | undefined {
    return this.files.get(path)?.seen.toString()
  }

  rotated(path: string): readonly string[] {
    return [...this.files.keys()].filter(other => /^\.\d+$/.test(other.slice(path.length)) && other.startsWith(path)).sort()
  }

  /** As logrotate does it. */
  rename(from: string, to: string): void {
    const file = this.files.get(from)
    if (file !== undefined) this.files.set(to, file)
    this.files.delete(from)
  }

  #opened(file: Stored): AuditFile {
    return {
      id: file.id,
      size: () => file.seen.length,
      append: text => {
        const bytes = Buffer.from(text)
        const before = file.seen
        file.seen = Buffer.concat([before, bytes.subarray(0, bytes.length / 2)])
        this.#step('append', () => {
          file.seen = before
        })
        file.seen = Buffer.concat([before, bytes])
      },
      sync: done => {
        const bytes = file.seen
        const finish = () => {
          try {
            this.#step('sync')
            file.durable = bytes
            done(null)
          } catch (error) {
            done(error instanceof Error ? error : new Error('no error'))
          }
        }
        if (this.held === undefined) setImmediate(finish)
        else this.held.push(finish)
      },
      isNamed: () => [...this.files.values()].includes(file),
      truncate: size => {
        this.#step('truncate')
        file.seen = file.seen.subarray(0, size)
        if (file.durable.length > size) file.durable = file.seen
      },
      read: (offset, length) => file.seen.subarray(offset, offset + length),
      close: () => undefined,
    }
  }

  #step(call: 'append' | 'sync' | 'truncate' | 'open', undo: () => void = () => undefined): void {
    this.calls += 1
    if (this.calls >= this.dieAt) throw Object.assign(new Error('the power is gone'), { code: 'EIO' })
    const planned = this.fail[0]
    if (planned?.call !== call) return
    this.fail.shift()
    if (planned.short !== true) undo()
    throw Object.assign(new Error('a planned failure'), { code: planned.code })
  }
}
