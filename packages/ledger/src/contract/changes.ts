import assert from 'node:assert/strict'
import type { RotationId, VersionPatch } from '@keyturn/core'
import { claim, holding, hour, type LedgerCheck, opened, refused, request, sealed, toState, versionId } from './subject.ts'

const event = (action: string) => ({ action, outcome: 'allowed', version: 'v1', code: null }) as const

/** What one step changes beside its rotation: versions, revocations, the schedule, events. */
export const changeChecks: readonly LedgerCheck[] = [
  {
    title: 'versions are made and changed by number, newest first',
    run: async ({ ledger, advance }) => {
      const { secret, lease } = await holding(ledger)
      const made = await ledger.journal.record(lease, {
        versions: [
          { number: 1, label: 'current', version: versionId('v1') },
          { number: 2, label: 'pending', sealed: sealed('two'), sealedAs: 'pending', rotation: lease.rotation.id },
        ],
      })
      await advance(1_000)
      const graceUntil = new Date(made.now.getTime() + hour)
      await ledger.journal.record(made, {
        versions: [
          { number: 2, status: 'pre-active' },
          { number: 1, label: 'previous', supersededAt: made.now, graceUntil },
        ],
      })
      const [two, one, ...rest] = await ledger.journal.versions(secret.id)
      assert.deepEqual(rest, [])
      assert.deepEqual(
        { ...one },
        {
          secretId: secret.id,
          number: 1,
          version: 'v1',
          label: 'previous',
          status: null,
          fate: null,
          sealed: null,
          sealedAs: null,
          rotation: null,
          createdAt: made.now,
          supersededAt: made.now,
          graceUntil,
          revokedAt: null,
        },
      )
      assert.deepEqual(
        [two?.number, two?.label, two?.status, opened(two?.sealed), two?.sealedAs, two?.rotation],
        [2, 'pending', 'pre-active', 'two', 'pending', lease.rotation.id],
      )
    },
  },
  {
    title: 'at most one version is current, one pending, one primary, and a change that breaks it changes nothing',
    run: async ({ ledger }) => {
      const { rotation, secret, lease } = await holding(ledger)
      const held = await ledger.journal.record(lease, {
        versions: [
          { number: 1, label: 'current', status: 'primary' },
          { number: 2, label: 'pending' },
        ],
      })
      const before = await ledger.journal.versions(secret.id)
      const breaking: readonly VersionPatch[] = [
        { number: 3, label: 'current' },
        { number: 3, label: 'pending' },
        { number: 3, status: 'primary' },
      ]
      for (const patch of breaking) {
        await refused(
          'internal',
          ledger.journal.record(held, { versions: [patch], events: [event('x')], rotation: { state: 'preflight' } }),
        )
      }
      assert.deepEqual(await ledger.journal.versions(secret.id), before)
      assert.equal((await ledger.journal.rotation(rotation.id)).state, 'queued')
      assert.equal(await ledger.journal.undelivered(rotation.id), 0)
    },
  },
  {
    title: 'labels move in one change, in whatever order it names them',
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger)
      const before = await ledger.journal.record(lease, {
        versions: [
          { number: 1, label: 'current', status: 'primary' },
          { number: 2, label: 'pending', status: 'pre-active' },
        ],
      })
      await ledger.journal.record(before, {
        versions: [
          { number: 2, label: 'current', status: 'primary' },
          { number: 1, label: 'pending', status: 'active' },
        ],
      })
      assert.deepEqual(
        (await ledger.journal.versions(secret.id)).map(row => [row.number, row.label, row.status]),
        [
          [2, 'current', 'primary'],
          [1, 'pending', 'active'],
        ],
      )
    },
  },
  {
    title: 'several versions may be previous',
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger)
      await ledger.journal.record(lease, {
        versions: [
          { number: 1, label: 'previous' },
          { number: 2, label: 'previous' },
          { number: 3, label: 'current' },
        ],
      })
      assert.equal((await ledger.journal.versions(secret.id)).filter(row => row.label === 'previous').length, 2)
    },
  },
  {
    title: 'a fate is final, and what has one carries no label',
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger)
      let held = await ledger.journal.record(lease, { versions: [{ number: 1, label: 'current' }] })
      await refused('internal', ledger.journal.record(held, { versions: [{ number: 1, fate: 'revoked' }] }))
      held = await ledger.journal.record(held, {
        versions: [
          { number: 1, fate: 'revoked', label: null, revokedAt: held.now },
          { number: 2, fate: 'quarantined' },
        ],
      })
      for (const patch of [
        { number: 1, fate: null },
        { number: 1, label: 'current' },
        { number: 2, fate: 'revoked' },
        { number: 2, label: 'pending' },
      ] as const) {
        await refused('internal', ledger.journal.record(held, { versions: [patch] }))
      }
      await ledger.journal.record(held, { versions: [{ number: 1, fate: 'revoked' }] })
      assert.deepEqual(
        (await ledger.journal.versions(secret.id)).map(row => row.fate),
        ['quarantined', 'revoked'],
      )
    },
  },
  {
    title: 'versions of different secrets have nothing to do with each other',
    run: async ({ ledger }) => {
      for (const name of ['one', 'two']) {
        const { secret, lease } = await holding(ledger, name)
        await ledger.journal.record(lease, {
          versions: [{ number: await ledger.journal.reserve(lease), label: 'current', version: versionId(name) }],
        })
        assert.deepEqual(
          (await ledger.journal.versions(secret.id)).map(row => [row.number, row.version]),
          [[1, name]],
        )
      }
    },
  },
  {
    title: 'a revocation is a row of the rotation that made it, due when it says',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger)
      const dueAt = new Date(lease.now.getTime() + hour)
      let held = await ledger.journal.record(lease, {
        versions: [{ number: 1 }, { number: 2 }],
        revocations: [
          { number: 2, dueAt },
          { number: 1, dueAt },
        ],
      })
      const row = { secretId: rotation.secretId, rotation: rotation.id, dueAt, state: 'pending' }
      assert.deepEqual(await ledger.journal.revocations(rotation.id), [
        { ...row, number: 1 },
        { ...row, number: 2 },
      ])
      held = await ledger.journal.record(held, { revocations: [{ number: 1, state: 'done' }] })
      await refused('internal', ledger.journal.record(held, { revocations: [{ number: 1, state: 'pending' }] }))
      await refused('internal', ledger.journal.record(held, { revocations: [{ number: 1, state: 'cancelled' }] }))
      await ledger.journal.record(held, {
        revocations: [
          { number: 1, state: 'proven' },
          { number: 2, state: 'cancelled' },
        ],
      })
      assert.deepEqual(
        (await ledger.journal.revocations(rotation.id)).map(({ state }) => state),
        ['proven', 'cancelled'],
      )
    },
  },
  {
    title: 'a revocation needs a due time and a version',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger)
      await refused('internal', ledger.journal.record(lease, { versions: [{ number: 1 }], revocations: [{ number: 1 }] }))
      await refused('internal', ledger.journal.record(lease, { revocations: [{ number: 7, dueAt: lease.now }] }))
      assert.deepEqual(await ledger.journal.revocations(rotation.id), [])
      assert.deepEqual(await ledger.journal.versions(rotation.secretId), [])
    },
  },
  {
    title: 'a version whose revocation was cancelled can be superseded anew',
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger)
      const held = await ledger.journal.record(lease, { versions: [{ number: 1 }], revocations: [{ number: 1, dueAt: lease.now }] })
      await toState(ledger, held, 'rolled-back', { revocations: [{ number: 1, state: 'cancelled' }] })
      const next = await ledger.journal.open(request(secret))
      const again = await claim(ledger, next)
      const dueAt = new Date(again.now.getTime() + hour)
      await refused('internal', ledger.journal.record(again, { revocations: [{ number: 1, state: 'pending' }] }))
      await ledger.journal.record(again, { revocations: [{ number: 1, dueAt }] })
      assert.deepEqual(await ledger.journal.revocations(next.id), [
        { secretId: secret.id, number: 1, rotation: next.id, dueAt, state: 'pending' },
      ])
      assert.deepEqual(await ledger.journal.revocations(lease.rotation.id), [])
    },
  },
  {
    title: 'a step sets the next due time of its secret, or takes it away',
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger)
      const nextRotationAt = new Date(lease.now.getTime() + hour)
      const held = await ledger.journal.record(lease, { nextRotationAt })
      assert.deepEqual((await ledger.secrets.byId(secret.id))?.nextRotationAt, nextRotationAt)
      const same = await ledger.journal.record(held, {})
      assert.deepEqual((await ledger.secrets.byId(secret.id))?.nextRotationAt, nextRotationAt)
      await ledger.journal.record(same, { nextRotationAt: null })
      assert.equal((await ledger.secrets.byId(secret.id))?.nextRotationAt, null)
    },
  },
  {
    title: 'events are delivered once each, in order, and their numbers never come back',
    run: async ({ ledger }) => {
      const { rotation, lease } = await holding(ledger)
      const held = await ledger.journal.record(lease, {
        events: [event('one'), { ...event('two'), outcome: 'failed', version: null, code: 'conflict' }],
      })
      await ledger.journal.record(held, { events: [event('three')] })
      const rows = await ledger.outbox.pending(10)
      assert.deepEqual(
        rows.map(({ action }) => action),
        ['one', 'two', 'three'],
      )
      assert.deepEqual(
        { ...rows[1], id: 0 },
        {
          id: 0,
          at: held.now,
          secret: 'a/secret',
          rotation: rotation.id,
          action: 'two',
          outcome: 'failed',
          version: null,
          code: 'conflict',
        },
      )
      assert.deepEqual(
        (await ledger.outbox.pending(2)).map(({ action }) => action),
        ['one', 'two'],
      )
      assert.equal(await ledger.journal.undelivered(rotation.id), 3)
      const ids = rows.map(({ id }) => id)
      await ledger.outbox.delivered(ids)
      await ledger.outbox.delivered(ids)
      assert.equal(await ledger.journal.undelivered(rotation.id), 0)
      assert.deepEqual(await ledger.outbox.pending(10), [])
      const other = await holding(ledger, 'other')
      await ledger.journal.record(other.lease, { events: [event('four')] })
      const [four] = await ledger.outbox.pending(10)
      assert(four !== undefined && four.id > Math.max(...ids))
      assert.equal(await ledger.journal.undelivered('rot_NONE' as RotationId), 0)
    },
  },
  {
    title: 'events that are taken are given to nobody else, and again after a failure',
    run: async ({ ledger }) => {
      const { lease } = await holding(ledger)
      await ledger.journal.record(lease, { events: [event('one'), event('two'), event('three')] })
      const given: string[] = []
      const take = async (rows: readonly { readonly action: string }[]) => {
        given.push(...rows.map(({ action }) => action))
      }
      const failing = ledger.outbox.deliver(2, async rows => {
        await take(rows)
        throw new Error('the chain cannot be written')
      })
      await assert.rejects(failing, /cannot be written/)
      assert.deepEqual(given.splice(0), ['one', 'two'])
      await ledger.outbox.deliver(2, take)
      await ledger.outbox.deliver(2, take)
      await ledger.outbox.deliver(2, take)
      assert.deepEqual(given, ['one', 'two', 'three'])
    },
  },
]
