import { createHash } from 'node:crypto'
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '@keyturn/core'

const everyMs = 3_000
/** Who writes a key writes more than one file. */
const settleMs = 100

/**
 * Calls when names, contents or modes of the files in a folder changed; the answer ends it. It looks every few seconds, because not every file system tells (a
 * network mount, links that are swapped), and soon after the system told.
 */
export function watchFolder(folder: string, clock: Clock, changed: () => void): () => void {
  let last = stateOf(folder)
  let cancel = () => {}
  let watcher: FSWatcher | undefined
  const later = (ms: number) => {
    cancel()
    cancel = clock.after(ms, look)
  }
  const look = () => {
    later(everyMs)
    watcher ??= told(
      folder,
      () => later(settleMs),
      () => (watcher = undefined),
    )
    const now = stateOf(folder)
    if (now === last) return
    last = now
    changed()
  }
  look()
  return () => {
    cancel()
    watcher?.close()
    watcher = undefined
  }
}

/** Undefined where the system tells nothing: looking goes on. */
function told(folder: string, run: () => void, ended: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, run)
    watcher.on('error', () => {
      watcher.close()
      ended()
    })
    return watcher
  } catch {
    return undefined
  }
}

function stateOf(folder: string): string {
  const state = createHash('sha256')
  try {
    for (const name of readdirSync(folder).sort()) if (!name.startsWith('.')) state.update(`${name}\0${fileState(join(folder, name))}\0`)
  } catch (error) {
    state.update(codeOf(error))
  }
  return state.digest('hex')
}

function fileState(path: string): string {
  try {
    return `${statSync(path).mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
  } catch (error) {
    return codeOf(error)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
