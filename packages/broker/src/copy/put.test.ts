import { createSecretKey, randomBytes } from 'node:crypto'
import {
  BrokerError,
  type ErrorCode,
  type Etag,
  type SecretName,
  SecretValue,
  type SecretVersion,
  type StorePath,
  type VersionId,
  type Write,
} from '@keyturn/core'
import { beforeEach, expect, test } from 'vitest'
import type { Look, Looking } from './look.ts'
import type { Move } from './move.ts'
import { put } from './put.ts'

const path = 'there' as StorePath
const place = { path, fields: null, format: 'stored' } as const
const move: Move = { path, items: [{ name: 'app/key' as SecretName, from: { ...place, path: 'here' as StorePath }, to: place }] }
const key = createSecretKey(randomBytes(32))
const value = SecretValue.text('value')

/** One path of a store with compare-and-set, whose writes end as they are told to. */
class OnePath {
  current: SecretVersion | undefined
  count = 0
  readonly sent: Write[] = []
  /** How the next writes end; the rest succeed. */
  readonly ends: { readonly acts: boolean; readonly code: ErrorCode }[] = []

  make(made: SecretValue): SecretVersion {
    this.count += 1
    const version = String(this.count) as VersionId
    this.current = { version, state: 'current', createdAt: new Date(0), etag: `e${version}` as Etag, value: made }
    return this.current
  }

  async write(_path: StorePath, _names: readonly SecretName[], made: SecretValue, options: Write): Promise<SecretVersion> {
    this.sent.push(options)
    const end = this.ends.shift()
    if (end !== undefined && !end.acts) throw new BrokerError(end.code, 'as told')
    if (options.ifMatch !== undefined && options.ifMatch !== (this.current?.etag ?? null)) throw new BrokerError('conflict', 'changed')
    const version = this.make(made)
    if (end !== undefined) throw new BrokerError(end.code, 'as told')
    return version
  }
}

let there: OnePath
beforeEach(() => {
  there = new OnePath()
})

function looking(cas = true): Looking {
  const none = async () => ({ readable: [], withheld: 0 })
  return {
    from: { name: 'old', read: async () => undefined, versions: none },
    to: { name: 'new', read: async () => there.current, versions: none, write: there.write.bind(there) },
    store: { guarantees: { cas, idempotent: false, valueBytesMax: 1000 }, refuses: () => undefined },
    key,
    versions: false,
  }
}

const seen = (...values: readonly SecretValue[]): Look => ({
  rows: [],
  before: there.current,
  steps: values.map((each, at) => ({ of: String(at) as VersionId, value: each })),
})

test('each version is written over the one before it, the first over what was seen', async () => {
  there.make(SecretValue.text('before'))
  expect(await put(looking(), move, seen(SecretValue.text('a'), value))).toBe('3')
  expect(there.sent.map(({ ifMatch }) => ifMatch)).toEqual(['e1', 'e2'])
  there.current = undefined
  await put(looking(), move, seen(value))
  expect(there.sent.at(-1)?.ifMatch).toBeNull()
})

test('where there is no compare-and-set no condition is sent', async () => {
  await put(looking(false), move, seen(value))
  expect(there.sent).toEqual([{ idempotencyKey: expect.any(String) }])
})

test('a write that happened, whatever its answer was, is not sent again', async () => {
  for (const code of ['outcome_unknown', 'internal'] as const) {
    there.ends.push({ acts: true, code })
    expect(await put(looking(), move, seen(SecretValue.text(code)))).toBe(String(there.count))
  }
  expect([there.count, there.sent.length]).toEqual([2, 2])
})

test('a write that did not happen goes out again as the same intent, a few times', async () => {
  there.ends.push({ acts: false, code: 'outcome_unknown' })
  expect(await put(looking(), move, seen(value))).toBe('1')
  expect(new Set(there.sent.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1)
  there.current = undefined
  for (let times = 0; times < 9; times++) there.ends.push({ acts: false, code: 'outcome_unknown' })
  await expect(put(looking(), move, seen(value))).rejects.toMatchObject({ code: 'outcome_unknown' })
  expect(there.count).toBe(1)
})

test('what somebody else wrote between the look and the write stays', async () => {
  const look = seen(value)
  there.make(SecretValue.text('of somebody else'))
  await expect(put(looking(), move, look)).rejects.toMatchObject({ code: 'conflict' })
  expect(there.count).toBe(1)
  there.ends.push({ acts: false, code: 'permission_denied' })
  await expect(put(looking(), move, seen(value))).rejects.toMatchObject({ code: 'permission_denied' })
})

test('an intent has one key for as long as both stores stand as they do, and another for anything else', async () => {
  const keyOf = async (look: Look) => {
    there.ends.push({ acts: false, code: 'permission_denied' })
    await put(looking(), move, look).catch(() => undefined)
    return there.sent.at(-1)?.idempotencyKey
  }
  const first = await keyOf(seen(value))
  expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(await keyOf(seen(value))).toBe(first)
  const others = [await keyOf(seen(SecretValue.text('another value')))]
  there.make(SecretValue.text('before'))
  others.push(await keyOf(seen(value)))
  expect(new Set([first, ...others]).size).toBe(3)
})
