import { BrokerError, type Clock } from '@keyturn/core'
import { readAnchor, writeAnchor } from './anchor.ts'
import { type AuditKey, type FindKey, type Head, writeBatch } from './chain.ts'
import type { AuditDisk, AuditFile } from './disk.ts'
import { type EventEncoder, ownEvent } from './event.ts'
import { readTail, type Tail } from './tail.ts'

/** What the log found or met. `damaged` needs a person. */
export interface AuditTrouble {
  readonly kind: 'torn' | 'damaged' | 'unwritable' | 'resumed' | 'anchor'
  readonly message: string
}

export interface LogFileSettings {
  readonly path: string
  readonly disk: AuditDisk
  readonly key: AuditKey
  readonly findKey?: FindKey
  readonly clock: Clock
  readonly anchor?: { readonly path: string; readonly everyMs: number }
}

/**
 * The file under the log, one batch at a time: `write`, `sync`, and only then the next `write`. It knows the last durable
 * head, and brings whatever stands under its path back to that before it writes: after a failure it cuts what was not
 * acknowledged, after a rotation it goes on in the new file, and where somebody else changed the file it says so in a record.
 */
export class LogFile {
  readonly #settings: LogFileSettings
  #file: AuditFile | undefined
  /** The name of the file on the disk that `#size` is of. */
  #id = ''
  #head: Head = { seq: 0, hash: '' }
  #size = 0
  /** Written, not yet known to be durable. */
  #written: { readonly head: Head; readonly size: number } | undefined
  /** A batch failed; bytes behind `#size` may be left of it. */
  #dirty = false
  /** The next line needs `prev`: it stands first in a file, or behind a damage. */
  #joint = false
  /** The file ends without a line feed that a record needs before it. */
  #feed = false
  #notes: AuditTrouble[] = []
  #anchoredAt = 0

  constructor(settings: LogFileSettings) {
    this.#settings = settings
  }

  /** The durable bytes of the current file. */
  get size(): number {
    return this.#size
  }

  /** Which file that is on the disk, whatever its name has become. */
  get id(): string {
    return this.#id
  }

  /** Reads the end of the file, cuts a torn batch off it (kept beside it), and compares with the anchor. Answers with what it found. */
  open(): readonly AuditTrouble[] {
    const { path, disk } = this.#settings
    const file = disk.open(path)
    try {
      const tail = this.#tailOf(file, path)
      this.#file = file
      this.#id = file.id
      this.#head = tail.head.seq > 0 ? tail.head : this.#headRotatedAway(tail.head)
      this.#size = tail.size
      this.#joint = tail.size === 0
      if (tail.state === 'torn') this.#cutTorn(file, tail.size, tail.what ?? '')
      if (tail.state === 'damaged') this.#goOnBehind(file.size(), `${path} was changed: ${tail.what}`)
      this.#compareAnchor()
    } catch (error) {
      file.close()
      throw error
    }
    return [...this.#notes]
  }

  /** Writes a batch, with what has to be said first before it; nothing of it is durable yet. Answers with new troubles. Throws what the disk throws. */
  write(parts: readonly string[], first: readonly string[], encoder: EventEncoder): readonly AuditTrouble[] {
    const before = this.#notes.length
    const file = this.#ready()
    const told = this.#notes.map(note => encoder.encode(ownEvent(`audit.${note.kind}`, note.kind, note.message)))
    const time = this.#settings.clock.now().toISOString()
    const { text, head } = writeBatch([...told, ...first, ...parts], this.#head, time, this.#settings.key, this.#joint)
    const whole = this.#feed ? `\n${text}` : text
    this.#dirty = true
    file.append(whole)
    this.#written = { head, size: this.#size + Buffer.byteLength(whole) }
    return this.#notes.slice(before)
  }

  /** Makes the batch durable. */
  sync(done: (error: Error | null) => void): void {
    if (this.#file === undefined) throw new BrokerError('internal', 'a sync without a write')
    this.#file.sync(error => {
      if (error === null) this.#settle()
      done(error)
    })
  }

  /** After a failure: the bytes that were not acknowledged go, and the file is opened anew, because its pages cannot be trusted. */
  forget(): void {
    this.#written = undefined
    const file = this.#file
    this.#file = undefined
    try {
      file?.truncate(this.#size)
    } catch {
      // the disk refuses this too: `#dirty` stays, and the next write begins with it
    }
    try {
      file?.close()
    } catch {
      // a file that cannot be closed is not used again either
    }
  }

  /** Writes the head to the anchor when it is due. A failure is a trouble, never the end of the log. */
  anchorHead(now = false): readonly AuditTrouble[] {
    const { anchor, clock, disk } = this.#settings
    if (anchor === undefined) return []
    const at = clock.now()
    if (!now && at.getTime() - this.#anchoredAt < anchor.everyMs) return []
    this.#anchoredAt = at.getTime()
    try {
      disk.replace(anchor.path, writeAnchor(this.#head, at))
      return []
    } catch {
      return [{ kind: 'anchor', message: `the anchor ${anchor.path} cannot be written` }]
    }
  }

  close(): void {
    if (this.#head.seq > 0) this.anchorHead(true)
    this.#file?.close()
    this.#file = undefined
  }

  #settle(): void {
    if (this.#written === undefined) return
    this.#head = this.#written.head
    this.#size = this.#written.size
    this.#written = undefined
    this.#dirty = false
    this.#joint = false
    this.#feed = false
    this.#notes = []
  }

  /** The open file, exactly as long as it was left. */
  #ready(): AuditFile {
    const { path, disk } = this.#settings
    const found = disk.look(path)
    if (this.#file === undefined || found?.id !== this.#id) this.#reopen()
    const file = this.#file
    if (file === undefined) throw new BrokerError('internal', 'the audit file is not open')
    const size = found?.id === this.#id ? found.size : file.size()
    if (this.#dirty && size > this.#size) file.truncate(this.#size)
    else if (size !== this.#size) this.#goOnBehind(size, `${path} was changed under the broker: ${size} bytes, not ${this.#size}`)
    this.#dirty = false
    return file
  }

  #reopen(): void {
    const { path, disk } = this.#settings
    const before = this.#file
    const file = disk.open(path)
    const isLost = before !== undefined && file.id !== this.#id && !before.isNamed()
    if (isLost)
      this.#notes.push({ kind: 'damaged', message: `${path} was deleted under the broker, with all up to number ${this.#head.seq}` })
    before?.close()
    this.#file = file
    if (file.id === this.#id) return
    this.#id = file.id
    // rotated away: the number goes on, and an empty file needs no remark
    this.#dirty = false
    this.#size = 0
    this.#feed = false
    this.#joint = true
  }

  #tailOf(file: AuditFile, path: string): Tail {
    const { key, findKey } = this.#settings
    return readTail(file, path, id => (id === key.id ? key.key : findKey?.(id)))
  }

  /** A file may have been rotated away while no broker ran: its number goes on. */
  #headRotatedAway(otherwise: Head): Head {
    const { disk, path } = this.#settings
    const [newest] = disk.rotated(path)
    if (newest === undefined) return otherwise
    const file = disk.open(newest)
    try {
      return this.#tailOf(file, newest).head
    } finally {
      file.close()
    }
  }

  #cutTorn(file: AuditFile, size: number, what: string): void {
    const { path, disk } = this.#settings
    const aside = `${path}.torn-${this.#head.seq + 1}`
    disk.replace(aside, file.read(size, file.size() - size))
    file.truncate(size)
    this.#notes.push({ kind: 'torn', message: `never acknowledged, cut off and kept in ${aside}: ${what}` })
  }

  #goOnBehind(size: number, what: string): void {
    this.#joint = true
    this.#size = size
    this.#feed = size > 0 && this.#file?.read(size - 1, 1)[0] !== 10
    this.#notes.push({ kind: 'damaged', message: what })
  }

  /** An anchor that is ahead of the file, or differs from it, shows what the file alone cannot: a tail cut at the end of a batch. */
  #compareAnchor(): void {
    const { anchor, disk, path } = this.#settings
    if (anchor === undefined) return
    const text = disk.text(anchor.path)
    if (text === undefined) return
    const held = readAnchor(text)
    if (held.seq < this.#head.seq || (held.seq === this.#head.seq && held.hash === this.#head.hash)) return
    this.#goOnBehind(this.#size, `${path} ends at number ${this.#head.seq}, its anchor holds number ${held.seq}`)
    // the number goes on behind the anchor, so that no number is given twice
    this.#head = held
  }
}
