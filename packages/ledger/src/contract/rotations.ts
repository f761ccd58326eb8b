import assert from 'node:assert/strict'
import type { RotationId, RotationState, SecretId } from '@keyturn/core'
import {
  claim,
  holding,
  hour,
  type LedgerCheck,
  leaseMs,
  minute,
  opening,
  promoting,
  refused,
  request,
  sealed,
  toState,
  versionId,
} from './subject.ts'

/** Opening, claiming, recording: who may move a rotation, and when. */
export const rotationChecks: readonly LedgerCheck[] = [
  {
    title: 'a rotation starts queued, due at once, with ids of its own',
    run: async ({ ledger }) => {
      const { secret, rotation } = await opening(ledger, 'a/secret', { reason: 'because', graceOverrideMs: 5, approved: true })
      const now = await ledger.now()
      assert.match(rotation.id, /^rot_[0-9A-HJKMNP-TV-Z]{26}$/)
      assert.match(rotation.idempotencyKey, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
      const { state, epoch, attempts, approved, reason, graceOverrideMs, secretId, outcome } = rotation
      assert.deepEqual(
        { state, epoch, attempts, approved, reason, graceOverrideMs },
        { state: 'queued', epoch: 0, attempts: 0, approved: true, reason: 'because', graceOverrideMs: 5 },
      )
      assert.equal(secretId, secret.id)
      assert.deepEqual(outcome, { rotation: 'running', delivery: 'pending', revocation: 'none' })
      assert(rotation.wakeAt !== null && rotation.wakeAt <= now)
      assert.deepEqual(await ledger.journal.rotation(rotation.id), rotation)
    },
  },
  {
    title: 'a rotation of a secret that the ledger does not know is not found',
    run: async ({ ledger }) => {
      const { secret } = await opening(ledger)
      await refused('not_found', ledger.journal.open(request({ ...secret, id: 'sec_NONE' as SecretId })))
      await refused('not_found', ledger.journal.rotation('rot_NONE' as RotationId))
      await refused('not_found', ledger.journal.revocations('rot_NONE' as RotationId))
      await refused('not_found', ledger.journal.wish('rot_NONE' as RotationId, null))
      await refused('not_found', ledger.journal.approve('rot_NONE' as RotationId))
    },
  },
  {
    title: 'one open rotation a secret: another is refused with the rotation that stands in its way',
    run: async ({ ledger }) => {
      const op = await ledger.operations.create({ kind: 'rotate', principal: 'p', reason: '' })
      const { secret, rotation } = await opening(ledger, 'a/secret', { op })
      const error = await refused('conflict', ledger.journal.open(request(secret)))
      assert.deepEqual(error.detail, { rotation: rotation.id, op, state: 'queued' })
      assert.equal(error.retryAfterMs, undefined)
      await opening(ledger, 'another/secret')
    },
  },
  {
    title: 'of many that open a rotation of one secret at once, one does',
    run: async ({ ledger }) => {
      const { secret, rotation, lease } = await holding(ledger)
      await toState(ledger, lease, 'aborted')
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => ledger.journal.open(request(secret))))
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
      assert.notEqual((await ledger.secrets.byId(secret.id))?.rotation?.id, rotation.id)
    },
  },
  {
    title: 'in grace another rotation is refused with the earliest time',
    run: async ({ ledger, advance }) => {
      const { secret, lease } = await holding(ledger)
      const promoted = await promoting(ledger, lease)
      await advance(10 * minute)
      const error = await refused('conflict', ledger.journal.open(request(secret)))
      assert.deepEqual(error.detail?.earliest, promoted.rotation.graceUntil)
      assert(error.retryAfterMs !== undefined && error.retryAfterMs <= 50 * minute && error.retryAfterMs > 49 * minute)
    },
  },
  {
    title: 'a rotation that is over lets the next one start',
    run: async ({ ledger }) => {
      for (const [index, state] of (['done', 'aborted', 'rolled-back'] satisfies RotationState[]).entries()) {
        const { secret, lease } = await holding(ledger, `secret-${index}`)
        await toState(ledger, lease, state)
        const next = await ledger.journal.open(request(secret))
        assert.equal((await ledger.secrets.byId(secret.id))?.rotation?.id, next.id)
      }
    },
  },
  {
    title: 'a claim takes what has been due longest, and its epoch grows',
    run: async ({ ledger, advance }) => {
      const first = await opening(ledger, 'first')
      await advance(1_000)
      const second = await opening(ledger, 'second')
      await advance(1_000)
      const leases = [await claim(ledger), await claim(ledger)]
      assert.deepEqual(
        leases.map(({ rotation }) => rotation.id),
        [first.rotation.id, second.rotation.id],
      )
      assert.equal(leases[0]?.rotation.epoch, 1)
      assert.equal(await ledger.journal.claim({ holder: 'worker-2', leaseMs }), null)
    },
  },
  {
    title: "a claim says until when it holds by the ledger's clock",
    run: async ({ ledger }) => {
      const { lease } = await holding(ledger)
      assert.equal(lease.until.getTime() - lease.now.getTime(), leaseMs)
      assert.equal(lease.abandoned, false)
      assert.equal(lease.holder, 'worker-1')
      assert.deepEqual(await ledger.journal.rotation(lease.rotation.id), lease.rotation)
    },
  },
  {
    title: 'a claim leaves alone what is not due, asked for or not',
    run: async ({ ledger, advance }) => {
      const { rotation, lease } = await holding(ledger)
      const wakeAt = new Date(lease.now.getTime() + hour)
      await ledger.journal.record(lease, { rotation: { wakeAt }, release: true })
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs }), null)
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs, rotation: rotation.id }), null)
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs, rotation: 'rot_NONE' as RotationId }), null)
      await advance(hour)
      assert.equal((await claim(ledger, rotation)).rotation.id, rotation.id)
    },
  },
  {
    title: 'a rotation that waits for a person is claimed by nobody',
    run: async ({ ledger, advance }) => {
      const { lease } = await holding(ledger)
      await ledger.journal.record(lease, { rotation: { wakeAt: null, hold: { kind: 'needs-attention', why: 'x' } }, release: true })
      await advance(1_000 * hour)
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs }), null)
    },
  },
  {
    title: 'a lease that ran out is taken over and called abandoned; one given back is not',
    run: async ({ ledger, advance }) => {
      const { lease } = await holding(ledger)
      await advance(leaseMs - 1_000)
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs }), null)
      await advance(1_000)
      const second = await claim(ledger)
      assert.equal(second.abandoned, true)
      assert.equal(second.rotation.epoch, lease.rotation.epoch + 1)
      await ledger.journal.record(second, { release: true })
      const third = await claim(ledger)
      assert.equal(third.abandoned, false)
      assert.equal(third.rotation.epoch, lease.rotation.epoch + 2)
    },
  },
  {
    title: 'a holder whose lease ran out affects nothing, even before anybody took over',
    run: async ({ ledger, advance }) => {
      const { rotation, secret, lease } = await holding(ledger)
      const before = await ledger.journal.rotation(rotation.id)
      await advance(leaseMs)
      const change = { rotation: { state: 'preflight' }, versions: [{ number: 1 }], nextRotationAt: new Date(0) } as const
      await refused('conflict', ledger.journal.record(lease, change))
      await refused('conflict', ledger.journal.reserve(lease))
      assert.deepEqual(await ledger.journal.rotation(rotation.id), before)
      assert.deepEqual(await ledger.journal.versions(secret.id), [])
      assert.equal((await ledger.secrets.byId(secret.id))?.nextRotationAt, null)
    },
  },
  {
    title: 'a holder under an older epoch affects nothing',
    run: async ({ ledger, advance }) => {
      const { rotation, secret, lease } = await holding(ledger)
      await advance(leaseMs)
      await toState(ledger, await claim(ledger), 'preflight')
      const events = [{ action: 'late', outcome: 'allowed', version: null, code: null }] as const
      await refused('conflict', ledger.journal.record(lease, { rotation: { state: 'aborted' }, events, release: true }))
      await refused('conflict', ledger.journal.reserve(lease))
      assert.equal((await ledger.journal.rotation(rotation.id)).state, 'preflight')
      assert.equal(await ledger.journal.undelivered(rotation.id), 0)
      assert.deepEqual(await ledger.journal.versions(secret.id), [])
    },
  },
  {
    title: 'a lease given back affects nothing any more',
    run: async ({ ledger }) => {
      const { lease } = await holding(ledger)
      const released = await ledger.journal.record(lease, { release: true })
      await refused('conflict', ledger.journal.record(released, { rotation: { state: 'preflight' } }))
    },
  },
  {
    title: 'each record renews the lease',
    run: async ({ ledger, advance }) => {
      let { lease } = await holding(ledger)
      for (let round = 0; round < 3; round += 1) {
        await advance(leaseMs - 1_000)
        lease = await ledger.journal.record(lease, {})
        assert.equal(lease.until.getTime() - lease.now.getTime(), leaseMs)
      }
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs }), null)
    },
  },
  {
    title: 'the time of a state follows the state, and only it',
    run: async ({ ledger, advance }) => {
      const { rotation, lease } = await holding(ledger)
      await advance(1_000)
      const touched = await ledger.journal.record(lease, { rotation: { attempts: 2 } })
      assert.deepEqual(touched.rotation.stateAt, rotation.stateAt)
      assert.equal(touched.rotation.attempts, 2)
      const moved = await toState(ledger, touched, 'preflight')
      assert.deepEqual(moved.rotation.stateAt, moved.now)
    },
  },
  {
    title: 'everything a step says of its rotation is kept',
    run: async ({ ledger }) => {
      const { lease } = await holding(ledger)
      const later = new Date(lease.now.getTime() + hour)
      const patch = {
        state: 'applied',
        hold: { kind: 'waiting', for: 'grace', detail: 'until then' },
        attempts: 3,
        quarantined: 1,
        error: { code: 'unavailable', message: 'not there' },
        number: 2,
        base: { number: 1, version: versionId('v1'), etag: 'e1' as never },
        version: versionId('v2'),
        graceUntil: later,
        outcome: { rotation: 'ok', delivery: { reached: 1, of: 2 }, revocation: 'pending' },
      } as const
      const { rotation } = await ledger.journal.record(lease, { rotation: patch })
      const kept = await ledger.journal.rotation(rotation.id)
      assert.deepEqual(kept, rotation)
      for (const [key, value] of Object.entries(patch)) assert.deepEqual(kept[key as keyof typeof patch], value)
    },
  },
  {
    title: 'a rotation that ends is finished, wakes nobody and gives its lease back',
    run: async ({ ledger, advance }) => {
      const { rotation, lease } = await holding(ledger)
      const ended = await toState(ledger, lease, 'aborted', { rotation: { wakeAt: new Date(0) } })
      assert.deepEqual(ended.rotation.finishedAt, ended.now)
      assert.equal(ended.rotation.wakeAt, null)
      await refused('conflict', ledger.journal.record(ended, {}))
      await refused('conflict', ledger.journal.wish(rotation.id, null))
      await refused('conflict', ledger.journal.approve(rotation.id))
      await advance(hour)
      assert.equal(await ledger.journal.claim({ holder: 'w', leaseMs, rotation: rotation.id }), null)
    },
  },
  {
    title: 'numbers are given out once, from 1, whatever becomes of them',
    run: async ({ ledger, advance }) => {
      const { secret, lease } = await holding(ledger)
      assert.equal(await ledger.journal.reserve(lease), 1)
      assert.equal(await ledger.journal.reserve(lease), 2)
      await advance(leaseMs)
      const next = await claim(ledger)
      assert.equal(await ledger.journal.reserve(next), 3)
      await ledger.journal.record(next, { versions: [{ number: 9, label: 'current' }] })
      assert.equal(await ledger.journal.reserve(next), 10)
      const intent = await ledger.secrets
        .beginWrite({ secretId: secret.id, idempotencyKey: 'k', superseded: null, next: () => sealed('x') })
        .catch(() => null)
      assert.equal(intent, null)
      await toState(ledger, next, 'promoted')
      const write = await ledger.secrets.beginWrite({ secretId: secret.id, idempotencyKey: 'k', superseded: null, next: () => sealed('x') })
      assert.equal(write.number, 11)
    },
  },
  {
    title: 'a process that died holds nothing: its leases are free at once, and abandoned',
    needs: 'restart',
    run: async subject => {
      const { rotation, lease } = await holding(subject.ledger)
      await toState(subject.ledger, lease, 'applied')
      assert(subject.restart !== undefined)
      const ledger = await subject.restart()
      const next = await claim(ledger, rotation)
      assert.equal(next.abandoned, true)
      assert.equal(next.rotation.state, 'applied')
      await refused('conflict', ledger.journal.record(lease, {}))
    },
  },
]
