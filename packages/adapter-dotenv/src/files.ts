import { constants } from 'node:fs'
import { lstat, open, readlink, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { BrokerError } from '@keyturn/core'

/** What a file is at one moment; `identity` changes with every write, whoever made it. */
export interface FileState {
  readonly identity: string
  readonly changedAt: Date
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

export interface FileContent extends FileState {
  readonly bytes: Uint8Array
}

/** Who may do what with a file that is made. Left out: the process's own. */
export interface FileAccess {
  readonly mode: number
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/**
 * The file system as this adapter uses it, in the steps that a power cut can fall between. What `create` wrote is safe after
 * `sync`; what `rename` and `remove` did, after `syncFolder`. Errors are the system's own.
 */
export interface Files {
  /** The place a path means, links followed; the file need not exist, its folder must. */
  resolve(path: string): Promise<string>
  /** A regular file of at most `bytesMax`; undefined when there is none. */
  read(path: string, bytesMax: number): Promise<FileContent | undefined>
  state(path: string): Promise<FileState | undefined>
  /** A new file, readable by its owner alone until it is whole; never through a link, never over another file. */
  create(path: string, bytes: Uint8Array, access: FileAccess): Promise<void>
  sync(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file; none is fine. */
  remove(path: string): Promise<void>
  /** Makes what happened to the names in the folder of `path` last. */
  syncFolder(path: string): Promise<void>
}

const linksMax = 40

/** The machine's file system. */
export const systemFiles: Files = {
  resolve: path => resolveFile(resolve(path), linksMax),
  read: readFile,
  state: path => present(async () => stateOf(await stat(path, { bigint: true }))),
  create,
  sync: path => withHandle(path, constants.O_RDONLY, handle => handle.sync()),
  rename,
  remove: path => rm(path, { force: true }),
  async syncFolder(path) {
    // Windows opens no folders; its file system orders renames itself
    if (process.platform !== 'win32') await withHandle(dirname(path), constants.O_RDONLY, handle => handle.sync())
  },
}

async function resolveFile(path: string, linksLeft: number): Promise<string> {
  const real = await present(() => realpath(path))
  if (real !== undefined) return real
  const link = await present(async () => ((await lstat(path)).isSymbolicLink() ? readlink(path) : undefined))
  if (link === undefined) return join(await realpath(dirname(path)), basename(path))
  if (linksLeft === 0) throw new BrokerError('invalid_argument', `${path} is a link that leads round in a circle`)
  return resolveFile(resolve(dirname(path), link), linksLeft - 1)
}

async function readFile(path: string, bytesMax: number): Promise<FileContent | undefined> {
  return present(() =>
    // without O_NONBLOCK, opening a pipe waits for a writer
    withHandle(path, constants.O_RDONLY | constants.O_NONBLOCK, async handle => {
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw new BrokerError('invalid_argument', `${path} is not a file`)
      if (stats.size > bytesMax) throw new BrokerError('too_large', `${path} is larger than ${bytesMax} bytes`)
      const bytes = await handle.readFile()
      const { size, mtimeNs } = await handle.stat({ bigint: true })
      // an editor that writes in place was at it: half of its file is nobody's (a rename over it leaves both as they were)
      if (size !== stats.size || mtimeNs !== stats.mtimeNs) throw new BrokerError('unavailable', `${path} was written while it was read`)
      return { ...stateOf(stats), bytes }
    }),
  )
}

async function create(path: string, bytes: Uint8Array, { mode, owner }: FileAccess): Promise<void> {
  const fresh = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
  await withHandle(path, fresh, async handle => {
    await handle.writeFile(bytes)
    if (owner !== undefined) {
      const { uid, gid } = await handle.stat()
      if (uid !== owner.uid || gid !== owner.gid) await handle.chown(owner.uid, owner.gid)
    }
    await handle.chmod(mode)
  })
}

type Handle = Awaited<ReturnType<typeof open>>

async function withHandle<T>(path: string, flags: number, run: (handle: Handle) => Promise<T>): Promise<T> {
  const handle = await open(path, flags, 0o600)
  try {
    return await run(handle)
  } finally {
    await handle.close()
  }
}

function stateOf(stats: {
  dev: bigint
  ino: bigint
  size: bigint
  mtimeNs: bigint
  ctimeNs: bigint
  mtime: Date
  mode: bigint
  uid: bigint
  gid: bigint
}): FileState {
  return {
    identity: [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':'),
    changedAt: stats.mtime,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  }
}

/** Undefined where the system says that there is no such file, and only then. */
async function present<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
