import { afterEach, expect, test } from 'vitest'
import { Deployment } from '../../test/campaigns/deployment.ts'
import type { Campaigns } from './campaigns.ts'

const dayMs = 24 * 3_600_000
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

test('opens every row once a day, evenly, however many brokers there are', async () => {
  const of = new Deployment([600, 3])
  await of.open()
  const begunMs = of.clock.now().getTime()
  const brokers = [started(of.broker()), started(of.broker())]
  const seen: number[] = []
  for (const part of [0.25, 0.5, 0.75]) {
    await of.until('a part of the day', () => of.clock.now().getTime() >= begunMs + part * dayMs, dayMs)
    const view = await brokers[0]?.view((await scrub(of))?.id ?? ('' as never))
    seen.push((view as { done: number }).done)
  }
  for (const [index, due] of [188, 377, 565].entries()) expect(Math.abs((seen[index] ?? 0) - due)).toBeLessThan(10)
  await of.until('its end', async () => (await scrub(of))?.finishedAt != null, dayMs)
  const first = await scrub(of)
  expect(await brokers[1]?.view(first?.id ?? ('' as never))).toMatchObject({ state: 'done', total: 603, done: 603, failed: 0 })
  expect(of.databases.every(({ changes }) => changes.length === 0)).toBe(true)
  expect(Number(first?.finishedAt)).toBeLessThan(begunMs + dayMs)
  await of.until('the next one', async () => (await scrub(of))?.id !== first?.id, dayMs)
  expect(Number((await scrub(of))?.startedAt)).toBeGreaterThanOrEqual(begunMs + dayMs)
  expect(Number((await scrub(of))?.startedAt)).toBeLessThan(begunMs + dayMs + 60_000)
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
    { action: 'alert', code: 'corrupt', secret: 'sec_store-0_100', version: '1', outcome: 'failed' },
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
