import assert from 'node:assert/strict'
import type { OperationId } from '@keyturn/core'
import type { CampaignRequest } from '../rules/campaign.ts'
import { type LedgerCheck, minute, refused } from './subject.ts'

const rewrap = (kekId: string, more: Partial<CampaignRequest> = {}): CampaignRequest => {
  return { kind: 'rewrap', kekId, principal: 'token:ops', reason: 'the quarter is over', state: 'running', ...more }
}
const scrub: CampaignRequest = { ...rewrap('none'), kind: 'scrub', kekId: null }

/** Passes through everything, as requests. */
export const campaignChecks: readonly LedgerCheck[] = [
  {
    title: 'a campaign is an operation too, by the same id and without items',
    run: async ({ ledger }) => {
      const campaign = await ledger.campaigns.open(rewrap('k2', { state: 'waiting' }))
      const { id, startedAt } = campaign
      assert.match(id, /^op_[0-9A-HJKMNP-TV-Z]{26}$/)
      assert.deepEqual(campaign, { ...rewrap('k2'), id, state: 'waiting', startedAt, finishedAt: null, note: null })
      assert.deepEqual(await ledger.campaigns.byId(id), campaign)
      const { kind, principal, reason } = campaign
      assert.deepEqual(await ledger.operations.byId(id), { id, kind, principal, reason, startedAt, items: [] })
      assert.equal(await ledger.campaigns.byId('op_NONE' as OperationId), null)
      const rotate = await ledger.operations.create({ kind: 'rotate', principal: 'p', reason: '' })
      assert.equal(await ledger.campaigns.byId(rotate), null)
    },
  },
  {
    title: 'a second request for the same target joins the campaign that is open',
    run: async ({ ledger, advance }) => {
      const first = await ledger.campaigns.open(rewrap('k2', { state: 'waiting' }))
      await advance(minute)
      assert.deepEqual(await ledger.campaigns.open(rewrap('k2', { principal: 'token:other', reason: 'too' })), first)
      await ledger.campaigns.move(first.id, { state: 'done', note: null })
      const next = await ledger.campaigns.open(rewrap('k2'))
      assert.notEqual(next.id, first.id)
      assert.deepEqual(
        [await ledger.campaigns.open(scrub), next],
        [await ledger.campaigns.last('scrub'), await ledger.campaigns.last('rewrap')],
      )
    },
  },
  {
    title: 'a request for another target ends the campaign that is open, and of its kind alone',
    run: async ({ ledger }) => {
      const former = await ledger.campaigns.open(rewrap('k2'))
      const other = await ledger.campaigns.open(rewrap('k3', { kind: 'reencrypt' }))
      const next = await ledger.campaigns.open(rewrap('k3'))
      const ended = await ledger.campaigns.byId(former.id)
      assert.equal(ended?.state, 'aborted')
      assert(ended.finishedAt !== null && ended.finishedAt >= former.startedAt)
      assert(ended.note?.includes('k3'))
      assert.deepEqual(await ledger.campaigns.unfinished(), [other, next])
    },
  },
  {
    title: 'of many requests at once one campaign comes',
    run: async ({ ledger }) => {
      const opened = await Promise.all(Array.from({ length: 6 }, () => ledger.campaigns.open(rewrap('k2'))))
      assert.equal(new Set(opened.map(({ id }) => id)).size, 1)
      await Promise.all(['k3', 'k4', 'k5'].map(kekId => ledger.campaigns.open(rewrap(kekId))))
      assert.equal((await ledger.campaigns.unfinished()).length, 1)
    },
  },
  {
    title: 'a campaign waits, runs and ends; then it stays as it is',
    run: async ({ ledger, advance }) => {
      const { id } = await ledger.campaigns.open(rewrap('k2', { state: 'waiting' }))
      await ledger.campaigns.move(id, { state: 'running', note: 'a broker is away' })
      const running = await ledger.campaigns.byId(id)
      assert.deepEqual([running?.state, running?.note, running?.finishedAt], ['running', 'a broker is away', null])
      await ledger.campaigns.move(id, { state: 'running', note: null })
      assert.equal((await ledger.campaigns.byId(id))?.note, null)
      await advance(minute)
      assert.equal(await ledger.campaigns.move(id, { state: 'failed', note: '2 rows cannot be opened' }), true)
      const over = await ledger.campaigns.byId(id)
      assert.deepEqual([over?.state, over?.note], ['failed', '2 rows cannot be opened'])
      assert(over?.finishedAt != null && over.finishedAt > over.startedAt)
      await advance(minute)
      for (const state of ['running', 'done', 'aborted'] as const)
        assert.equal(await ledger.campaigns.move(id, { state, note: null }), false)
      assert.deepEqual(await ledger.campaigns.byId(id), over)
      await refused('not_found', ledger.campaigns.move('op_NONE' as OperationId, { state: 'done', note: null }))
    },
  },
  {
    title: 'of many that end a campaign at once, one is told that it did',
    run: async ({ ledger }) => {
      const { id } = await ledger.campaigns.open(scrub)
      const moved = await Promise.all(Array.from({ length: 5 }, () => ledger.campaigns.move(id, { state: 'done', note: null })))
      assert.equal(moved.filter(Boolean).length, 1)
    },
  },
  {
    title: 'unfinished campaigns come oldest first, and the last of a kind is its newest',
    run: async ({ ledger }) => {
      assert.equal(await ledger.campaigns.last('rewrap'), null)
      const first = await ledger.campaigns.open(scrub)
      const second = await ledger.campaigns.open(rewrap('k2', { state: 'waiting' }))
      assert.deepEqual(await ledger.campaigns.unfinished(), [first, second])
      await ledger.campaigns.move(first.id, { state: 'done', note: null })
      assert.deepEqual(await ledger.campaigns.unfinished(), [second])
      assert.deepEqual(await ledger.campaigns.last('scrub'), await ledger.campaigns.byId(first.id))
      const third = await ledger.campaigns.open(scrub)
      assert.deepEqual(await ledger.campaigns.last('scrub'), third)
      assert.equal(await ledger.campaigns.last('reencrypt'), null)
      assert.deepEqual(await ledger.campaigns.lastWhole('scrub'), await ledger.campaigns.byId(first.id))
      await ledger.campaigns.move(third.id, { state: 'aborted', note: null })
      assert.deepEqual(await ledger.campaigns.lastWhole('scrub'), await ledger.campaigns.byId(first.id))
      assert.equal(await ledger.campaigns.lastWhole('rewrap'), null)
    },
  },
]
