import {
  BrokerError,
  type Etag,
  type FieldInput,
  SecretValue,
  type StoreAdapter,
  type StorePath,
  textOf,
  type VersionId,
  type VersionInfo,
} from '@keyturn/core'
import { type MemoryBackend, MemoryError } from './memory-backend.ts'

/** What a store that invents its answers gives. */
export const empty = {
  version: '0' as VersionId,
  state: 'current',
  createdAt: new Date(0),
  etag: '0' as Etag,
  value: SecretValue.text(''),
} as const

/** A member that the full shape has. */
export function called<Name extends 'versions' | 'disable' | 'delete' | 'watch'>(
  adapter: StoreAdapter,
  name: Name,
): NonNullable<StoreAdapter[Name]> {
  const member = adapter[name]
  if (member === undefined) throw new Error(`the full shape has ${name}`)
  return member
}

export function staged(adapter: StoreAdapter): NonNullable<StoreAdapter['stages']> {
  if (adapter.stages === undefined) throw new Error('the full shape has stages')
  return adapter.stages
}

/** Rewrites every field that is text. */
export function texts(value: SecretValue, change: (text: string) => string): SecretValue {
  const content = value.reveal()
  if ('field' in content) return content.field.form === 'text' ? SecretValue.text(change(textOf(content.field) ?? '')) : value
  const fields = [...content.fields].map(([name, field]) => {
    const text = textOf(field)
    if (field.form === 'json') return [name, { json: change(text ?? '') }] as const
    return [name, text === undefined ? field.bytes : change(text)] as const
  })
  return SecretValue.fields(new Map<string, FieldInput>(fields))
}

export function decoded(value: SecretValue): SecretValue {
  const content = value.reveal()
  return 'field' in content ? SecretValue.text(Buffer.from(content.field.bytes).toString('utf8')) : value
}

export function asNumber(text: string): string {
  return /^\d+(\.\d+)?$/.test(text) ? String(Number(text)) : text
}

export function renamed(value: SecretValue): SecretValue {
  const content = value.reveal()
  if ('field' in content) return value
  return SecretValue.fields(
    new Map(
      [...content.fields].map(([name, field]) => [
        name.replace(/\W/g, '_'),
        field.form === 'json' ? { json: textOf(field) ?? '' } : field.bytes,
      ]),
    ),
  )
}

export function once(read: StoreAdapter['read']): StoreAdapter['read'] {
  const seen = new Map<string, ReturnType<StoreAdapter['read']>>()
  let paths = 0
  return async (path, options) => {
    paths += 1
    const first = seen.get('first') ?? read(path, options)
    if (paths === 1) seen.set('first', first)
    return first
  }
}

export function retold(adapter: StoreAdapter, change: (info: VersionInfo) => VersionInfo): StoreAdapter {
  return {
    ...adapter,
    read: async (path, o) => {
      const read = await adapter.read(path, o)
      return { ...read, ...change(read), value: read.value }
    },
    write: async (path, value, o) => change(await adapter.write(path, value, o)),
  }
}

export function moved(adapter: StoreAdapter, to: (path: StorePath) => StorePath): StoreAdapter {
  return {
    ...adapter,
    read: (path, o) => adapter.read(to(path), o),
    write: (path, value, o) => adapter.write(to(path), value, o),
  }
}

export async function* repeated<T>(items: AsyncIterable<T>): AsyncIterable<T> {
  for await (const item of items) {
    yield item
    yield item
  }
}

export async function* firstOf<T>(items: AsyncIterable<T>, count: number): AsyncIterable<T> {
  let left = count
  for await (const item of items) {
    if (left === 0) return
    left -= 1
    yield item
  }
}

export async function* reversed<T>(items: AsyncIterable<T>): AsyncIterable<T> {
  const all: T[] = []
  for await (const item of items) all.unshift(item)
  yield* all
}

export async function* mapped<T>(items: AsyncIterable<T>, change: (item: T) => T): AsyncIterable<T> {
  for await (const item of items) yield change(item)
}

export async function* orNothing<T>(items: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* items
  } catch {
    // the fault of this mutant: a failed page ends the list
  }
}

export function keepsToItself(adapter: StoreAdapter): StoreAdapter {
  const written = new Map<StorePath, { info: VersionInfo; value: SecretValue }>()
  return {
    ...adapter,
    async write(path, value, o) {
      o.signal.throwIfAborted()
      const info: VersionInfo = { ...empty, version: crypto.randomUUID() as VersionId }
      written.set(path, { info, value })
      return info
    },
    async read(path, o) {
      const kept = written.get(path)
      return kept === undefined ? adapter.read(path, o) : { ...kept.info, value: kept.value }
    },
  }
}

export function cached(adapter: StoreAdapter): StoreAdapter {
  const reads = new Map<StorePath, ReturnType<StoreAdapter['read']>>()
  return {
    ...adapter,
    write(path, value, o) {
      reads.delete(path)
      return adapter.write(path, value, o)
    },
    read(path, o) {
      const read = reads.get(path) ?? adapter.read(path, o)
      reads.set(path, read)
      return read
    },
  }
}

export function checksThenWrites(adapter: StoreAdapter): StoreAdapter {
  return {
    ...adapter,
    async write(path, value, { ifMatch, ...o }) {
      const current = await adapter.read(path, { signal: o.signal }).then(
        read => read.etag,
        () => null,
      )
      if (ifMatch !== undefined && ifMatch !== current) throw new MemoryError('conflict', 'another version is current')
      return adapter.write(path, value, o)
    },
  }
}

export function bringsBack(adapter: StoreAdapter, backend: MemoryBackend): StoreAdapter {
  return {
    ...adapter,
    async write(path, value, o) {
      const info = await adapter.write(path, value, o)
      const secret = backend.live(path)
      const version = secret?.find(info.version)
      if (secret !== undefined && version !== undefined && secret.current !== version) backend.makeCurrent(path, secret, version)
      return info
    },
  }
}

export function answersUsedKey(adapter: StoreAdapter): StoreAdapter {
  const used = new Map<string, VersionInfo>()
  return {
    ...adapter,
    async write(path, value, o) {
      const info = used.get(o.idempotencyKey) ?? (await adapter.write(path, value, o))
      used.set(o.idempotencyKey, info)
      return info
    },
  }
}

export function promotesOnce(adapter: StoreAdapter): StoreAdapter {
  const done = new Set<VersionId>()
  return {
    ...adapter,
    stages: {
      ...staged(adapter),
      async promote(path, move, o) {
        if (done.has(move.to)) throw new MemoryError('conflict', 'it is current already')
        await staged(adapter).promote(path, move, o)
        done.add(move.to)
      },
    },
  }
}

export function acknowledgesEarly(adapter: StoreAdapter): StoreAdapter {
  return {
    ...adapter,
    async write(path, value, o) {
      const written = adapter.write(path, value, o)
      await Promise.race([written, Promise.resolve()])
      // what fails after the acknowledgement is lost: the fault of this mutant
      written.catch(() => undefined)
      return empty
    },
  }
}

export function closesOnce(adapter: StoreAdapter): StoreAdapter {
  let closed = false
  return {
    ...adapter,
    async close() {
      if (closed) throw new MemoryError('internal', 'closed already')
      closed = true
    },
  }
}

export function quote(value: SecretValue, cause: unknown): never {
  const content = value.reveal()
  const text = 'field' in content ? textOf(content.field) : ''
  throw new BrokerError('conflict', `could not write ${text}`, { cause })
}
