import { BrokerError, SecretValue, secretName, type VersionId } from '@keyturn/core'
import { beforeEach, expect, test } from 'vitest'
import type { Granted } from '../access.ts'
import { Material } from './material.ts'
import { type MaterialSource, Materials } from './materials.ts'

const name = secretName('app/token')
let nowMs = 0
let fetches = 0
let materials: Materials
const clock = { now: () => new Date(nowMs), after: () => () => undefined }

function nextFetch(): number {
  fetches += 1
  return fetches
}

beforeEach(() => {
  nowMs = 1_000_000
  fetches = 0
  materials = new Materials(clock)
})

// only the name and the rules of keeping are looked at
const granted = (cacheMs: number, more: object = {}) =>
  ({
    entry: { name, config: { cacheMs, maxStaleMs: null, failClosed: false, strategy: null, grace: { ms: 0 }, ...more } },
  }) as unknown as Granted

/** A source of what `fetch` gives; what was read before holds unless told otherwise. */
const from = (fetch: () => Promise<Material>, holds = true): MaterialSource => ({ fetch, holds: async () => holds })

const material = (graceUntilMs: number | null = null) =>
  new Material({
    name,
    version: `v${nextFetch()}` as VersionId,
    stage: 'current',
    type: 'generic',
    labels: {},
    value: SecretValue.fields({ 'quote"': 'line\nbreak', raw: Uint8Array.of(255) }),
    createdAt: new Date(0),
    grace: graceUntilMs === null ? null : { version: 'v0' as VersionId, until: new Date(graceUntilMs) },
    rotatesAt: null,
    ttl: 30,
    source: 'database',
    telling: false,
    promotion: null,
    fingerprint: null,
    readMs: nowMs,
  })

test('many who want the same at the same time ask once', async () => {
  const all = await Promise.all(
    Array.from({ length: 20 }, () =>
      materials.current(
        granted(0),
        from(async () => material()),
      ),
    ),
  )
  expect(fetches).toBe(1)
  expect(new Set(all).size).toBe(1)
  await materials.current(
    granted(0),
    from(async () => material()),
  )
  expect(fetches).toBe(2)
})

test('older versions that many want at the same time are asked for once each, are not kept, and not given to who asks after a change', async () => {
  const asked: string[] = []
  const ends: (() => void)[] = []
  const read = (which: string) =>
    materials.other(name, which, () => {
      asked.push(which)
      return new Promise(resolve => ends.push(() => resolve(material())))
    })
  const all = [read('version 1'), read('previous'), read('version 1')]
  materials.drop(name)
  const late = read('version 1')
  for (const end of ends) end()
  const [one, two, three] = await Promise.all(all)
  expect(one).toBe(three)
  expect(two).not.toBe(one)
  expect(await late).not.toBe(one)
  const again = read('version 1')
  ends.at(-1)?.()
  expect(await again).not.toBe(await late)
  expect(asked).toEqual(['version 1', 'previous', 'version 1', 'version 1'])
})

test('it is kept as long as the row says, and no longer than the grace that it tells of', async () => {
  await materials.current(
    granted(30_000),
    from(async () => material(nowMs + 5_000)),
  )
  nowMs += 4_999
  expect(materials.fresh(name, nowMs)?.parts.version).toBe('v1')
  nowMs += 1
  expect(materials.fresh(name, nowMs)).toBeUndefined()
  await materials.current(
    granted(30_000),
    from(async () => material()),
  )
  nowMs += 29_999
  expect(materials.fresh(name, nowMs)?.parts.version).toBe('v2')
  nowMs += 1
  expect(materials.fresh(name, nowMs)).toBeUndefined()
})

test('what was on its way when something changed reaches who asked before, and nobody else', async () => {
  let arrive: (found: Material) => void = () => undefined
  const early = materials.current(
    granted(30_000),
    from(() => new Promise<Material>(resolve => (arrive = resolve))),
  )
  const old = material()
  materials.drop(name)
  const late = await materials.current(
    granted(30_000),
    from(async () => material()),
  )
  arrive(old)
  expect([(await early).parts.version, late.parts.version]).toEqual(['v1', 'v2'])
  expect(materials.fresh(name, nowMs)).toBe(late)
})

test('a failure is told to all who waited, and not kept', async () => {
  const failing = from(() => Promise.reject(new Error('away')))
  const both = await Promise.allSettled([materials.current(granted(30_000), failing), materials.current(granted(30_000), failing)])
  expect(both.map(end => end.status)).toEqual(['rejected', 'rejected'])
  expect(
    (
      await materials.current(
        granted(30_000),
        from(async () => material()),
      )
    ).parts.version,
  ).toBe('v1')
})

const away = from(() => Promise.reject(new BrokerError('unavailable', 'the store is away')))
const overtaken = from(() => Promise.reject(new BrokerError('unavailable', 'the store is away')), false)

test.each([
  ['as long as the row says', { maxStaleMs: 60_000 }, 89_999],
  ['never, where the row is silent', {}, undefined],
  ['never, where the row fails closed', { maxStaleMs: 60_000, failClosed: true }, undefined],
  ['where the row keeps nothing else too', { cacheMs: 0, maxStaleMs: 60_000 }, 59_999],
])('what was kept stands in for a store that is away %s', async (_, rules, lastMs) => {
  const row = granted(30_000, rules)
  await materials.current(
    row,
    from(async () => material()),
  )
  nowMs += 30_000
  if (lastMs !== undefined) {
    nowMs += lastMs - 30_000
    const stale = await materials.current(row, away)
    const { headers, body } = stale.json(undefined, nowMs)
    expect(headers).toMatchObject({ 'X-Keyturn-Stale': 'true', 'X-Keyturn-Source': 'cache', Age: String(Math.floor(lastMs / 1000)) })
    expect(JSON.parse(String(body))).toMatchObject({ ttl: 0 })
    await expect(materials.current(row, overtaken)).rejects.toThrow('the store is away')
    expect(materials.fresh(name, nowMs)).toBeUndefined()
    await expect(
      materials.current(
        row,
        from(() => Promise.reject(new BrokerError('not_found', 'gone'))),
      ),
    ).rejects.toThrow('gone')
    nowMs += 1
  }
  await expect(materials.current(row, away)).rejects.toThrow('the store is away')
})

test('what was dropped stands in for nothing', async () => {
  const row = granted(30_000, { maxStaleMs: 60_000 })
  await materials.current(
    row,
    from(async () => material()),
  )
  materials.drop(name)
  await expect(materials.current(row, away)).rejects.toThrow('the store is away')
})

test('an answer tells its age, and its header is what its body says', () => {
  const found = material()
  const fresh = found.json(undefined, nowMs)
  expect(fresh.headers).toMatchObject({ Age: '0', ETag: '"v1"', 'Cache-Control': 'no-store', 'X-Keyturn-Source': 'database' })
  expect(JSON.parse(String(fresh.body))).toMatchObject({ version: 'v1', fields: { 'quote"': 'line\nbreak', raw: { base64: '/w==' } } })
  expect(found.json(undefined, nowMs + 3_900).headers.Age).toBe('3')
  expect(found.plain('raw', nowMs)).toMatchObject({ body: Buffer.of(255), headers: { 'Content-Type': 'application/octet-stream' } })
  expect(JSON.stringify(found)).not.toContain('break')
})

test('where the row has several stores or may be stale, the body tells its source and its age, which grows while it is kept', () => {
  const found = new Material({ ...material().parts, telling: true })
  const bodyAt = (ms: number) => JSON.parse(String(found.json(undefined, ms, true).body))
  expect(bodyAt(nowMs)).toMatchObject({ source: 'database', age: 0, stale: false })
  expect(bodyAt(nowMs + 2_500)).toMatchObject({ source: 'database', age: 2, stale: false })
  expect(found.json(undefined, nowMs + 2_500, true).headers.Age).toBe('2')
})
