import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import { Breather } from '../campaigns/breather.ts'
import type { BundleKeys, BundleLine, TrailerLine } from './bundle-line.ts'
import { lineText } from './bundle-line.ts'

const chunkCharacters = 256 * 1024

/** How a bundle file that is being written is called: its machine and process tell whether somebody is still at it. */
export function unfinishedName(id: string): string {
  return `.${id}.${hostname()}.${process.pid}`
}

/** A bundle that was written and is on the disk under its name. */
export interface WrittenFile {
  readonly bytes: number
  readonly sha256: string
}

/**
 * A bundle file on its way to the disk. It has its name only once it is whole and synced; memory holds a chunk of it. Errors: `unavailable` with
 * the reason of the system.
 */
export class BundleFile {
  readonly #file: string
  readonly #beside: string
  readonly #handle: FileHandle
  readonly #keys: BundleKeys
  readonly #sha256: Hash = createHash('sha256')
  readonly #whole: Hmac
  readonly #breather = new Breather()
  #chunk: string[] = []
  #characters = 0
  #bytes = 0
  #lines = 0

  private constructor(file: string, beside: string, handle: FileHandle, keys: BundleKeys) {
    this.#file = file
    this.#beside = beside
    this.#handle = handle
    this.#keys = keys
    this.#whole = createHmac('sha256', keys.whole)
  }

  /** Begins one; the folder is there, and private. */
  static async create(file: string, id: string, keys: BundleKeys): Promise<BundleFile> {
    const beside = join(dirname(file), unfinishedName(id))
    return attempt(file, async () => {
      await rm(beside, { force: true })
      const handle = await open(beside, 'wx', 0o600)
      await handle.chmod(0o600)
      return new BundleFile(file, beside, handle, keys)
    })
  }

  async line(content: BundleLine): Promise<void> {
    this.#lines += 1
    const text = lineText(this.#keys, this.#lines, content)
    this.#chunk.push(text)
    this.#characters += text.length
    if (this.#characters >= chunkCharacters) await this.#flush()
    // requests go on while a bundle is written
    if (this.#breather.due) await this.#breather.breathe()
  }

  /** Writes the last line and gives the file its name; it survives a power cut once this resolves. */
  async finish(trailer: Omit<TrailerLine, 'end' | 'whole'>): Promise<WrittenFile> {
    await this.#flush()
    const whole = this.#whole.digest('hex')
    // the whole is closed: what follows is under the line's own MAC
    await this.#write(Buffer.from(lineText(this.#keys, this.#lines + 1, { end: true, ...trailer, whole })))
    return attempt(this.#file, async () => {
      await this.#handle.sync()
      await this.#handle.close()
      await rename(this.#beside, this.#file)
      await syncFolder(dirname(this.#file))
      return { bytes: this.#bytes, sha256: this.#sha256.digest('hex') }
    })
  }

  /** Leaves nothing behind. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined)
    await rm(this.#beside, { force: true }).catch(() => undefined)
  }

  async #flush(): Promise<void> {
    if (this.#chunk.length === 0) return
    const bytes = Buffer.from(this.#chunk.join(''))
    this.#chunk = []
    this.#characters = 0
    this.#whole.update(bytes)
    await this.#write(bytes)
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#sha256.update(bytes)
    this.#bytes += bytes.length
    await attempt(this.#file, () => this.#handle.writeFile(bytes))
  }
}

/** Makes what was renamed or removed in a folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function attempt<T>(file: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (cause instanceof BrokerError) throw cause
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new BrokerError('unavailable', `the backup ${file} cannot be written (${why})`, {
      hint: 'look at the disk and the rights of the folder broker.backups.folder',
      cause,
    })
  }
}
