import assert from 'node:assert/strict'
import type { SecretId } from '@keyturn/core'
import { claim, holding, hour, type LedgerCheck, minute, named, opening, refused, request, toState } from './subject.ts'

/** Secrets and their schedule. */
export const secretChecks: readonly LedgerCheck[] = [
  {
    title: 'a secret is made once and keeps its id and facts',
    run: async ({ ledger }) => {
      const made = await ledger.secrets.ensure(named('payments/stripe'), { type: 'api-key', labels: { tier: 'gold' } })
      assert.match(made.id, /^sec_[0-9A-HJKMNP-TV-Z]{26}$/)
      assert.deepEqual(
        { ...made },
        { id: made.id, name: 'payments/stripe', type: 'api-key', labels: { tier: 'gold' }, nextRotationAt: null, rotation: null },
      )
      assert.deepEqual(await ledger.secrets.ensure(named('payments/stripe'), { type: 'jwt', labels: {} }), made)
      assert.deepEqual(await ledger.secrets.byName(named('payments/stripe')), made)
      assert.deepEqual(await ledger.secrets.byId(made.id), made)
      assert.equal(await ledger.secrets.byName(named('payments')), null)
      assert.equal(await ledger.secrets.byId('sec_NONE' as SecretId), null)
    },
  },
  {
    title: 'of many that make one secret at once, all get the same',
    run: async ({ ledger }) => {
      const rows = await Promise.all(Array.from({ length: 8 }, () => ledger.secrets.ensure(named('a/secret'))))
      assert.equal(new Set(rows.map(({ id }) => id)).size, 1)
    },
  },
  {
    title: 'what a PUT says of a secret is set, what it leaves out stays',
    run: async ({ ledger }) => {
      const { id } = await ledger.secrets.ensure(named('a'), { type: 'jwt', labels: { a: '1' } })
      await ledger.secrets.describe(id, { labels: { b: '2' } })
      assert.deepEqual([(await ledger.secrets.byId(id))?.type, (await ledger.secrets.byId(id))?.labels], ['jwt', { b: '2' }])
      await ledger.secrets.describe(id, { type: 'tls' })
      await ledger.secrets.describe(id, {})
      assert.deepEqual([(await ledger.secrets.byId(id))?.type, (await ledger.secrets.byId(id))?.labels], ['tls', { b: '2' }])
      await refused('not_found', ledger.secrets.describe('sec_NONE' as SecretId, { type: 'tls' }))
      await refused('not_found', ledger.secrets.schedule('sec_NONE' as SecretId, null))
    },
  },
  {
    title: 'what another one has scheduled since is not undone, and not rotated for the time before',
    run: async ({ ledger, advance }) => {
      const now = (await ledger.now()).getTime()
      const [due, later] = [new Date(now + minute), new Date(now + hour)]
      const { id } = await ledger.secrets.ensure(named('a'))
      const next = async () => (await ledger.secrets.byId(id))?.nextRotationAt
      await ledger.secrets.schedule(id, due, null)
      assert.deepEqual(await next(), due)
      await ledger.secrets.schedule(id, later, null)
      await ledger.secrets.schedule(id, null, later)
      assert.deepEqual(await next(), due)
      await advance(2 * minute)
      await ledger.secrets.schedule(id, later, due)
      await refused('conflict', opening(ledger, 'a', { trigger: 'schedule', dueAt: due }))
      assert.equal((await ledger.secrets.byId(id))?.rotation, null)
      await opening(ledger, 'a', { trigger: 'schedule', dueAt: later })
      await refused('not_found', ledger.secrets.schedule('sec_NONE' as SecretId, null, due))
    },
  },
  {
    title: 'due are the secrets whose time has come and that nothing rotates, longest due first',
    run: async ({ ledger, advance }) => {
      const now = (await ledger.now()).getTime()
      const at = async (name: string, ms: number | null) => {
        const { id } = await ledger.secrets.ensure(named(name))
        await ledger.secrets.schedule(id, ms === null ? null : new Date(now + ms))
      }
      await at('b', 2 * minute)
      await at('a', 3 * minute)
      await at('later', 2 * hour)
      await at('never', null)
      await at('busy', minute)
      const { lease } = await holding(ledger, 'busy')
      assert.deepEqual(await ledger.secrets.due(10), [])
      await advance(hour)
      assert.deepEqual(
        (await ledger.secrets.due(10)).map(({ name }) => name),
        ['b', 'a'],
      )
      assert.deepEqual(
        (await ledger.secrets.due(1)).map(({ name }) => name),
        ['b'],
      )
      const again = await claim(ledger, lease.rotation)
      await toState(ledger, again, 'aborted')
      assert.deepEqual(
        (await ledger.secrets.due(10)).map(({ name }) => name),
        ['busy', 'b', 'a'],
      )
    },
  },
  {
    title: 'pages follow the bytes of names, and can show what is open alone',
    run: async ({ ledger }) => {
      const names = ['a', 'a-b', 'a/b', 'B', 'ab', 'Ä', '￿', '🔑']
      for (const name of names) await ledger.secrets.ensure(named(name))
      const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const seen: string[] = []
      for (let after = null as ReturnType<typeof named> | null; ; ) {
        const page = await ledger.secrets.page({ after, limit: 3 })
        seen.push(...page.map(({ name }) => name))
        after = page.at(-1)?.name ?? null
        if (page.length < 3) break
      }
      assert.deepEqual(seen, sorted)
      const { rotation } = await opening(ledger, 'ab')
      const { lease } = await holding(ledger, 'B')
      await toState(ledger, lease, 'done')
      assert.deepEqual(
        (await ledger.secrets.page({ after: null, limit: 9, open: true })).map(row => [row.name, row.rotation?.id]),
        [['ab', rotation.id]],
      )
      assert.equal((await ledger.secrets.page({ after: null, limit: 9, open: false })).length, names.length - 1)
    },
  },
  {
    title: 'a secret shows its open rotation, else the last one',
    run: async ({ ledger, advance }) => {
      const { secret, lease } = await holding(ledger)
      await toState(ledger, lease, 'done')
      assert.equal((await ledger.secrets.byId(secret.id))?.rotation?.state, 'done')
      await advance(1_000)
      const next = await ledger.journal.open(request(secret))
      assert.deepEqual((await ledger.secrets.byName(secret.name))?.rotation, next)
    },
  },
  {
    title: 'the next deadline is the earliest wake or due time; a rotation that is held counts from the end of its lease',
    run: async ({ ledger }) => {
      assert.equal(await ledger.nextDeadline(), null)
      const now = (await ledger.now()).getTime()
      const { id } = await ledger.secrets.ensure(named('scheduled'))
      await ledger.secrets.schedule(id, new Date(now + hour))
      assert.deepEqual(await ledger.nextDeadline(), new Date(now + hour))
      const { rotation } = await opening(ledger)
      assert.deepEqual(await ledger.nextDeadline(), rotation.wakeAt)
      const lease = await claim(ledger, rotation)
      assert.deepEqual(await ledger.nextDeadline(), lease.until)
      await ledger.journal.record(lease, { rotation: { wakeAt: new Date(now + 2 * hour) }, nextRotationAt: new Date(now), release: true })
      assert.deepEqual(await ledger.nextDeadline(), new Date(now + hour))
    },
  },
]
