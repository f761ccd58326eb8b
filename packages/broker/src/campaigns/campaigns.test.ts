import { BrokerError } from '@keyturn/core'
import type { Campaign } from '@keyturn/ledger'
import { afterEach, describe, expect, test } from 'vitest'
import { Deployment } from '../../test/campaigns/deployment.ts'
import type { Campaigns } from './campaigns.ts'

const running: Campaigns[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map(campaigns => campaigns.stop()))
})

async function deployment(...rows: number[]): Promise<Deployment> {
  const made = new Deployment(rows)
  await made.open()
  return made
}

function started(campaigns: Campaigns): Campaigns {
  running.push(campaigns)
  campaigns.start()
  return campaigns
}

const wish = (kind: 'rewrap' | 'reencrypt' = 'rewrap') => ({ kind, principal: 'token:root', reason: '' }) as const
const ended = (of: Deployment, { id }: Campaign) =>
  of.until('the end', async () => (await of.ledger.campaigns.byId(id))?.finishedAt != null)

interface Shown {
  readonly state: string
  readonly total: number
  readonly done: number
  readonly skipped: number
  readonly failed: number
  readonly note: string | null
  readonly databases: readonly { readonly name: string; readonly total: number; readonly state: string }[]
  readonly failures: readonly { readonly secret: string; readonly code: string; readonly kek: string; readonly version: string }[]
}
const shown = async (campaigns: Campaigns, { id }: Campaign) => (await campaigns.view(id)) as Shown

describe('a re-wrap', () => {
  test('brings every row of every database under the current KEK, and touches no payload', async () => {
    const of = await deployment(250, 30)
    const payloads = of.databases.map(({ rows }) => rows.map(({ sealed }) => sealed.payload))
    await of.promote('v2', 'v1')
    const broker = started(of.broker({ holds: ['v2', 'v1'] }))
    const campaign = await broker.begin(wish())
    expect(campaign).toMatchObject({ state: 'running', kekId: 'v2' })
    await ended(of, campaign)
    expect(new Set(of.opened())).toEqual(new Set(['v2']))
    expect(of.databases.map(({ rows }) => rows.map(({ sealed }) => sealed.payload))).toEqual(payloads)
    const view = await shown(broker, campaign)
    expect(view).toMatchObject({ state: 'done', total: 280, done: 280, skipped: 0, failed: 0, note: null, failures: [] })
    expect(view.databases.map(({ total, state }) => [total, state])).toEqual([
      [250, 'done'],
      [30, 'done'],
    ])
    await of.until('its record', () => of.records.some(({ action }) => action === 'rewrap.done'))
    expect(of.records).toMatchObject([{ principal: 'keyturn', requestId: campaign.id, outcome: 'allowed' }])
  })

  test('is joined by a second request, and by every broker that shares the ledger', async () => {
    const of = await deployment(900)
    await of.promote('v2', 'v1')
    const brokers = [1, 2, 3].map(() => started(of.broker({ holds: ['v2', 'v1'] })))
    const [first, second] = await Promise.all([brokers[0]?.begin(wish()), brokers[1]?.begin(wish())])
    if (first === undefined) throw new Error('nothing began')
    expect(second?.id).toBe(first.id)
    await ended(of, first)
    const [database] = of.databases
    expect(database?.changes.length).toBe(900)
    expect(new Set(database?.changes).size).toBe(900)
    expect(new Set(of.opened())).toEqual(new Set(['v2']))
  })

  test('counts a row that somebody changes meanwhile as skipped, and leaves what was written', async () => {
    const of = await deployment(50)
    const [database] = of.databases
    if (database === undefined) throw new Error('no database')
    await of.promote('v2', 'v1')
    const broker = of.broker({ holds: ['v2', 'v1'], more: {} })
    const written = of.sealer('store-0', 'v2')
    const parts = of.sealer('store-0')
    let touched = false
    const rows = database.rows
    // between look and change
    const step = database.step.bind(database)
    database.step = (id, options) =>
      step(id, {
        ...options,
        act: async page => {
          const outcomes = await options.act(page)
          const row = rows[7]
          if (!touched && row !== undefined && row.slot.kind === 'text') {
            touched = true
            const slot = { ...row.slot, kind: row.slot.kind }
            rows[7] = { slot, sealed: written.seal(slot, parts.open(slot, row.sealed)) }
          }
          return outcomes
        },
      })
    const campaign = await started(broker).begin(wish())
    await ended(of, campaign)
    expect(await shown(broker, campaign)).toMatchObject({ state: 'done', total: 50, done: 49, skipped: 1, failed: 0 })
    expect(new Set(of.opened())).toEqual(new Set(['v2']))
  })

  test('a row that cannot be opened is counted, named, told of, and stops nothing', async () => {
    const of = await deployment(120, 5)
    const [database] = of.databases
    const row = database?.rows[3]
    if (database === undefined || row === undefined) throw new Error('no row')
    database.rows[3] = { ...row, sealed: { ...row.sealed, wrap: row.sealed.wrap.map((byte, index) => (index === 20 ? byte ^ 1 : byte)) } }
    await of.promote('v2', 'v1')
    const broker = started(of.broker({ holds: ['v2', 'v1'] }))
    const campaign = await broker.begin(wish())
    await ended(of, campaign)
    const view = await shown(broker, campaign)
    expect(view).toMatchObject({
      state: 'failed',
      total: 125,
      done: 124,
      failed: 1,
      note: '1 rows could not be opened, and are as they were',
    })
    expect(view.failures).toMatchObject([{ secret: 'named app/sec_store-0_3', version: '1', kek: 'v1', code: 'corrupt' }])
    await of.until('the alert', () => of.records.length >= 2)
    expect(of.records).toContainEqual(
      expect.objectContaining({ action: 'alert', code: 'corrupt', secret: 'named app/sec_store-0_3', version: '1', source: 'store 0' }),
    )
    expect(await broker.figures()).toContainEqual(expect.objectContaining({ kind: 'rewrap', rows: 125, damaged: 1, unreadable: 0 }))
  })

  test('rows under a KEK that nobody holds are counted and are no damage', async () => {
    const of = await deployment(40)
    await of.promote('v2', 'v1')
    const broker = started(of.broker({ holds: ['v2'] }))
    const campaign = await broker.begin(wish())
    await ended(of, campaign)
    expect(await shown(broker, campaign)).toMatchObject({ state: 'failed', total: 40, failed: 40 })
    expect((await shown(broker, campaign)).failures[0]).toMatchObject({ code: 'unavailable', kek: 'v1' })
    expect(of.records.filter(({ action }) => action === 'alert')).toEqual([])
    // put back
    const restarted = started(of.broker({ holds: ['v2', 'v1'] }))
    const second = await restarted.begin(wish())
    await ended(of, second)
    expect(await shown(restarted, second)).toMatchObject({ state: 'done', total: 40, done: 40 })
  })

  test('a broker without a KEK that another one holds leaves the rows to that one', async () => {
    const of = await deployment(60)
    await of.promote('v2', 'v1')
    await of.ledger.instances.beat({ id: 'whole', loaded: ['v1', 'v2'], wanted: 'v2', using: 'v2', version: '1' })
    const poor = started(of.broker({ holds: ['v2'] }))
    const campaign = await poor.begin(wish())
    const [database] = of.databases
    await of.until('some time', () => of.clock.now().getTime() > campaign.startedAt.getTime() + 10_000)
    expect(database?.changes).toEqual([])
    started(of.broker({ holds: ['v2', 'v1'] }))
    await ended(of, campaign)
    expect(await shown(poor, campaign)).toMatchObject({ state: 'done', done: 60, failed: 0 })
  })
})

describe('a death', () => {
  test.each(['before step', 'after step', 'begin', 'progress'] as const)('at any %s loses nothing and doubles nothing', async point => {
    for (let deadly = 0; deadly < 5; deadly += 1) {
      const of = await deployment(250, 60)
      await of.promote('v2', 'v1')
      let passed = 0
      let dead = false
      for (const database of of.databases) {
        database.at = now => {
          if (now !== point || dead) return
          passed += 1
          // this process does nothing more, as after SIGKILL; its locks are gone with it
          if (passed > deadly) {
            dead = true
            throw new BrokerError('unavailable', 'the process is dead')
          }
        }
      }
      const first = started(of.broker({ holds: ['v2', 'v1'] }))
      const campaign = await first.begin(wish())
      await of.until('the death, or the end', async () => dead || (await of.ledger.campaigns.byId(campaign.id))?.finishedAt != null)
      await first.stop()
      const second = started(of.broker({ holds: ['v2', 'v1'] }))
      await ended(of, campaign)
      expect(new Set(of.opened())).toEqual(new Set(['v2']))
      const changes = of.databases.flatMap(({ store, changes }) => changes.map(change => `${store} ${change}`))
      expect([deadly, changes.length, new Set(changes).size]).toEqual([deadly, 310, 310])
      for (const database of of.databases) database.at = () => undefined
      expect(await shown(second, campaign)).toMatchObject({ state: 'done', total: 310, done: 310, skipped: 0, failed: 0 })
    }
  })
})

describe('what is in the way', () => {
  test('a database that hangs keeps nobody from the others, and its name is told', async () => {
    const of = await deployment(100, 100)
    let release: () => void = () => undefined
    const hangs = new Promise<void>(resolve => {
      release = resolve
    })
    const [first, second] = of.databases
    if (first === undefined || second === undefined) throw new Error('no databases')
    second.at = point => (point === 'before step' ? hangs : undefined)
    await of.promote('v2', 'v1')
    const broker = started(of.broker({ holds: ['v2', 'v1'] }))
    const campaign = await broker.begin(wish())
    await of.until(
      'the note',
      async () => (await of.ledger.campaigns.byId(campaign.id))?.note === 'store 1 does not answer: it is tried again by itself',
    )
    expect(first.changes.length).toBe(100)
    expect((await shown(broker, campaign)).databases.map(({ state }) => state)).toEqual(['done', 'running'])
    release()
    second.at = () => undefined
    await ended(of, campaign)
    expect(await shown(broker, campaign)).toMatchObject({ state: 'done', done: 200, note: null })
  })

  test('a database that is away is tried again until it is back', async () => {
    const of = await deployment(100, 100)
    const [, second] = of.databases
    if (second === undefined) throw new Error('no database')
    second.at = () => {
      throw new BrokerError('unavailable', 'store 1: connection refused')
    }
    await of.promote('v2', 'v1')
    const broker = started(of.broker({ holds: ['v2', 'v1'] }))
    const campaign = await broker.begin(wish())
    await of.until(
      'the note',
      async () => (await of.ledger.campaigns.byId(campaign.id))?.note === 'store 1: connection refused: it is tried again by itself',
    )
    expect(await shown(broker, campaign)).toMatchObject({
      state: 'running',
      done: 100,
      note: 'store 1: connection refused: it is tried again by itself',
    })
    second.at = () => undefined
    await ended(of, campaign)
    expect(await shown(broker, campaign)).toMatchObject({ state: 'done', done: 200, note: null })
  })

  test('an abort stops it for every broker, and what was done stays', async () => {
    const of = await deployment(1_500)
    await of.promote('v2', 'v1')
    const [one, other] = [of.broker({ holds: ['v2', 'v1'] }), of.broker({ holds: ['v2', 'v1'] })]
    const [database] = of.databases
    if (database === undefined) throw new Error('no database')
    let steps = 0
    database.at = async point => {
      if (point === 'after step') steps += 1
      if (steps === 4) await one.abort(campaign.id, 'aborted by token:root').catch(() => undefined)
    }
    const campaign = await started(one).begin(wish())
    started(other)
    await ended(of, campaign)
    await of.until('both have stopped', () => of.clock.now().getTime() > campaign.startedAt.getTime() + 60_000)
    const { changes } = database
    expect(changes.length).toBeLessThan(1_500)
    expect(of.opened().filter(kek => kek === 'v2').length).toBe(changes.length)
    expect(await shown(other, campaign)).toMatchObject({ state: 'aborted', note: 'aborted by token:root', done: changes.length })
    await expect(one.abort(campaign.id, 'again')).rejects.toMatchObject({ code: 'conflict' })
  })
})

describe('the KEK that a campaign leads to', () => {
  const beat = (of: Deployment, id: string, wanted: string, using: string) =>
    of.ledger.instances.beat({ id, loaded: ['v1', 'v2', 'v3'], wanted, using, version: '1' })

  test('is waited for until it is current and every broker closes new values with it', async () => {
    const of = await deployment(80)
    await beat(of, 'a', 'v2', 'v1')
    await beat(of, 'b', 'v1', 'v1')
    const broker = started(of.broker({ holds: ['v2', 'v1'] }))
    const campaign = await broker.begin(wish())
    expect(campaign).toMatchObject({ state: 'waiting', kekId: 'v2' })
    await of.until('the note', async () => (await of.ledger.campaigns.byId(campaign.id))?.note === 'KEK v2 is not current yet')
    await of.promote('v2', 'v1')
    await beat(of, 'a', 'v2', 'v2')
    await of.until('the next note', async () =>
      /not yet in use by every broker: b/.test((await of.ledger.campaigns.byId(campaign.id))?.note ?? ''),
    )
    expect(of.databases[0]?.changes).toEqual([])
    await beat(of, 'b', 'v2', 'v2')
    await ended(of, campaign)
    expect(await shown(broker, campaign)).toMatchObject({ state: 'done', done: 80, note: null })
  })

  test('an old broker that still wants the old one does not turn it round', async () => {
    const of = await deployment(10)
    await beat(of, 'new', 'v2', 'v1')
    const old = of.broker({ holds: ['v1', 'v2'] })
    expect(await old.begin(wish())).toMatchObject({ state: 'waiting', kekId: 'v2' })
  })

  test('another one becomes current meanwhile: the campaign goes on towards that', async () => {
    const of = await deployment(2_000)
    await of.promote('v2', 'v1')
    const broker = of.broker({ holds: ['v2', 'v1', 'v3'] })
    const [database] = of.databases
    if (database === undefined) throw new Error('no database')
    let steps = 0
    database.at = async point => {
      if (point === 'after step') steps += 1
      if (steps !== 5) return
      await beat(of, 'other', 'v3', 'v3')
      await of.promote('v3', 'v2')
    }
    const campaign = await started(broker).begin(wish())
    await ended(of, campaign)
    expect(await shown(broker, campaign)).toMatchObject({ state: 'aborted' })
    const next = await of.ledger.campaigns.last('rewrap')
    if (next === null) throw new Error('no other campaign')
    expect(next).toMatchObject({ kekId: 'v3', principal: 'token:root' })
    await ended(of, next)
    expect(new Set(of.opened())).toEqual(new Set(['v3']))
  })
})

test('a re-encryption gives every row another payload, and the values stay', async () => {
  const of = await deployment(130)
  const before = of.databases[0]?.rows.map(({ sealed }) => Buffer.from(sealed.payload).toString('hex')) ?? []
  await of.promote('v2', 'v1')
  const broker = started(of.broker({ holds: ['v2', 'v1'] }))
  const campaign = await broker.begin(wish('reencrypt'))
  await ended(of, campaign)
  expect(new Set(of.opened())).toEqual(new Set(['v2']))
  const after = of.databases[0]?.rows.map(({ sealed }) => Buffer.from(sealed.payload).toString('hex')) ?? []
  expect(after.filter(payload => before.includes(payload))).toEqual([])
  expect(await shown(broker, campaign)).toMatchObject({ state: 'done', total: 130, done: 130 })
})

test('what was closed under another KEK behind the pass is said at the end', async () => {
  const of = await deployment(30)
  await of.promote('v2', 'v1')
  const [database] = of.databases
  const row = database?.rows[0]
  if (database === undefined || row === undefined) throw new Error('no row')
  let late = false
  database.at = point => {
    // a writer that was slow to commit
    if (point === 'after step' && !late) {
      late = true
      database.rows[0] = row
    }
  }
  const broker = started(of.broker({ holds: ['v2', 'v1'] }))
  const campaign = await broker.begin(wish())
  await ended(of, campaign)
  expect(await shown(broker, campaign)).toMatchObject({
    state: 'done',
    note: '1 rows were closed under another KEK meanwhile: the next campaign takes them',
  })
})

test('told to stop, it ends between two steps and goes on in its next life', async () => {
  const of = await deployment(2_000)
  await of.promote('v2', 'v1')
  const broker = started(of.broker({ holds: ['v2', 'v1'] }))
  const campaign = await broker.begin(wish())
  await of.until('some steps', () => (of.databases[0]?.changes.length ?? 0) > 500)
  await broker.stop()
  const done = of.databases[0]?.changes.length ?? 0
  expect(done).toBeLessThan(2_000)
  const next = started(of.broker({ holds: ['v2', 'v1'] }))
  await ended(of, campaign)
  expect(await shown(next, campaign)).toMatchObject({ state: 'done', done: 2_000 })
  expect(new Set(of.databases[0]?.changes).size).toBe(2_000)
})
