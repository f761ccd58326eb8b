import assert from 'node:assert/strict'
import {
  claim,
  holding,
  hour,
  type LedgerCheck,
  leaseMs,
  minute,
  opened,
  opening,
  promoting,
  refused,
  request,
  sealed,
  toState,
} from './subject.ts'

/** What people ask of a rotation, and what a compromise takes over. */
export const wishChecks: readonly LedgerCheck[] = [
  {
    title: 'an abort is for rotations that are not promoted, a rollback for those that are',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger)
      const error = await refused('conflict', ledger.journal.wish(rotation.id, 'rollback'))
      assert.equal(error.detail?.state, 'queued')
      await refused('conflict', ledger.journal.wish(rotation.id, 'confirm'))
      assert.equal((await ledger.journal.wish(rotation.id, 'abort')).wish, 'abort')
      let held = await promoting(ledger, lease)
      await refused('conflict', ledger.journal.wish(rotation.id, 'abort'))
      for (const state of ['promoted', 'published', 'grace', 'revoking'] as const) {
        held = await toState(ledger, held, state, { rotation: { wish: null } })
        assert.equal((await ledger.journal.wish(rotation.id, 'rollback')).wish, 'rollback')
      }
      assert.equal((await ledger.journal.wish(rotation.id, 'confirm')).wish, 'confirm')
      held = await toState(ledger, held, 'revoked', { versions: [{ number: 1, label: null, fate: 'revoked' }] })
      await refused('conflict', ledger.journal.wish(rotation.id, 'rollback'))
      await refused('conflict', ledger.journal.wish(rotation.id, 'confirm'))
    },
  },
  {
    title: 'a rollback is refused once the previous version is revoked, and where there was none',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger)
      const held = await promoting(ledger, lease)
      await toState(ledger, held, 'revoking', { versions: [{ number: 1, label: null, fate: 'revoked' }] })
      await refused('conflict', ledger.journal.wish(rotation.id, 'rollback'))
      const first = await holding(ledger, 'first/version')
      await toState(ledger, first.lease, 'promoted')
      await refused('conflict', ledger.journal.wish(first.rotation.id, 'rollback'))
    },
  },
  {
    title: 'every wish wakes the rotation; a retry also forgets the failures, a yes is kept',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger)
      const asleep = { wakeAt: null, attempts: 6, hold: { kind: 'needs-attention', why: 'x' } } as const
      await ledger.journal.record(lease, { rotation: asleep, release: true })
      const retried = await ledger.journal.wish(rotation.id, null)
      assert.deepEqual([retried.attempts, retried.wish], [0, null])
      const held = await claim(ledger, rotation)
      assert.equal(held.abandoned, false)
      await ledger.journal.record(held, { rotation: asleep, release: true })
      assert.equal((await ledger.journal.wish(rotation.id, 'abort')).wish, 'abort')
      const again = await claim(ledger, rotation)
      assert.equal(again.rotation.wish, 'abort')
      await ledger.journal.record(again, { rotation: { ...asleep, wish: null }, release: true })
      assert.equal((await ledger.journal.approve(rotation.id)).approved, true)
      assert.equal((await claim(ledger, rotation)).rotation.approved, true)
    },
  },
  {
    title: 'a wish that comes while a holder works is not slept over',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger)
      await ledger.journal.wish(rotation.id, 'abort')
      const wakeAt = new Date(lease.now.getTime() + hour)
      const rested = await ledger.journal.record(lease, { rotation: { wakeAt, attempts: 1 }, release: true })
      assert.equal(rested.rotation.wish, 'abort')
      const held = await claim(ledger, rotation)
      assert.equal(held.rotation.wish, 'abort')
      await ledger.journal.record(held, { rotation: { wakeAt }, release: true })
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs }), null)
    },
  },
  {
    title: 'a value that a person enters becomes the pending version, once, where one is waited for',
    run: async ({ ledger }) => {
      const { rotation, secret, lease } = await holding(ledger, 'a/secret', { strategy: 'external' })
      const hold = { kind: 'waiting', for: 'person' } as const
      await refused(
        'conflict',
        ledger.journal.enter(rotation.id, () => sealed('early')),
      )
      await toState(ledger, lease, 'backed-up', { rotation: { hold, wakeAt: null }, release: true })
      const entered = await ledger.journal.enter(rotation.id, number => sealed(`entered as ${number}`))
      assert.deepEqual([entered.state, entered.number, entered.hold], ['backed-up', 1, null])
      const [pending] = await ledger.journal.versions(secret.id)
      assert.deepEqual(
        [pending?.number, pending?.label, opened(pending?.sealed), pending?.sealedAs, pending?.rotation],
        [1, 'pending', 'entered as 1', 'pending', rotation.id],
      )
      await refused(
        'conflict',
        ledger.journal.enter(rotation.id, () => sealed('twice')),
      )
      assert.equal((await claim(ledger, rotation)).rotation.number, 1)
    },
  },
  {
    title: 'after a value that was refused for good another one can be entered, under a number of its own',
    run: async ({ ledger }) => {
      const { rotation, secret, lease } = await holding(ledger, 'a/secret', { strategy: 'external' })
      const asking = { state: 'backed-up', hold: { kind: 'waiting', for: 'person' }, wakeAt: null } as const
      await ledger.journal.record(lease, { rotation: asking, release: true })
      await ledger.journal.enter(rotation.id, () => sealed('refused'))
      const held = await claim(ledger, rotation)
      const next = await ledger.journal.reserve(held)
      const versions = [{ number: 1, label: null, fate: 'quarantined' }] as const
      await ledger.journal.record(held, { rotation: { ...asking, number: next, quarantined: 1 }, versions, release: true })
      const again = await ledger.journal.enter(rotation.id, number => sealed(`entered as ${number}`))
      const [pending, former] = await ledger.journal.versions(secret.id)
      assert.equal(again.number, pending?.number)
      assert.deepEqual([pending?.label, opened(pending?.sealed)], ['pending', `entered as ${pending?.number}`])
      assert.deepEqual([former?.number, former?.fate, opened(former?.sealed)], [1, 'quarantined', 'refused'])
    },
  },
  {
    title: 'a value that comes while a holder still says that it waits for one is taken once, and looked at',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger, 'a/secret', { strategy: 'external' })
      const asking = { state: 'backed-up', hold: { kind: 'waiting', for: 'person' }, wakeAt: null } as const
      await ledger.journal.record(lease, { rotation: asking, release: true })
      await ledger.journal.wish(rotation.id, null)
      const held = await claim(ledger, rotation)
      await ledger.journal.enter(rotation.id, number => sealed(`entered as ${number}`))
      await ledger.journal.record(held, { rotation: asking, release: true })
      await refused(
        'conflict',
        ledger.journal.enter(rotation.id, () => sealed('twice')),
      )
      assert.equal((await claim(ledger, rotation)).rotation.number, 1)
    },
  },
  {
    title: 'a value that cannot be sealed leaves the rotation as it was',
    run: async ({ ledger }) => {
      const { rotation, secret, lease } = await holding(ledger)
      await toState(ledger, lease, 'backed-up', { rotation: { hold: { kind: 'waiting', for: 'person' }, wakeAt: null }, release: true })
      const before = await ledger.journal.rotation(rotation.id)
      const failing = () => {
        throw new Error('no key')
      }
      await assert.rejects(ledger.journal.enter(rotation.id, failing), /no key/)
      assert.deepEqual(await ledger.journal.rotation(rotation.id), before)
      assert.deepEqual(await ledger.journal.versions(secret.id), [])
    },
  },
  {
    title: 'a compromise takes an open rotation that is not promoted for its own, and wakes it',
    run: async ({ ledger }) => {
      const { secret, rotation, lease } = await holding(ledger)
      await ledger.journal.record(lease, { rotation: { wakeAt: null, hold: { kind: 'waiting', for: 'window' } }, release: true })
      await ledger.journal.wish(rotation.id, 'abort')
      const answer = await ledger.journal.open(request(secret, { mode: 'compromise', approved: true }))
      assert.deepEqual([answer.id, answer.mode, answer.approved, answer.wish], [rotation.id, 'compromise', true, null])
      assert.equal((await claim(ledger, rotation)).rotation.mode, 'compromise')
    },
  },
  {
    title: 'a compromise takes over the revocations of a promoted rotation, due now, and ends the grace',
    run: async ({ ledger, advance }) => {
      const { secret, rotation, lease } = await holding(ledger)
      const held = await promoting(ledger, lease)
      await advance(minute)
      const next = await ledger.journal.open(request(secret, { mode: 'compromise' }))
      assert.notEqual(next.id, rotation.id)
      const [due] = await ledger.journal.revocations(next.id)
      assert.deepEqual([due?.number, due?.state, due?.dueAt], [1, 'pending', next.startedAt])
      assert.deepEqual(await ledger.journal.revocations(rotation.id), [])
      const one = (await ledger.journal.versions(secret.id)).find(({ number }) => number === 1)
      assert.deepEqual([one?.label, one?.graceUntil], ['previous', next.startedAt])
      const closed = await ledger.journal.rotation(rotation.id)
      assert.deepEqual([closed.state, closed.finishedAt, closed.wakeAt, closed.outcome.rotation], ['done', next.startedAt, null, 'ok'])
      assert.equal(await ledger.journal.undelivered(rotation.id), 1)
      await refused('conflict', ledger.journal.record(held, { rotation: { state: 'grace' } }))
      assert.equal((await ledger.secrets.byId(secret.id))?.rotation?.id, next.id)
    },
  },
  {
    title: 'a compromise leaves alone what is settled about earlier versions',
    run: async ({ ledger }) => {
      const { secret, rotation, lease } = await holding(ledger)
      const held = await ledger.journal.record(lease, {
        rotation: { state: 'grace' },
        versions: [1, 2, 3, 4].map(number => ({ number })),
        revocations: [1, 2, 3, 4].map(number => ({ number, dueAt: lease.now })),
      })
      await ledger.journal.record(held, {
        revocations: [
          { number: 1, state: 'proven' },
          { number: 2, state: 'cancelled' },
          { number: 3, state: 'done' },
        ],
      })
      const next = await ledger.journal.open(request(secret, { mode: 'compromise' }))
      assert.deepEqual(
        (await ledger.journal.revocations(rotation.id)).map(({ number }) => number),
        [1, 2],
      )
      assert.deepEqual(
        (await ledger.journal.revocations(next.id)).map(({ number, state }) => [number, state]),
        [
          [3, 'done'],
          [4, 'pending'],
        ],
      )
    },
  },
  {
    title: 'a compromise of a secret without an open rotation starts one',
    run: async ({ ledger }) => {
      const { secret, rotation } = await opening(ledger, 'a/secret', { mode: 'compromise' })
      assert.equal(rotation.mode, 'compromise')
      assert.equal((await ledger.secrets.byId(secret.id))?.rotation?.id, rotation.id)
    },
  },
]
