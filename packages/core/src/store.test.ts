import { describe, expect, test } from 'vitest'
import { capabilities, capabilitiesOf } from './capabilities.ts'
import { BrokerError, type ErrorCode } from './error.ts'
import type { Etag, StorePath, VersionId } from './name.ts'
import type { Clock } from './ports.ts'
import { SecretValue } from './secret-value.ts'
import { Store } from './store.ts'
import type { CallOptions, StoreAdapter, VersionInfo } from './store-adapter.ts'

const path = 'app/key' as StorePath
const version = '1' as VersionId
const value = SecretValue.text('value')
const info: VersionInfo = { version, state: 'current', createdAt: new Date(0), etag: 'e' as Etag }
const write = { idempotencyKey: '00000000-0000-4000-8000-000000000000' }
const never = () => new Promise<never>(() => undefined)

class RawError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode) {
    super('with a body that nobody may print')
    this.code = code
  }
}

/** An adapter that answers at once and counts its calls; a test replaces what it looks at. */
function adapter(more: Partial<StoreAdapter> = {}): StoreAdapter & { readonly calls: string[] } {
  const calls: string[] = []
  const called = async (name: string) => {
    calls.push(name)
  }
  return {
    calls,
    kind: 'test',
    guarantees: { cas: true, idempotent: false, valueBytesMax: 100 },
    read: async () => called('read').then(() => ({ ...info, value })),
    write: async () => called('write').then(() => info),
    async *list() {
      await called('list')
      yield path
    },
    refuses: () => undefined,
    examine: async () => called('examine').then(() => []),
    classify: error => ({ code: error instanceof RawError ? error.code : 'internal' }),
    close: async () => called('close'),
    ...more,
  }
}

/** Whole: every member that an adapter may have. */
const whole = (more: Partial<StoreAdapter> = {}) =>
  adapter({
    stages: { stage: async () => info, promote: async () => undefined },
    async *versions() {
      yield info
    },
    disable: async () => undefined,
    enable: async () => undefined,
    destroy: async () => undefined,
    delete: async () => undefined,
    restore: async () => undefined,
    async *watch() {
      yield info
    },
    ...more,
  })

class HandClock implements Clock {
  readonly timers = new Set<() => void>()

  now(): Date {
    return new Date(0)
  }

  after(_: number, run: () => void): () => void {
    this.timers.add(run)
    return () => this.timers.delete(run)
  }

  strike(): void {
    for (const run of this.timers) run()
  }
}

function storeOf(of: StoreAdapter, clock: Clock = new HandClock()): Store {
  return new Store(of, { name: 'main', clock, timeoutMs: 5 })
}

const reads: readonly (readonly [
  string,
  (store: Store, signal?: AbortSignal) => Promise<unknown>,
  (fail: () => Promise<never>) => Partial<StoreAdapter>,
])[] = [
  ['read', (store, signal) => store.read(path, on(signal)), fail => ({ read: fail })],
  ['examine', (store, signal) => store.examine(path, on(signal)), fail => ({ examine: fail })],
  ['list', (store, signal) => Array.fromAsync(store.list('', on(signal))), fail => ({ list: () => pages(fail) })],
  ['versions', (store, signal) => Array.fromAsync(store.versions(path, on(signal))), fail => ({ versions: () => pages(fail) })],
]
const writes: typeof reads = [
  ['write', (store, signal) => store.write(path, value, { ...write, ...on(signal) }), fail => ({ write: fail })],
  ['stage', (store, signal) => store.stage(path, value, { ...write, ...on(signal) }), fail => ({ stages: { stage: fail, promote: fail } })],
  [
    'promote',
    (store, signal) => store.promote(path, { from: null, to: version }, on(signal)),
    fail => ({ stages: { stage: fail, promote: fail } }),
  ],
  ['disable', (store, signal) => store.disable(path, version, on(signal)), fail => ({ disable: fail })],
  ['enable', (store, signal) => store.enable(path, version, on(signal)), fail => ({ enable: fail })],
  ['destroy', (store, signal) => store.destroy(path, version, on(signal)), fail => ({ destroy: fail })],
  ['delete', (store, signal) => store.delete(path, { ...write, ...on(signal) }), fail => ({ delete: fail })],
  ['restore', (store, signal) => store.restore(path, on(signal)), fail => ({ restore: fail })],
]

function on(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

async function* pages<T>(fail: () => Promise<never>): AsyncGenerator<T> {
  yield await fail()
}

/** What a call throws. */
async function thrown(call: Promise<unknown>): Promise<BrokerError> {
  return call.then(
    () => expect.unreachable('nothing was thrown'),
    error => error,
  )
}

describe.each([...reads.map(row => [...row, 'unavailable'] as const), ...writes.map(row => [...row, 'outcome_unknown'] as const)])(
  '%s',
  (operation, call, failing, unanswered) => {
    test(`without an answer is ${unanswered}, though the adapter ignores its signal`, async () => {
      const clock = new HandClock()
      const ends = thrown(call(storeOf(whole(failing(never)), clock)))
      await new Promise(resolve => setImmediate(resolve))
      clock.strike()
      expect(await ends).toMatchObject({ code: unanswered, detail: { store: 'main', kind: 'test', operation } })
      expect(clock.timers.size).toBe(0)
    })

    test(`cut after the request went out is ${unanswered}`, async () => {
      const cut = () => Promise.reject(new RawError('outcome_unknown'))
      expect(await thrown(call(storeOf(whole(failing(cut)))))).toMatchObject({ code: unanswered })
      const named = () => Promise.reject(new BrokerError('outcome_unknown', 'cut', { detail: { store: 'inner' } }))
      expect(await thrown(call(storeOf(whole(failing(named)))))).toMatchObject({ code: unanswered })
    })

    test('is cancelled with its caller, before and in the middle', async () => {
      const store = storeOf(whole(failing(never)))
      expect(await thrown(call(store, AbortSignal.abort()))).toMatchObject({ code: 'cancelled' })
      const caller = new AbortController()
      const ends = thrown(call(store, caller.signal))
      await new Promise(resolve => setImmediate(resolve))
      caller.abort()
      expect(await ends).toMatchObject({ code: 'cancelled' })
    })

    test('wraps a raw error once: named by the adapter, its text left behind', async () => {
      const raw = new RawError('permission_denied')
      const error = await thrown(call(storeOf(whole(failing(() => Promise.reject(raw))))))
      expect(error).toBeInstanceOf(BrokerError)
      expect(error).toMatchObject({ code: 'permission_denied', detail: { store: 'main', kind: 'test', operation } })
      expect(error.origin).toBe(raw)
      expect(error.message).toContain('main')
      expect(error.message).not.toContain('nobody may print')
    })

    test.each(['unauthenticated', 'permission_denied', 'not_found', 'unavailable'] as const)('says what to do about %s', async code => {
      const raw = () => Promise.reject(new RawError(code))
      expect(await thrown(call(storeOf(whole(failing(raw)))))).toMatchObject({ code, hint: expect.stringMatching(/\w/) })
    })

    test('leaves the words of an error that the adapter named itself, and says whose it is', async () => {
      const own = new BrokerError('corrupt', 'line 3 has no end', { hint: 'mend it', retryAfterMs: 7, detail: { line: 3 } })
      const error = await thrown(call(storeOf(whole(failing(() => Promise.reject(own))))))
      expect(error).toMatchObject({ code: 'corrupt', message: 'line 3 has no end', hint: 'mend it', retryAfterMs: 7 })
      expect(error.detail).toEqual({ line: 3, store: 'main', kind: 'test', operation })
    })

    test('calls an error that nobody thought of internal, never absent', async () => {
      const odd = () => Promise.reject(new TypeError('x is not a function'))
      expect(await thrown(call(storeOf(whole(failing(odd)))))).toMatchObject({ code: 'internal' })
    })
  },
)

describe('what is refused before any call', () => {
  test.each([...writes.filter(([name]) => name !== 'write'), ...reads.filter(([name]) => name === 'versions')])(
    '%s, where the adapter has no such member',
    async (_, call) => {
      const bare = adapter()
      expect(await thrown((async () => call(storeOf(bare)))())).toMatchObject({ code: 'unsupported' })
      expect(bare.calls).toEqual([])
    },
  )

  test('a condition, where the store has no compare-and-set', async () => {
    const of = whole({ guarantees: { cas: false, idempotent: true, valueBytesMax: 100 } })
    for (const ifMatch of ['e' as Etag, null]) {
      expect(await thrown(storeOf(of).write(path, value, { ...write, ifMatch }))).toMatchObject({ code: 'unsupported' })
      expect(await thrown(storeOf(of).delete(path, { ...write, ifMatch }))).toMatchObject({ code: 'unsupported' })
    }
    expect(of.calls).toEqual([])
  })

  test('a value that cannot be held whole, with the reason and without the value', async () => {
    const of = whole({ refuses: () => 'it is binary' })
    for (const call of [storeOf(of).write(path, value, write), storeOf(of).stage(path, value, write)]) {
      const error = await thrown(call)
      expect(error).toMatchObject({ code: 'invalid_argument', detail: { reason: 'not_representable' } })
      expect(error.message).toContain('it is binary')
    }
    expect(of.calls).toEqual([])
  })
})

describe('what reaches the adapter', () => {
  test('is the condition and the key as they were given', async () => {
    const given: unknown[] = []
    const store = storeOf(
      adapter({
        async write(_, __, { signal, ...options }) {
          given.push(options)
          expect(signal).toBeInstanceOf(AbortSignal)
          return info
        },
      }),
    )
    await store.write(path, value, write)
    await store.write(path, value, { ...write, ifMatch: null })
    await store.write(path, value, { ...write, ifMatch: 'e' as Etag })
    expect(given).toEqual([write, { ...write, ifMatch: null }, { ...write, ifMatch: 'e' }])
  })

  test('is a method with its own this', async () => {
    class Own {
      readonly made = info
      async disable(): Promise<void> {
        expect(this.made).toBe(info)
      }
    }
    const own = new Own()
    await storeOf(Object.assign(own, adapter()) as unknown as StoreAdapter).disable(path, version)
  })
})

describe('a list', () => {
  /** Three pages; `fails` says which of them does. */
  function paged(fails: number | null) {
    const seen = { opened: 0, closed: 0, aborted: false }
    const list = async function* (_: string, { signal }: CallOptions): AsyncGenerator<StorePath> {
      seen.opened += 1
      signal.addEventListener('abort', () => (seen.aborted = true))
      try {
        for (const page of [1, 2, 3]) {
          if (page === fails) throw new RawError('permission_denied')
          yield `page/${page}` as StorePath
        }
      } finally {
        seen.closed += 1
      }
    }
    return { seen, store: storeOf(adapter({ list })) }
  }

  test('is every page, lazily', async () => {
    const { seen, store } = paged(null)
    const list = store.list('')
    expect(seen.opened).toBe(0)
    expect(await Array.fromAsync(list)).toEqual(['page/1', 'page/2', 'page/3'])
    expect(seen.closed).toBe(1)
  })

  test.each([1, 2, 3])('with an error on page %d is that error, never a short list', async page => {
    expect(await thrown(Array.fromAsync(paged(page).store.list('')))).toMatchObject({ code: 'permission_denied' })
  })

  test('that its reader leaves early closes the adapter, and ends what it had under way', async () => {
    const { seen, store } = paged(null)
    for await (const first of store.list('')) {
      expect(first).toBe('page/1')
      break
    }
    await new Promise(resolve => setImmediate(resolve))
    expect(seen).toEqual({ opened: 1, closed: 1, aborted: true })
  })
})

describe('capabilities', () => {
  test('are the members that an adapter has, and its two guarantees', () => {
    expect([...capabilitiesOf(adapter())]).toEqual(['cas'])
    expect([...capabilitiesOf(whole({ guarantees: { cas: true, idempotent: true, valueBytesMax: 1 } }))]).toEqual([...capabilities])
    expect(storeOf(adapter()).can.has('stages')).toBe(false)
  })

  test.each(capabilities.filter(name => name !== 'cas' && name !== 'idempotent'))('%s goes when its member does', name => {
    const { [name]: _, ...less } = whole()
    expect(capabilitiesOf(less as StoreAdapter).has(name)).toBe(false)
    expect(capabilitiesOf(whole()).has(name)).toBe(true)
  })
})
