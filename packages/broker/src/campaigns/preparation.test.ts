import { BrokerError } from '@keyturn/core'
import type { Campaign } from '@keyturn/ledger'
import { afterEach, describe, expect, test } from 'vitest'
import { Deployment } from '../../test/campaigns/deployment.ts'
import type { Campaigns } from './campaigns.ts'
import type { FirstBackups } from './preparation.ts'

const running: Campaigns[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map(campaigns => campaigns.stop()))
})

const wish = { kind: 'rewrap', principal: 'token:root', reason: 'v1 is old' } as const

/** Backups that are kept apart from all brokers, as on a disk; `hold` keeps the next one from its end. */
class Disk implements FirstBackups {
  readonly made = new Set<string>()
  readonly begun: string[] = []
  fault: Error | null = null
  held: Promise<void> | null = null

  isNeeded(): boolean {
    return true
  }

  async isMade(id: string): Promise<boolean> {
    return this.made.has(id)
  }

  async make({ id }: Campaign, signal: AbortSignal): Promise<void> {
    this.begun.push(id)
    const ended = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    ended.catch(() => undefined)
    if (this.held !== null) await Promise.race([this.held, ended])
    if (this.fault !== null) throw this.fault
    this.made.add(id)
  }

  /** Answers with what lets it come to its end. */
  hold(): () => void {
    let release: () => void = () => undefined
    this.held = new Promise(resolve => {
      release = resolve
    })
    return () => {
      this.held = null
      release()
    }
  }
}

async function scene(rows = 40) {
  const of = new Deployment([rows])
  await of.open()
  await of.promote('v2', 'v1')
  const disk = new Disk()
  const broker = () => {
    const campaigns = of.broker({ holds: ['v2', 'v1'], more: { backUp: disk } })
    running.push(campaigns)
    campaigns.start()
    return campaigns
  }
  const stateOf = async ({ id }: Campaign) => (await of.ledger.campaigns.byId(id))?.state
  const over = (campaign: Campaign) => of.until('the end', async () => (await of.ledger.campaigns.byId(campaign.id))?.finishedAt != null)
  const changes = () => of.databases[0]?.changes ?? []
  const beat = (id: string) => of.ledger.instances.beat({ id, loaded: ['v1', 'v2'], wanted: 'v2', using: 'v2', version: '1' })
  const pass = async (ms: number) => {
    const untilMs = of.clock.now().getTime() + ms
    await of.until('some time', () => of.clock.now().getTime() >= untilMs)
  }
  return { of, disk, broker, stateOf, over, changes, beat, pass }
}

test('a campaign is accepted at once, says that its backup is made first, and changes nothing before', async () => {
  const { of, disk, broker, over, changes, pass } = await scene()
  const release = disk.hold()
  const campaigns = broker()
  const campaign = await campaigns.begin(wish)
  expect(campaign.state).toBe('waiting')
  expect((await campaigns.begin(wish)).id).toBe(campaign.id)
  await pass(120_000)
  expect(await campaigns.view(campaign.id)).toMatchObject({
    state: 'waiting',
    waiting_for: 'backup',
    note: 'a backup is being made first, by broker-1',
  })
  expect([disk.begun.length, changes().length]).toEqual([1, 0])
  release()
  await over(campaign)
  expect(await campaigns.view(campaign.id)).toMatchObject({ state: 'done', waiting_for: null, done: 40, note: null })
  expect([disk.begun, new Set(of.opened())]).toEqual([[campaign.id], new Set(['v2'])])
})

test('whose backup cannot be made ends with the reason, is recorded, and has changed nothing', async () => {
  const { of, disk, broker, over, changes } = await scene()
  disk.fault = new BrokerError('unavailable', 'the disk is full')
  const campaigns = broker()
  const campaign = await campaigns.begin(wish)
  await over(campaign)
  expect(await campaigns.view(campaign.id)).toMatchObject({ state: 'aborted', note: 'the disk is full', done: 0 })
  await of.until('its record', () => of.records.length > 0)
  expect(of.records).toMatchObject([{ action: 'rewrap.aborted', requestId: campaign.id, outcome: 'failed', code: 'unavailable' }])
  expect(changes()).toEqual([])
  disk.fault = null
  const next = await campaigns.begin(wish)
  expect(next.id).not.toBe(campaign.id)
  await over(next)
  expect(new Set(of.opened())).toEqual(new Set(['v2']))
})

test('that somebody aborts meanwhile leaves no backup half made', async () => {
  const { disk, broker, stateOf, pass, changes } = await scene()
  disk.hold()
  const [one, other] = [broker(), broker()]
  const campaign = await one.begin(wish)
  await other.abort(campaign.id, 'aborted by token:root')
  await pass(10_000)
  expect([await stateOf(campaign), disk.made.size, changes().length]).toEqual(['aborted', 0, 0])
  await one.stop()
})

describe('when its maker goes', () => {
  test('by being told to stop, its next life makes it again', async () => {
    const { of, disk, broker, stateOf, over } = await scene()
    const release = disk.hold()
    const first = broker()
    const campaign = await first.begin(wish)
    await of.until('it has begun', () => disk.begun.length === 1)
    await first.stop()
    expect([await stateOf(campaign), disk.made.size]).toEqual(['waiting', 0])
    release()
    broker()
    await over(campaign)
    expect(disk.begun).toEqual([campaign.id, campaign.id])
    expect(new Set(of.opened())).toEqual(new Set(['v2']))
  })

  test('by death, one of the others makes it again, once the dead one counts as dead', async () => {
    const { of, disk, broker, over, beat, pass } = await scene()
    const release = disk.hold()
    for (const id of ['broker-1', 'broker-2', 'broker-3']) await beat(id)
    const first = broker()
    const campaign = await first.begin(wish)
    const others = [broker(), broker()]
    await pass(30_000)
    expect(disk.begun.length).toBe(1)
    // it never comes back: what it holds is never released, and its heartbeats end
    for (let passed = 0; passed < 90_000; passed += 20_000) {
      await Promise.all([beat('broker-2'), beat('broker-3')])
      await pass(20_000)
    }
    expect(disk.begun).toEqual([campaign.id, campaign.id])
    release()
    await over(campaign)
    expect(others.length).toBe(2)
    expect(new Set(of.opened())).toEqual(new Set(['v2']))
  })

  test('after the backup was made, nobody makes it again', async () => {
    const { of, disk, broker, over } = await scene()
    const campaign = await of.ledger.campaigns.open({ ...wish, kekId: 'v2', state: 'waiting' })
    disk.made.add(campaign.id)
    broker()
    await over(campaign)
    expect(disk.begun).toEqual([])
  })
})

test('that waits for a KEK is backed up when that is current, and not before', async () => {
  const of = new Deployment([20])
  await of.open()
  await of.ledger.instances.beat({ id: 'broker-1', loaded: ['v1', 'v2'], wanted: 'v2', using: 'v1', version: '1' })
  const disk = new Disk()
  const campaigns = of.broker({ holds: ['v2', 'v1'], more: { backUp: disk } })
  running.push(campaigns)
  campaigns.start()
  const campaign = await campaigns.begin(wish)
  await of.until('the note', async () => (await of.ledger.campaigns.byId(campaign.id))?.note === 'KEK v2 is not current yet')
  expect([await campaigns.view(campaign.id), disk.begun]).toMatchObject([{ state: 'waiting', waiting_for: 'kek' }, []])
  await of.promote('v2', 'v1')
  await of.ledger.instances.beat({ id: 'broker-1', loaded: ['v1', 'v2'], wanted: 'v2', using: 'v2', version: '1' })
  await of.until('the end', async () => (await of.ledger.campaigns.byId(campaign.id))?.state === 'done')
  expect(disk.begun).toEqual([campaign.id])
})

test('that goes on towards another KEK has a backup of its own', async () => {
  const { of, disk, over } = await scene(2_000)
  const [database] = of.databases
  if (database === undefined) throw new Error('no database')
  let steps = 0
  database.at = async point => {
    if (point === 'after step') steps += 1
    if (steps !== 5) return
    await of.ledger.instances.beat({ id: 'broker-1', loaded: ['v1', 'v2', 'v3'], wanted: 'v3', using: 'v3', version: '1' })
    await of.promote('v3', 'v2')
  }
  const campaigns = of.broker({ holds: ['v2', 'v1', 'v3'], more: { backUp: disk } })
  running.push(campaigns)
  campaigns.start()
  const campaign = await campaigns.begin(wish)
  await over(campaign)
  const next = await of.ledger.campaigns.last('rewrap')
  if (next === null) throw new Error('no other campaign')
  await over(next)
  expect(disk.begun).toEqual([campaign.id, next.id])
  expect([next.kekId, new Set(of.opened())]).toEqual(['v3', new Set(['v3'])])
})
