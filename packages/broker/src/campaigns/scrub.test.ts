import { afterEach, expect, test } from 'vitest'
import { Deployment } from '../../test/campaigns/deployment.ts'
import type { Campaigns } from './campaigns.ts'
import type { Sealing } from './outcomes.ts'
import { scrubEveryMs, scrubSpanMs } from './scrub-pace.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const running: Campaigns[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map(campaigns => campaigns.stop()))
})

function started(campaigns: Campaigns): Campaigns {
  running.push(campaigns)
  campaigns.start()
  return campaigns
}

const scrub = (of: Deployment) => of.ledger.campaigns.last('scrub')

test('opens every row, evenly over its time, however many brokers there are', async () => {
  const of = new Deployment([600, 3])
  await of.open()
  const begunMs = of.clock.now().getTime()
  const brokers = [started(of.broker()), started(of.broker())]
  const seen: number[] = []
  for (const part of [0.25, 0.5, 0.75]) {
    await of.until('a part of the day', () => of.clock.now().getTime() >= begunMs + part * scrubSpanMs, dayMs)
    const view = await brokers[0]?.view((await scrub(of))?.id ?? ('' as never))
    seen.push((view as { done: number }).done)
  }
  for (const [index, due] of [150, 301, 452].entries()) expect(Math.abs((seen[index] ?? 0) - due)).toBeLessThan(10)
  await of.until('its end', async () => (await scrub(of))?.finishedAt != null, dayMs)
  const first = await scrub(of)
  expect(await brokers[1]?.view(first?.id ?? ('' as never))).toMatchObject({ state: 'done', total: 603, done: 603, failed: 0 })
  expect(of.databases.every(({ changes }) => changes.length === 0)).toBe(true)
  expect(Number(first?.finishedAt)).toBeLessThan(begunMs + scrubSpanMs + 60_000)
  await of.until('the next one', async () => (await scrub(of))?.id !== first?.id, dayMs)
  expect(Number((await scrub(of))?.startedAt)).toBeGreaterThanOrEqual(begunMs + scrubEveryMs)
  expect(Number((await scrub(of))?.startedAt)).toBeLessThan(begunMs + scrubEveryMs + 60_000)
  // nothing is kept of one that found nothing
  expect(of.databases.map(({ kept }) => kept.includes(first?.id ?? ''))).toEqual([false, false])
})

test('finds damage before anybody needs the value, tells of it, and goes on', async () => {
  const of = new Deployment([300])
  await of.open()
  const [database] = of.databases
  const row = database?.rows[100]
  if (database === undefined || row === undefined) throw new Error('no row')
  database.rows[100] = {
    ...row,
    sealed: { ...row.sealed, payload: row.sealed.payload.map((byte, index) => (index === 40 ? byte ^ 1 : byte)) },
  }
  const broker = started(of.broker())
  await of.until('its end', async () => (await scrub(of))?.finishedAt != null, dayMs)
  await of.until('its records', () => of.records.length === 2)
  expect(of.records).toMatchObject([
    { action: 'alert', code: 'corrupt', secret: 'named app/sec_store-0_100', version: '1', outcome: 'failed' },
    { action: 'scrub.failed', outcome: 'failed' },
  ])
  expect(await broker.figures()).toContainEqual(expect.objectContaining({ kind: 'scrub', rows: 300, damaged: 1 }))
  const first = await scrub(of)
  await of.until('the next one', async () => (await scrub(of))?.id !== first?.id, dayMs)
  expect(database.kept).toContain(first?.id)
})

test('rows whose KEK is not loaded are counted and are no damage', async () => {
  const of = new Deployment([50])
  await of.open()
  const broker = started(of.broker({ holds: ['v2'] }))
  await of.until('its end', async () => (await scrub(of))?.finishedAt != null, dayMs)
  expect(of.records.map(({ action }) => action)).toEqual(['scrub.failed'])
  expect(await broker.figures()).toContainEqual(expect.objectContaining({ kind: 'scrub', damaged: 0, unreadable: 50 }))
})

test('opens every row at least once in any day, in whatever order, while brokers come and go', async () => {
  const of = new Deployment([40])
  await of.open()
  const begunMs = of.clock.now().getTime()
  const [database] = of.databases
  if (database === undefined) throw new Error('no database')
  const opened = new Map<string, number[]>(database.rows.map(({ slot }) => [slot.secretId, [begunMs]]))
  const watched = (store: string): Sealing => {
    const { sealer, ...sealing } = of.sealing(store)
    const proves: Sealing['sealer']['proves'] = (slot, sealed) => {
      sealer.proves(slot, sealed)
      opened.get(slot.secretId)?.push(of.clock.now().getTime())
    }
    return { ...sealing, sealer: { rewrapped: sealer.rewrapped.bind(sealer), reseal: sealer.reseal.bind(sealer), proves } }
  }
  const life = () => started(of.broker({ more: { sealing: watched } }))
  let broker = life()
  let lives = 1
  for (let hour = 1; hour <= 3 * 24; hour += 1) {
    await of.until('an hour', () => of.clock.now().getTime() >= begunMs + hour * hourMs, dayMs)
    // what came first in the last scrub is last in the next
    if (hour % 18 === 9) database.rows.reverse()
    if (hour % 5 !== 0) continue
    await broker.stop()
    // away for a while
    of.clock.skipTo(begunMs + hour * hourMs + hourMs / 4)
    broker = life()
    lives += 1
  }
  expect(lives).toBe(15)
  const endMs = of.clock.now().getTime()
  const gaps = [...opened.values()].flatMap(times => [...times, endMs].slice(1).map((at, index) => at - (times[index] ?? 0)))
  expect(Math.max(...gaps)).toBeLessThanOrEqual(dayMs)
})

test('damage stays told until a later scrub finds it healed', async () => {
  const of = new Deployment([60, 4])
  await of.open()
  const [database] = of.databases
  const row = database?.rows[30]
  if (database === undefined || row === undefined) throw new Error('no row')
  const broker = started(of.broker())
  const over = async () => {
    const last = await scrub(of)
    await of.until(
      'another scrub',
      async () => (await of.ledger.campaigns.lastWhole('scrub'))?.id !== last?.id && (await scrub(of))?.finishedAt != null,
      3 * dayMs,
    )
  }
  await of.until('the first scrub', async () => (await scrub(of))?.finishedAt != null, dayMs)
  expect(await broker.damaged()).toEqual([])
  database.rows[30] = {
    ...row,
    sealed: { ...row.sealed, payload: row.sealed.payload.map((byte, index) => (index === 40 ? byte ^ 1 : byte)) },
  }
  await over()
  const [found] = await broker.damaged()
  expect(found).toMatchObject({ database: 'store 0', secret: 'named app/sec_store-0_30', version: '1' })
  // another process, while the next one runs, and after it found the same
  await broker.stop()
  const later = started(of.broker())
  await of.until('the next one runs', async () => (await scrub(of))?.finishedAt === null, dayMs)
  expect(await later.damaged()).toEqual([found])
  await of.until('its end', async () => (await scrub(of))?.finishedAt != null, dayMs)
  expect(await later.damaged()).toMatchObject([{ secret: found?.secret }])
  expect(database.kept.length).toBe(1)
  database.rows[30] = row
  await over()
  expect(await later.damaged()).toEqual([])
})
