import { BrokerError, type ErrorCode, type Store, type StoreAdapter } from '@keyturn/core'
import { beforeEach, expect, test } from 'vitest'
import { breakerLimits } from './breaker.ts'
import { hurried, Section } from './section.ts'

const { failuresMax, pauseMs } = breakerLimits
let nowMs = 0
let timers: { readonly at: number; readonly run: () => void }[] = []
let told: string[] = []
let section: Section

const adapter: StoreAdapter = {
  kind: 'toy',
  guarantees: { cas: false, idempotent: false, valueBytesMax: 10 },
  read: () => Promise.reject(new Error('not asked here')),
  write: () => Promise.reject(new Error('not asked here')),
  async *list() {},
  refuses: () => undefined,
  examine: async () => [],
  classify: () => ({ code: 'internal' }),
  async close() {},
}

beforeEach(() => {
  nowMs = 1_000_000
  timers = []
  told = []
  const clock = {
    now: () => new Date(nowMs),
    after: (ms: number, run: () => void) => {
      const timer = { at: nowMs + ms, run }
      timers.push(timer)
      return () => {
        timers = timers.filter(other => other !== timer)
      }
    },
  }
  const log = { warn: (_: object, text: string) => told.push(text), info: (_: object, text: string) => told.push(text) }
  section = new Section({ name: 'vault', kind: 'toy', clock, timeoutMs: 30_000, load: async () => adapter, log: log as never })
})

const failing = (code: ErrorCode, detail: object = { store: 'vault' }) =>
  section
    .ask(async () => {
      throw new BrokerError(code, 'it failed', { detail: { ...detail } })
    })
    .catch((error: BrokerError) => error)

const asked = async () => (await section.ask(async (store: Store) => store.name).catch((error: BrokerError) => error)) === 'vault'

test.each<[string, ErrorCode, object, boolean]>([
  ['no answer', 'unavailable', { store: 'vault' }, true],
  ['an unclear end', 'outcome_unknown', { store: 'vault' }, true],
  ['a refusal', 'permission_denied', { store: 'vault' }, false],
  ['a login of ours that is refused', 'unauthenticated', { store: 'vault' }, false],
  ['throttling', 'throttled', { store: 'vault' }, false],
  ['an absence', 'not_found', { store: 'vault' }, false],
  ['a value whose key is not loaded', 'unavailable', { store: 'vault', kekId: 'k1' }, false],
  ['the ledger, in the middle of a write', 'unavailable', {}, false],
  ['another store', 'unavailable', { store: 'other' }, false],
  ['a caller who went away', 'cancelled', { store: 'vault' }, false],
])('again and again %s: whether it is left alone', async (_, code, detail, isLeft) => {
  for (let count = 0; count < failuresMax; count++) await failing(code, detail)
  expect(await asked()).toBe(!isLeft)
  if (isLeft) expect(section.state).toBe('unavailable')
  nowMs += pauseMs
  expect(await asked()).toBe(true)
  expect(section.state).toBe('ok')
  expect(told).toEqual(isLeft ? ['a store does not answer; it is left alone for a while', 'a store answers again'] : [])
})

test('a store that is left alone is not asked, and says when it will be', async () => {
  for (let count = 0; count < failuresMax; count++) await failing('unavailable')
  nowMs += 500
  let calls = 0
  const error = await section
    .ask(async () => {
      calls += 1
    })
    .catch((thrown: BrokerError) => thrown)
  expect([calls, error]).toMatchObject([0, { code: 'unavailable', retryAfterMs: pauseMs - 500, detail: { store: 'vault' } }])
})

/** A call that is never answered and, in a hurry, cut. */
async function cut(): Promise<unknown> {
  const call = section.ask(() => new Promise(() => undefined), 2_000).catch((error: BrokerError) => error)
  await new Promise(resolve => setImmediate(resolve))
  for (const timer of timers.filter(({ at }) => at === nowMs + 2_000)) timer.run()
  return call
}

test('a store that is too slow for who has another one is still asked by who has not', async () => {
  for (let count = 0; count < failuresMax; count++) expect(await cut()).toMatchObject({ detail: { reason: hurried } })
  let calls = 0
  const act = async () => {
    calls += 1
  }
  const hasty = () => section.ask(act, 2_000).catch((error: BrokerError) => error)
  expect(await hasty()).toMatchObject({ code: 'unavailable', retryAfterMs: pauseMs, detail: { reason: hurried } })
  expect(calls).toBe(0)
  await section.ask(act)
  expect(calls).toBe(1)
  // that it answers the patient says nothing of how long it takes
  expect([section.state, await hasty()]).toMatchObject(['unavailable', { detail: { reason: hurried } }])
  nowMs += pauseMs
  await hasty()
  expect([calls, section.state]).toEqual([2, 'ok'])
  expect(told).toEqual(['a store is slow; who has another one asks that', 'a store answers again'])
})

test('a call in a hurry does not find out whether a store that was left alone is back for the patient', async () => {
  for (let count = 0; count < failuresMax; count++) await failing('unavailable')
  nowMs += pauseMs
  await cut()
  expect(await asked()).toBe(true)
})

test('who has another store to ask waits no longer than that, and the call is ended', async () => {
  let ended = false
  const call = section
    .ask(
      (_, { signal }) =>
        new Promise(() =>
          signal?.addEventListener('abort', () => {
            ended = true
          }),
        ),
      2_000,
    )
    .catch((error: BrokerError) => error)
  await new Promise(resolve => setImmediate(resolve))
  for (const timer of timers.filter(({ at }) => at === nowMs + 2_000)) timer.run()
  expect(await call).toMatchObject({ code: 'unavailable', detail: { store: 'vault', reason: hurried } })
  expect(ended).toBe(true)
  expect(section.state).toBe('unavailable')
})
