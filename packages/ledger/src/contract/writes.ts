import assert from 'node:assert/strict'
import {
  claim,
  holding,
  hour,
  type LedgerCheck,
  minute,
  named,
  opened,
  promoting,
  refused,
  request,
  sealed,
  toState,
  versionId,
  writing,
} from './subject.ts'

/** Writes through the broker, and how long what they supersede is kept. */
export const writeChecks: readonly LedgerCheck[] = [
  {
    title: 'a write keeps the superseded value before it reaches the store, and moves current when it has',
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const intent = await writing(ledger, secret, 'w1', 'v1')
      assert.deepEqual([intent.number, intent.superseded, opened(intent.next)], [2, { version: 'v1', number: 1 }, 'w1 as 2'])
      const [kept] = await ledger.journal.versions(secret.id)
      assert.deepEqual(
        [kept?.number, kept?.version, kept?.label, opened(kept?.sealed), kept?.sealedAs],
        [1, 'v1', 'current', 'v1 as 1', 'previous'],
      )
      const now = await ledger.now()
      const [graceUntil, nextRotationAt] = [new Date(now.getTime() + hour), new Date(now.getTime() + 2 * hour)]
      await ledger.secrets.endWrite(intent, { version: versionId('v2'), graceUntil, nextRotationAt })
      const [two, one] = await ledger.journal.versions(secret.id)
      assert.deepEqual([two?.number, two?.version, two?.label, two?.sealed], [2, 'v2', 'current', null])
      assert.deepEqual([one?.label, one?.graceUntil, opened(one?.sealed)], ['previous', graceUntil, 'v1 as 1'])
      assert(one?.supersededAt !== null)
      assert.deepEqual((await ledger.secrets.byId(secret.id))?.nextRotationAt, nextRotationAt)
    },
  },
  {
    title: "a write finds the superseded version by the store's id and shares the numbers of rotations",
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger)
      await promoting(ledger, lease)
      const intent = await writing(ledger, secret, 'w1', 'v2')
      assert.deepEqual([intent.number, intent.superseded?.number], [3, 2])
      await ledger.secrets.endWrite(intent, { version: versionId('v3'), graceUntil: null, nextRotationAt: null })
      const rows = await ledger.journal.versions(secret.id)
      assert.deepEqual(
        rows.map(row => [row.number, row.version, row.label]),
        [
          [3, 'v3', 'current'],
          [2, 'v2', null],
          [1, 'v1', 'previous'],
        ],
      )
      assert(rows[1]?.supersededAt !== null)
    },
  },
  {
    title: 'the first write of a secret supersedes nothing',
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const intent = await writing(ledger, secret, 'w1', null)
      assert.deepEqual([intent.number, intent.superseded], [1, null])
      assert.deepEqual(await ledger.journal.versions(secret.id), [])
      await ledger.secrets.endWrite(intent, { version: versionId('v1'), graceUntil: null, nextRotationAt: null })
      assert.deepEqual(
        (await ledger.journal.versions(secret.id)).map(row => [row.number, row.version, row.label]),
        [[1, 'v1', 'current']],
      )
    },
  },
  {
    title: 'a write that did not happen changes no label',
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const intent = await writing(ledger, secret, 'w1', 'v1')
      await ledger.secrets.endWrite(intent, null)
      assert.deepEqual(
        (await ledger.journal.versions(secret.id)).map(row => [row.number, row.label]),
        [[1, 'current']],
      )
      assert.equal((await writing(ledger, secret, 'w2', 'v1')).superseded?.number, 1)
    },
  },
  {
    title: "what was written behind the broker's back is superseded without a promise",
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const first = await writing(ledger, secret, 'w1', null)
      const until = new Date((await ledger.now()).getTime() + hour)
      await ledger.secrets.endWrite(first, { version: versionId('v1'), graceUntil: until, nextRotationAt: null })
      const second = await writing(ledger, secret, 'w2', 'foreign')
      assert.equal(second.superseded?.number, 2)
      await ledger.secrets.endWrite(second, { version: versionId('v3'), graceUntil: until, nextRotationAt: null })
      assert.deepEqual(
        (await ledger.journal.versions(secret.id)).map(row => [row.version, row.label, row.graceUntil]),
        [
          ['v3', 'current', null],
          ['foreign', 'previous', until],
          ['v1', null, null],
        ],
      )
    },
  },
  {
    title: 'a write of the same content to a store whose ids are made of content supersedes nothing',
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const first = await writing(ledger, secret, 'w1', null)
      const made = { version: versionId('same'), graceUntil: null, nextRotationAt: null }
      await ledger.secrets.endWrite(first, made)
      await ledger.secrets.endWrite(await writing(ledger, secret, 'w2', 'same'), { ...made, graceUntil: new Date(await ledger.now()) })
      assert.deepEqual(
        (await ledger.journal.versions(secret.id)).map(row => [row.number, row.label, row.graceUntil]),
        [[1, 'current', null]],
      )
    },
  },
  {
    title: 'an id that comes back is another version than the one that was revoked',
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger)
      await toState(ledger, lease, 'done', { versions: [{ number: 1, version: versionId('A'), fate: 'revoked' }] })
      const intent = await writing(ledger, secret, 'w1', 'A')
      assert.deepEqual([intent.superseded?.number, intent.number], [2, 3])
    },
  },
  {
    title: 'a write of a key set moves the primary',
    run: async ({ ledger }) => {
      const { secret, lease } = await holding(ledger, 'a/secret', { strategy: 'key-set' })
      await toState(ledger, lease, 'done', { versions: [{ number: 1, version: versionId('v1'), label: 'current', status: 'primary' }] })
      const graceUntil = new Date((await ledger.now()).getTime() + hour)
      await ledger.secrets.endWrite(await writing(ledger, secret, 'w1', 'v1'), {
        version: versionId('v2'),
        graceUntil,
        nextRotationAt: null,
      })
      assert.deepEqual(
        (await ledger.journal.versions(secret.id)).map(row => [row.status, row.label]),
        [
          ['primary', 'current'],
          ['active', 'previous'],
        ],
      )
    },
  },
  {
    title: 'no write while a rotation is before its promotion, and one again after it',
    run: async ({ ledger }) => {
      const op = await ledger.operations.create({ kind: 'rotate', principal: 'p', reason: '' })
      const { secret, rotation, lease } = await holding(ledger, 'a/secret', { op })
      const error = await refused('conflict', writing(ledger, secret, 'w1', 'v1'))
      assert.deepEqual([error.detail?.op, error.detail?.rotation], [op, rotation.id])
      await promoting(ledger, lease)
      await writing(ledger, secret, 'w1', 'v2')
    },
  },
  {
    title: 'one unfinished write a secret keeps other writes and rotations away, but a compromise',
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const intent = await writing(ledger, secret, 'w1', 'v1')
      assert.deepEqual(await writing(ledger, secret, 'w1', 'v1'), intent)
      const error = await refused('conflict', writing(ledger, secret, 'w2', 'v1'))
      assert(error.retryAfterMs !== undefined)
      await refused('conflict', ledger.journal.open(request(secret)))
      await ledger.journal.open(request(secret, { mode: 'compromise' }))
      await ledger.secrets.endWrite(intent, null)
    },
  },
  {
    title: 'a backup is forgotten when its time is over, and nothing that somebody may still need',
    run: async ({ ledger, advance }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const write = async (key: string, before: string, made: string, graceUntil: Date | null) =>
        ledger.secrets.endWrite(await writing(ledger, secret, key, before), { version: versionId(made), graceUntil, nextRotationAt: null })
      const kept = async () => (await ledger.journal.versions(secret.id)).filter(row => row.sealed !== null).map(row => row.version)
      const now = await ledger.now()
      await write('w1', 'v1', 'v2', new Date(now.getTime() + minute))
      await write('w2', 'v2', 'v3', new Date(now.getTime() + 3 * hour))
      assert.deepEqual(await kept(), ['v2', 'v1'])
      assert.equal(await ledger.secrets.forget(await ledger.now()), 0)
      await advance(hour)
      const rotation = await ledger.journal.open(request(secret))
      assert.equal(await ledger.secrets.forget(await ledger.now()), 0)
      const lease = await claim(ledger, rotation)
      await ledger.journal.record(lease, { rotation: { state: 'aborted', finishedAt: await ledger.now(), wakeAt: null } })
      assert.equal(await ledger.secrets.forget(await ledger.now()), 1)
      assert.deepEqual(await kept(), ['v2'])
      assert.equal(await ledger.secrets.forget(await ledger.now()), 0)
    },
  },
  {
    title: 'a revoked version keeps its backup for as long as was asked, an encryption key and a quarantined value for ever',
    run: async ({ ledger, advance }) => {
      const { lease } = await holding(ledger)
      const at = await ledger.now()
      const before = { sealed: sealed('kept'), sealedAs: 'previous' as const }
      await ledger.journal.record(lease, {
        versions: [
          { number: 11, fate: 'revoked', revokedAt: at, ...before },
          { number: 12, status: 'decrypt-only', label: 'previous', graceUntil: at, ...before },
          { number: 13, fate: 'quarantined', ...before },
        ],
        rotation: { state: 'done', finishedAt: at, wakeAt: null },
      })
      await advance(hour)
      assert.equal(await ledger.secrets.forget(at), 0)
      assert.equal(await ledger.secrets.forget(await ledger.now()), 1)
      const rows = await ledger.journal.versions(lease.rotation.secretId)
      assert.deepEqual(
        rows.filter(row => row.sealed !== null).map(row => row.number),
        [13, 12],
      )
    },
  },
  {
    title: 'a write is ended once; to end it again in the same way is no fault, in another way is',
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const intent = await writing(ledger, secret, 'w1', 'v1')
      const made = { version: versionId('v2'), graceUntil: null, nextRotationAt: null }
      await ledger.secrets.endWrite(intent, made)
      const rows = await ledger.journal.versions(secret.id)
      await ledger.secrets.endWrite(intent, made)
      await refused('conflict', ledger.secrets.endWrite(intent, null))
      await refused('conflict', ledger.secrets.endWrite(intent, { ...made, version: versionId('v3') }))
      assert.deepEqual(await ledger.journal.versions(secret.id), rows)
    },
  },
  {
    title: 'a write whose value cannot be sealed was never begun',
    run: async ({ ledger }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const failing = () => {
        throw new Error('no key')
      }
      const write = { secretId: secret.id, idempotencyKey: 'w1', superseded: { version: versionId('v1'), seal: failing }, next: failing }
      await assert.rejects(ledger.secrets.beginWrite(write), /no key/)
      assert.deepEqual(await ledger.journal.versions(secret.id), [])
      await writing(ledger, secret, 'w2', 'v1')
    },
  },
  {
    title: 'a write is unfinished when nobody can be at it any more',
    run: async ({ ledger, advance }) => {
      const secret = await ledger.secrets.ensure(named('a'))
      const intent = await writing(ledger, secret, 'w1', 'v1')
      assert.deepEqual(await ledger.secrets.unfinishedWrites(), [])
      await advance(hour)
      assert.deepEqual(await ledger.secrets.unfinishedWrites(), [intent])
      await ledger.secrets.endWrite(intent, null)
      assert.deepEqual(await ledger.secrets.unfinishedWrites(), [])
    },
  },
  {
    title: 'a write that a dead process began is unfinished at once',
    needs: 'restart',
    run: async subject => {
      const secret = await subject.ledger.secrets.ensure(named('a'))
      const intent = await writing(subject.ledger, secret, 'w1', 'v1')
      assert(subject.restart !== undefined)
      const ledger = await subject.restart()
      assert.deepEqual(await ledger.secrets.unfinishedWrites(), [intent])
    },
  },
]
