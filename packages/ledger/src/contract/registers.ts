import assert from 'node:assert/strict'
import type { OperationId, RotationId, SecretId } from '@keyturn/core'
import { holding, hour, type LedgerCheck, minute, named, opening, refused, request, sealed, toState } from './subject.ts'

const mac = (text: string) => Buffer.from(text.padEnd(32, '.'))
const key = { principal: 'token:ci', route: 'POST /rotate', key: 'k1' }
const body = (text: string) => Buffer.from(`hash of ${text}`)

/** Operations, tokens, answers kept by idempotency key, sealed records, and the ledger itself. */
export const registerChecks: readonly LedgerCheck[] = [
  {
    title: 'an operation shows its items as they stand, in the order they came',
    run: async ({ ledger }) => {
      const id = await ledger.operations.create({ kind: 'rotate', principal: 'token:ci', reason: 'because' })
      assert.match(id, /^op_[0-9A-HJKMNP-TV-Z]{26}$/)
      const { secret, rotation, lease } = await holding(ledger, 'z', { op: id })
      const refusedSecret = await ledger.secrets.ensure(named('a'))
      await ledger.operations.add(id, { secretId: secret.id, rotation: rotation.id, error: null })
      const error = { code: 'conflict', message: 'another is open' } as const
      await ledger.operations.add(id, { secretId: refusedSecret.id, rotation: null, error })
      await toState(ledger, lease, 'preflight')
      const operation = await ledger.operations.byId(id)
      const { startedAt, items, ...facts } = operation ?? assert.fail('the operation is there')
      assert.deepEqual(facts, { id, kind: 'rotate', principal: 'token:ci', reason: 'because' })
      assert(startedAt <= (await ledger.now()))
      assert.deepEqual(
        items.map(item => ({ ...item, rotation: item.rotation?.state ?? null })),
        [
          { secretId: secret.id, name: 'z', rotation: 'preflight', error: null },
          { secretId: refusedSecret.id, name: 'a', rotation: null, error },
        ],
      )
      assert.equal(await ledger.operations.byId('op_NONE' as OperationId), null)
    },
  },
  {
    title: 'an operation takes items of what exists, and one a secret',
    run: async ({ ledger }) => {
      const id = await ledger.operations.create({ kind: 'rollback', principal: 'p', reason: '' })
      const { secret, rotation } = await opening(ledger)
      const item = { secretId: secret.id, rotation: null, error: null }
      await refused('not_found', ledger.operations.add('op_NONE' as OperationId, item))
      await refused('not_found', ledger.operations.add(id, { ...item, secretId: 'sec_NONE' as SecretId }))
      await refused('not_found', ledger.operations.add(id, { ...item, rotation: 'rot_NONE' as RotationId }))
      await ledger.operations.add(id, item)
      await ledger.operations.add(id, { ...item, rotation: rotation.id })
      assert.deepEqual(
        (await ledger.operations.byId(id))?.items.map(({ rotation: started }) => started?.id),
        [rotation.id],
      )
    },
  },
  {
    title: 'a token is found by its MAC, listed, and ended for good',
    run: async ({ ledger, advance }) => {
      const expiresAt = new Date((await ledger.now()).getTime() + hour)
      const made = await ledger.tokens.add({ id: 't1', name: 'ci', role: 'reader', mac: mac('one'), expiresAt })
      assert.deepEqual([made.id, made.name, made.role, made.expiresAt, made.revokedAt], ['t1', 'ci', 'reader', expiresAt, null])
      await advance(1_000)
      await ledger.tokens.add({ id: 't0', name: 'ops', role: 'admin', mac: mac('two'), expiresAt: null })
      assert.deepEqual(await ledger.tokens.byMac(mac('one')), made)
      assert.equal(await ledger.tokens.byMac(mac('none')), null)
      assert.deepEqual(
        (await ledger.tokens.list()).map(({ id }) => id),
        ['t1', 't0'],
      )
      const ended = await ledger.tokens.revoke('t1')
      assert(ended.revokedAt !== null)
      await advance(1_000)
      assert.deepEqual(await ledger.tokens.revoke('t1'), ended)
      assert.deepEqual(await ledger.tokens.byMac(mac('one')), ended)
      await refused('not_found', ledger.tokens.revoke('t9'))
    },
  },
  {
    title: 'two tokens share neither id nor MAC',
    run: async ({ ledger }) => {
      const token = { id: 't1', name: 'ci', role: 'reader', mac: mac('one'), expiresAt: null }
      await ledger.tokens.add(token)
      const revision = await ledger.tokens.revision()
      await refused('conflict', ledger.tokens.add({ ...token, mac: mac('two') }))
      await refused('conflict', ledger.tokens.add({ ...token, id: 't2' }))
      assert.equal((await ledger.tokens.list()).length, 1)
      assert.equal(await ledger.tokens.revision(), revision)
    },
  },
  {
    title: 'the revision grows with every token made or ended, and with nothing else',
    run: async ({ ledger }) => {
      const start = await ledger.tokens.revision()
      await ledger.tokens.add({ id: 't1', name: 'ci', role: 'r', mac: mac('one'), expiresAt: null })
      const added = await ledger.tokens.revision()
      await ledger.tokens.revoke('t1')
      const ended = await ledger.tokens.revision()
      await ledger.tokens.revoke('t1')
      await ledger.tokens.list()
      assert(start < added && added < ended)
      assert.equal(await ledger.tokens.revision(), ended)
    },
  },
  {
    title: 'a repeated request gets the first answer, for 24 hours',
    run: async ({ ledger, advance }) => {
      const answer = { status: 202, body: '{"op_id":"op_1"}' }
      assert.equal(await ledger.idempotency.begin({ ...key, bodyHash: body('x') }), null)
      await ledger.idempotency.end(key, answer)
      assert.deepEqual(await ledger.idempotency.begin({ ...key, bodyHash: body('x') }), answer)
      await advance(24 * hour - minute)
      assert.deepEqual(await ledger.idempotency.begin({ ...key, bodyHash: body('x') }), answer)
      await advance(minute)
      assert.equal(await ledger.idempotency.begin({ ...key, bodyHash: body('y') }), null)
    },
  },
  {
    title: 'a key with another body, or whose first request still runs, is refused',
    run: async ({ ledger }) => {
      await ledger.idempotency.begin({ ...key, bodyHash: body('x') })
      assert((await refused('conflict', ledger.idempotency.begin({ ...key, bodyHash: body('x') }))).retryAfterMs !== undefined)
      await refused('conflict', ledger.idempotency.begin({ ...key, bodyHash: body('y') }))
      await ledger.idempotency.end(key, { status: 200, body: '' })
      await refused('conflict', ledger.idempotency.begin({ ...key, bodyHash: body('y') }))
      assert.deepEqual(await ledger.idempotency.begin({ ...key, bodyHash: body('x') }), { status: 200, body: '' })
    },
  },
  {
    title: 'keys of other principals and routes are other keys',
    run: async ({ ledger }) => {
      await ledger.idempotency.begin({ ...key, bodyHash: body('x') })
      assert.equal(await ledger.idempotency.begin({ ...key, principal: 'token:other', bodyHash: body('y') }), null)
      assert.equal(await ledger.idempotency.begin({ ...key, route: 'PUT /x', bodyHash: body('y') }), null)
    },
  },
  {
    title: 'of many requests with one key at once, one runs',
    run: async ({ ledger }) => {
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => ledger.idempotency.begin({ ...key, bodyHash: body('x') })))
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
    },
  },
  {
    title: 'a request without an answer frees its key; a later end changes no answer',
    run: async ({ ledger }) => {
      await ledger.idempotency.begin({ ...key, bodyHash: body('x') })
      await ledger.idempotency.end(key, null)
      assert.equal(await ledger.idempotency.begin({ ...key, bodyHash: body('y') }), null)
      await ledger.idempotency.end(key, { status: 200, body: 'first' })
      await ledger.idempotency.end(key, { status: 500, body: 'second' })
      await ledger.idempotency.end(key, null)
      assert.deepEqual(await ledger.idempotency.begin({ ...key, bodyHash: body('y') }), { status: 200, body: 'first' })
    },
  },
  {
    title: 'a request that nobody can be running any more frees its key',
    run: async ({ ledger, advance }) => {
      await ledger.idempotency.begin({ ...key, bodyHash: body('x') })
      await advance(hour)
      assert.equal(await ledger.idempotency.begin({ ...key, bodyHash: body('x') }), null)
    },
  },
  {
    title: 'a request of a process that died frees its key at once, an answer it gave is kept',
    needs: 'restart',
    run: async subject => {
      await subject.ledger.idempotency.begin({ ...key, bodyHash: body('x') })
      const answered = { ...key, key: 'k2' }
      await subject.ledger.idempotency.begin({ ...answered, bodyHash: body('x') })
      await subject.ledger.idempotency.end(answered, { status: 201, body: 'made' })
      assert(subject.restart !== undefined)
      const ledger = await subject.restart()
      assert.equal(await ledger.idempotency.begin({ ...key, bodyHash: body('x') }), null)
      assert.deepEqual(await ledger.idempotency.begin({ ...answered, bodyHash: body('x') }), { status: 201, body: 'made' })
    },
  },
  {
    title: 'a sealed record is written only over what was read',
    run: async ({ ledger }) => {
      assert.equal(await ledger.sealed.get('root'), null)
      await refused('conflict', ledger.sealed.put('root', sealed('one'), sealed('none')))
      await ledger.sealed.put('root', sealed('one'), null)
      const one = await ledger.sealed.get('root')
      assert.deepEqual(one, sealed('one'))
      await refused('conflict', ledger.sealed.put('root', sealed('two'), null))
      await refused('conflict', ledger.sealed.put('root', sealed('two'), { ...sealed('one'), wrap: Buffer.from('other') }))
      await ledger.sealed.put('root', { ...sealed('one'), kekId: 'k2' }, one)
      assert.equal((await ledger.sealed.get('root'))?.kekId, 'k2')
      assert.equal(await ledger.sealed.get('other'), null)
    },
  },
  {
    title: 'of many that replace a sealed record at once, one does',
    run: async ({ ledger }) => {
      const tries = await Promise.allSettled(Array.from({ length: 6 }, (_, index) => ledger.sealed.put('root', sealed(`${index}`), null)))
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
    },
  },
  {
    title: 'the ledger has an id of its own, a clock that moves on, and says that it commits',
    run: async ({ ledger, advance }) => {
      assert.match(ledger.id, /^[0-9a-f-]{36}$/)
      const before = await ledger.now()
      await advance(minute)
      const passed = (await ledger.now()).getTime() - before.getTime()
      assert(passed >= minute && passed < hour)
      await ledger.check()
    },
  },
  {
    title: 'what died with a process is nothing that was acknowledged',
    needs: 'restart',
    run: async subject => {
      const { ledger } = subject
      const { secret, rotation, lease } = await holding(ledger)
      const held = await toState(ledger, lease, 'preflight', {
        versions: [{ number: 1, label: 'current', sealed: sealed('one'), sealedAs: 'previous' }],
      })
      const token = await ledger.tokens.add({ id: 't1', name: 'ci', role: 'r', mac: mac('one'), expiresAt: null })
      const versions = await ledger.journal.versions(secret.id)
      const revision = await ledger.tokens.revision()
      assert(subject.restart !== undefined)
      const next = await subject.restart()
      assert.equal(next.id, ledger.id)
      assert.deepEqual(await next.journal.rotation(rotation.id), held.rotation)
      assert.deepEqual(await next.journal.versions(secret.id), versions)
      assert.deepEqual(await next.tokens.list(), [token])
      assert.equal(await next.tokens.revision(), revision)
      await refused('conflict', next.journal.open(request(secret)))
    },
  },
  {
    title: 'nothing that is handed out or in reaches inside the ledger',
    run: async ({ ledger }) => {
      const value = sealed('one')
      const { secret, lease } = await holding(ledger)
      await ledger.journal.record(lease, { versions: [{ number: 1, sealed: value, sealedAs: 'pending' }] })
      value.payload.fill(0)
      const [row] = await ledger.journal.versions(secret.id)
      row?.sealed?.payload.fill(0)
      row?.createdAt.setTime(0)
      const [again] = await ledger.journal.versions(secret.id)
      assert.equal(Buffer.from(again?.sealed?.payload ?? []).toString(), 'payload of one')
      assert.notEqual(again?.createdAt.getTime(), 0)
    },
  },
]
