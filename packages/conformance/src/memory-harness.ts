import { createHash } from 'node:crypto'
import { type Clock, capabilities, type ErrorCode, type Random, type StoreAdapter, type StorePath } from '@keyturn/core'
import { asValue, freshText } from './claim.ts'
import { wallClock } from './clock.ts'
import { type Fault, type StoreHarness, slowMs } from './harness.ts'
import { MemoryBackend, MemoryError, type MemoryShape } from './memory-backend.ts'
import { openMemoryStore } from './memory-store.ts'

/** Randomness that repeats with its seed. Never for secrets. */
export function seededRandom(seed: string): Random {
  let drawn = 0
  const block = () => {
    drawn += 1
    return createHash('sha256').update(`${seed}:${drawn}`).digest()
  }
  return {
    bytes: count => Buffer.concat(Array.from({ length: Math.ceil(count / 32) }, block)).subarray(0, count),
    uuid() {
      const hex = block().toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
    },
  }
}

/** Makes of a healthy adapter a broken one. */
export type Mutate = (adapter: StoreAdapter, backend: MemoryBackend) => StoreAdapter

const faults: readonly (readonly [title: string, code: ErrorCode, operation: Fault['operation'], error: () => Error])[] = [
  ['the credential was refused', 'unauthenticated', 'read', () => new MemoryError('unauthenticated', 'login refused')],
  ['reading is denied', 'permission_denied', 'read', () => new MemoryError('permission_denied', 'denied')],
  ['writing is denied', 'permission_denied', 'write', () => new MemoryError('permission_denied', 'denied')],
  ['listing is denied', 'permission_denied', 'list', () => new MemoryError('permission_denied', 'denied')],
  ['too many calls', 'throttled', 'read', () => new MemoryError('throttled', 'slow down', 1_000)],
  ['nobody listens', 'unavailable', 'write', () => new MemoryError('unavailable', 'connection refused')],
  ['the connection was cut while reading', 'unavailable', 'read', () => new MemoryError('outcome_unknown', 'cut')],
  ['the connection was cut while writing', 'outcome_unknown', 'write', () => new MemoryError('outcome_unknown', 'cut')],
  ['the answer does not parse', 'corrupt', 'read', () => new MemoryError('corrupt', 'not what was expected')],
  ['an error nobody thought of', 'internal', 'read', () => new TypeError('x is not a function')],
]

/** The memory store of one shape under the checks; `mutate` breaks it. */
export function memoryHarness(shape: MemoryShape, mutate: Mutate = adapter => adapter, clock: Clock = wallClock): StoreHarness {
  const ports = { clock, random: seededRandom('memory') }
  const backend = new MemoryBackend(shape, ports)
  const open = async () => mutate(openMemoryStore(backend), backend)
  let paths = 0
  return {
    name: 'memory',
    capabilities: capabilitiesOfShape(shape),
    forms: ['text', 'fields'],
    prefix: 'fresh/',
    open,
    freshPath() {
      paths += 1
      return `fresh/${paths}` as StorePath
    },
    faults: faults.map(([title, code, operation, error]) => ({
      title,
      code,
      ...(operation === undefined ? {} : { operation }),
      async open() {
        const broken = new MemoryBackend(shape, ports)
        broken.fault = error()
        return mutate(openMemoryStore(broken), broken)
      },
    })),
    async behind(path, text) {
      const { secret, version } = backend.add(path, asValue(text, 'text'), ports.random.uuid())
      backend.makeCurrent(path, secret, version)
    },
    async slow() {
      return mutate(delayed(openMemoryStore(backend), clock), backend)
    },
    async fill(all) {
      for (const path of all) await this.behind?.(path, freshText())
    },
  }
}

function capabilitiesOfShape({ history, ...guaranteed }: MemoryShape): StoreHarness['capabilities'] {
  const withHistory = new Set(['versions', 'disable', 'enable', 'destroy', 'restore'])
  return capabilities.filter(name => {
    if (name === 'cas' || name === 'idempotent' || name === 'stages') return guaranteed[name]
    return history || !withHistory.has(name)
  })
}

/** The same adapter behind a slow network: a write happens, but its answer comes late. */
function delayed(adapter: StoreAdapter, clock: Clock): StoreAdapter {
  return {
    ...adapter,
    async write(path, value, options) {
      const info = await adapter.write(path, value, options)
      await new Promise<void>((resolve, reject) => {
        const cancel = clock.after(slowMs * 4, resolve)
        options.signal.addEventListener('abort', () => {
          cancel()
          reject(new MemoryError('outcome_unknown', 'stopped while waiting'))
        })
      })
      return info
    },
  }
}
