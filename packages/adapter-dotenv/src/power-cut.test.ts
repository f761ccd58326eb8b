import { BrokerError } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { EnvFile } from './client.ts'
import type { FileAccess, FileState, Files } from './files.ts'
import { setVariable } from './lines.ts'

const path = '/data/.env'
const before = 'A=old\nB=kept\n'
const after = 'A=new\nB=kept\n'
const { signal } = new AbortController()

interface Inode {
  bytes: string
  synced: boolean
  identity: number
  access: FileAccess
}

/** How a disk comes back: which of the renames and removals it had not synced it kept, and how much of the bytes. */
interface Comeback {
  readonly names: 'none' | 'all' | 'first'
  readonly bytes: 'nothing' | 'half' | 'all'
}

const comebacks: readonly Comeback[] = (['none', 'all', 'first'] as const).flatMap(names =>
  (['nothing', 'half', 'all'] as const).map(bytes => ({ names, bytes })),
)

class PowerCut extends Error {}

/** A file system in memory that forgets what was not synced, and loses power before its n-th step. */
class ForgetfulFiles implements Files {
  readonly steps: string[] = []
  readonly #cutBefore: number
  readonly #made = new Map<number, Inode>()
  /** Names as running programs see them, and what happened to them since the last sync of the folder. */
  #names = new Map<string, Inode>()
  #lasting = new Map<string, Inode>()
  #pending: ((names: Map<string, Inode>) => void)[] = []

  constructor(content: string | undefined, cutBefore = Number.POSITIVE_INFINITY) {
    this.#cutBefore = cutBefore
    if (content === undefined) return
    this.#names.set(path, this.#inode(content, true, { mode: 0o640 }))
    this.#lasting = new Map(this.#names)
  }

  async resolve(path: string): Promise<string> {
    return path
  }

  async read(path: string) {
    const inode = this.#names.get(path)
    return inode === undefined ? undefined : { ...state(inode), bytes: Buffer.from(inode.bytes) }
  }

  async state(path: string): Promise<FileState | undefined> {
    const inode = this.#names.get(path)
    return inode === undefined ? undefined : state(inode)
  }

  async create(path: string, bytes: Uint8Array, access: FileAccess): Promise<void> {
    this.#step('create')
    const inode = this.#inode(Buffer.from(bytes).toString(), false, access)
    this.#happen(names => names.set(path, inode))
  }

  async sync(path: string): Promise<void> {
    this.#step('sync')
    const inode = this.#names.get(path)
    if (inode !== undefined) inode.synced = true
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step('rename')
    const inode = this.#names.get(from)
    if (inode === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    this.#happen(names => {
      names.delete(from)
      names.set(to, inode)
    })
  }

  async remove(path: string): Promise<void> {
    if (!this.#names.has(path)) return
    this.#step('remove')
    this.#happen(names => names.delete(path))
  }

  async syncFolder(): Promise<void> {
    this.#step('syncFolder')
    this.#lasting = new Map(this.#names)
    this.#pending = []
  }

  /** What the next start finds. */
  afterPowerCut({ names, bytes }: Comeback): string | undefined {
    const kept = new Map(this.#lasting)
    const count = { none: 0, first: 1, all: this.#pending.length }[names]
    for (const happened of this.#pending.slice(0, count)) happened(kept)
    const inode = kept.get(path)
    if (inode === undefined || inode.synced) return inode?.bytes
    return inode.bytes.slice(0, { nothing: 0, half: Math.floor(inode.bytes.length / 2), all: inode.bytes.length }[bytes])
  }

  /** The same disk after the process was killed and the machine went on. */
  reopened(): ForgetfulFiles {
    const files = new ForgetfulFiles(undefined)
    files.#names = this.#names
    files.#lasting = this.#lasting
    files.#pending = this.#pending
    return files
  }

  #happen(change: (names: Map<string, Inode>) => void): void {
    change(this.#names)
    this.#pending.push(change)
  }

  #inode(bytes: string, synced: boolean, access: FileAccess): Inode {
    const inode = { bytes, synced, identity: this.#made.size + 1, access }
    this.#made.set(inode.identity, inode)
    return inode
  }

  #step(name: string): void {
    if (this.steps.length === this.#cutBefore) throw new PowerCut(`before ${name}`)
    this.steps.push(name)
  }
}

function state({ identity, access }: Inode): FileState {
  return { identity: String(identity), changedAt: new Date(0), mode: access.mode, uid: 0, gid: 0 }
}

function envFile(files: Files): EnvFile {
  return new EnvFile(path, files, async () => () => {})
}

async function write(files: Files): Promise<'acknowledged' | 'failed' | 'unknown'> {
  try {
    await envFile(files).change(signal, ({ text }) => setVariable(text, 'A', 'new') ?? text)
    return 'acknowledged'
  } catch (error) {
    return error instanceof BrokerError && error.code === 'outcome_unknown' ? 'unknown' : 'failed'
  }
}

/** Every cut point, every way to come back: what was acknowledged and lost, or found half written. */
async function damage(content: string | undefined, wrap: (files: Files) => Files = files => files): Promise<string[]> {
  const dry = new ForgetfulFiles(content)
  await write(wrap(dry))
  const found: string[] = []
  const whole = content === undefined ? 'A=new\n' : after
  for (let cut = 0; cut <= dry.steps.length; cut += 1) {
    for (const comeback of comebacks) {
      const files = new ForgetfulFiles(content, cut)
      const ended = await write(wrap(files))
      const left = files.afterPowerCut(comeback)
      const where = `cut before step ${cut}, ${JSON.stringify(comeback)}`
      if (left !== content && left !== whole) found.push(`half written: ${where}`)
      if (ended === 'acknowledged' && left !== whole) found.push(`lost: ${where}`)
    }
  }
  return found
}

describe('a power cut', () => {
  test.each([
    ['a file that was there', before],
    ['a file that was made', undefined],
  ])('at any step loses no acknowledged write and leaves no half one: %s', async (_title, content) => {
    expect(await damage(content)).toEqual([])
  })

  test('is tried before each of the steps that change the disk', async () => {
    const files = new ForgetfulFiles(before)
    expect(await write(files)).toBe('acknowledged')
    expect(files.steps).toEqual(['create', 'sync', 'rename', 'syncFolder'])
  })

  test('is unknown to the writer where the file was replaced and the folder not synced', async () => {
    expect(await write(new ForgetfulFiles(before, 3))).toBe('unknown')
  })

  test('does not take back what was read after a killed writer', async () => {
    const files = new ForgetfulFiles(before, 3)
    await write(files)
    const next = files.reopened()
    const { text } = await envFile(next).read(signal)
    expect(text).toBe(after)
    for (const comeback of comebacks) expect(next.afterPowerCut(comeback)).toBe(after)
  })

  test.each([
    ['never syncs the file', (files: Files): Files => ({ ...bound(files), sync: async () => {} }), 'half written'],
    ['never syncs the folder', (files: Files): Files => ({ ...bound(files), syncFolder: async () => {} }), 'lost'],
  ])('is caught damaging a writer that %s', async (_title, wrap, kind) => {
    expect((await damage(before, wrap)).some(line => line.startsWith(kind))).toBe(true)
  })
})

function bound(files: Files): Files {
  return {
    resolve: path => files.resolve(path),
    read: (path, bytesMax) => files.read(path, bytesMax),
    state: path => files.state(path),
    create: (path, bytes, access) => files.create(path, bytes, access),
    sync: path => files.sync(path),
    rename: (from, to) => files.rename(from, to),
    remove: path => files.remove(path),
    syncFolder: path => files.syncFolder(path),
  }
}
