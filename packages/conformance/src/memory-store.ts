import type { Etag, SecretValue, StoreAdapter, StorePath, VersionId, VersionInfo, WriteOptions } from '@keyturn/core'
import { classifyMemory, type MemoryBackend, MemoryError, type MemorySecret, type MemoryVersion } from './memory-backend.ts'

const valueBytesMax = 65_536

/**
 * The reference store: everything the port promises, in memory, in the shape of its backend. An operation takes effect at
 * once and whole, between two turns of the event loop, so that a run with one seed is the same each time.
 */
export function openMemoryStore(backend: MemoryBackend): StoreAdapter {
  const { history, stages, cas, idempotent } = backend.shape
  return {
    kind: 'memory',
    guarantees: { cas, idempotent, valueBytesMax },
    ...basics(backend),
    ...(history ? { ...lifetimes(backend), restore: restoring(backend) } : {}),
    ...(stages ? { stages: staging(backend) } : {}),
    delete: deleting(backend),
    watch: watching(backend),
  }
}

type Basics = Pick<StoreAdapter, 'read' | 'write' | 'list' | 'refuses' | 'examine' | 'classify' | 'close'>
type Lifetimes = Required<Pick<StoreAdapter, 'versions' | 'disable' | 'enable' | 'destroy'>>

function basics(backend: MemoryBackend): Basics {
  return {
    async read(path, { version: wanted, signal }) {
      enter(backend, signal)
      const secret = present(backend, path)
      const version = wanted === undefined ? secret.current : secret.find(wanted)
      if (version === undefined) throw new MemoryError('not_found', 'no such version')
      if (version.value === undefined) throw new MemoryError('not_found', 'this version was destroyed')
      if (version.disabled) throw new MemoryError('precondition_failed', 'this version is disabled')
      return { ...secret.info(version), value: version.value }
    },
    async write(path, value, options) {
      enter(backend, options.signal)
      const before = replay(backend, path, value, options)
      if (before !== undefined) return before
      expect(backend, path, options.ifMatch)
      const { secret, version } = backend.add(path, value, options.idempotencyKey)
      backend.makeCurrent(path, secret, version)
      return secret.info(version)
    },
    async *list(prefix, { signal }) {
      enter(backend, signal)
      for (const [path, secret] of backend.secrets) {
        signal.throwIfAborted()
        if (!secret.deleted && path.startsWith(prefix)) yield path
      }
    },
    refuses: value => (value.encode().byteLength > valueBytesMax ? `it is larger than ${valueBytesMax} bytes` : undefined),
    async examine(path, { signal }) {
      enter(backend, signal)
      const login = { ok: true, what: 'login' }
      if (path === null) return [login]
      if (backend.live(path)?.current !== undefined) return [login, { ok: true, what: `path ${path}` }]
      return [login, { ok: false, what: `path ${path}`, detail: 'it is absent', hint: 'write the secret, or correct the path' }]
    },
    classify: classifyMemory,
    async close() {},
  }
}

function lifetimes(backend: MemoryBackend): Lifetimes {
  return {
    async *versions(path, { signal }) {
      enter(backend, signal)
      const secret = present(backend, path)
      for (const version of secret.versions.toReversed()) {
        signal.throwIfAborted()
        yield secret.info(version)
      }
    },
    async disable(path, id, { signal }) {
      enter(backend, signal)
      notCurrent(backend, path, id).disabled = true
    },
    async enable(path, id, { signal }) {
      enter(backend, signal)
      named(present(backend, path), id).disabled = false
    },
    async destroy(path, id, { signal }) {
      enter(backend, signal)
      notCurrent(backend, path, id).value = undefined
    },
  }
}

function staging(backend: MemoryBackend): NonNullable<StoreAdapter['stages']> {
  return {
    async stage(path, value, options) {
      enter(backend, options.signal)
      const before = replay(backend, path, value, options)
      if (before !== undefined) return before
      const { secret, version } = backend.add(path, value, options.idempotencyKey)
      return secret.info(version)
    },
    async promote(path, { from, to }, { signal }) {
      enter(backend, signal)
      const secret = backend.secrets.get(path)
      if (secret === undefined) throw new MemoryError('not_found', 'no such secret')
      const version = named(secret, to)
      if (secret.current === version) return
      if ((secret.current?.id ?? null) !== from) throw new MemoryError('conflict', 'another version is current')
      if (version.value === undefined || version.disabled) throw new MemoryError('precondition_failed', 'this version is not enabled')
      backend.makeCurrent(path, secret, version)
    },
  }
}

function deleting(backend: MemoryBackend): NonNullable<StoreAdapter['delete']> {
  return async (path, { ifMatch, signal }) => {
    enter(backend, signal)
    const secret = backend.live(path)
    if (secret === undefined) {
      if (backend.secrets.has(path) && ifMatch === undefined) return
      throw new MemoryError(ifMatch === undefined ? 'not_found' : 'conflict', 'no such secret')
    }
    expect(backend, path, ifMatch)
    if (backend.shape.history) secret.deleted = true
    else backend.secrets.delete(path)
  }
}

function restoring(backend: MemoryBackend): NonNullable<StoreAdapter['restore']> {
  return async (path, { signal }) => {
    enter(backend, signal)
    const secret = backend.secrets.get(path)
    if (secret === undefined) throw new MemoryError('not_found', 'no such secret')
    secret.deleted = false
  }
}

function watching(backend: MemoryBackend): NonNullable<StoreAdapter['watch']> {
  return async function* (path, { signal }) {
    enter(backend, signal)
    const seen: VersionInfo[] = []
    let wake = () => {}
    const stop = backend.watch((changed, info) => {
      if (changed !== path) return
      seen.push(info)
      wake()
    })
    const onAbort = () => wake()
    signal.addEventListener('abort', onAbort)
    try {
      while (!signal.aborted) {
        const next = seen.shift()
        if (next !== undefined) yield next
        else await new Promise<void>(resolve => (wake = resolve))
      }
    } finally {
      stop()
      signal.removeEventListener('abort', onAbort)
    }
  }
}

function enter(backend: MemoryBackend, signal: AbortSignal): void {
  signal.throwIfAborted()
  if (backend.fault !== undefined) throw backend.fault
}

/** What an idempotent backend answers to a key it has seen; a replay comes before the precondition, which its own first run outdated. */
function replay(backend: MemoryBackend, path: StorePath, value: SecretValue, { idempotencyKey }: WriteOptions): VersionInfo | undefined {
  if (!backend.shape.idempotent) return undefined
  const secret = backend.secrets.get(path)
  const before = secret?.versions.find(version => version.idempotencyKey === idempotencyKey)
  if (secret === undefined || before === undefined) return undefined
  if (before.value === undefined || !before.value.equals(value)) throw new MemoryError('conflict', 'this key was used for another value')
  return secret.info(before)
}

function expect(backend: MemoryBackend, path: StorePath, ifMatch: Etag | null | undefined): void {
  if (ifMatch === undefined || !backend.shape.cas) return
  const secret = backend.live(path)
  const etag = secret?.current === undefined ? null : secret.etag
  if (etag !== ifMatch) throw new MemoryError('conflict', 'another version is current')
}

function present(backend: MemoryBackend, path: StorePath): MemorySecret {
  const secret = backend.live(path)
  if (secret === undefined) throw new MemoryError('not_found', 'no such secret')
  return secret
}

function named(secret: MemorySecret, id: VersionId): MemoryVersion {
  const version = secret.find(id)
  if (version === undefined) throw new MemoryError('not_found', 'no such version')
  return version
}

function notCurrent(backend: MemoryBackend, path: StorePath, id: VersionId): MemoryVersion {
  const secret = present(backend, path)
  const version = named(secret, id)
  if (version === secret.current) throw new MemoryError('precondition_failed', 'this version is current')
  return version
}
