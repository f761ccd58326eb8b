import assert from 'node:assert/strict'
import type { EnvelopeRow, Envelopes, PassOutcome, Sealed } from '@keyturn/core'
import type { Ledger } from '../ledger.ts'
import { holding, hour, type LedgerCheck, named, promoting, refused, sealed, writing } from './subject.ts'

const rewrap = { id: 'op_1', kind: 'rewrap', kekId: 'k2' } as const
const bytes = (text: string) => Uint8Array.from(Buffer.from(text))

/** Six envelopes under `k1`: two of a rotation, two of a write, two records. */
async function filled(ledger: Ledger) {
  const { lease } = await holding(ledger, 'a')
  const promoted = await promoting(ledger, lease)
  const secret = await ledger.secrets.ensure(named('b'))
  const write = await writing(ledger, secret, 'w', 'v9')
  await ledger.sealed.put('root', sealed('root'), null)
  await ledger.sealed.put('floor/b', sealed('floor'), null)
  return { lease: promoted, secret, write }
}

/** What an act makes of a row: a wrap that names both. */
const wrapped = ({ slot, sealed: { kekId, payload } }: EnvelopeRow): Sealed => ({
  kekId: 'k2',
  payload,
  wrap: bytes(`${slot.secretId} ${slot.number} ${slot.kind} from ${kekId}`),
})

async function passThrough(envelopes: Envelopes, id: string, outcome: (row: EnvelopeRow) => PassOutcome, rows = 2): Promise<EnvelopeRow[]> {
  const seen: EnvelopeRow[] = []
  const act = async (page: readonly EnvelopeRow[]) => {
    assert(page.length > 0 && page.length <= rows)
    seen.push(...page)
    return page.map(outcome)
  }
  for (let steps = 0; (await envelopes.step(id, { rows, act })) !== 'over'; steps += 1) assert(steps < 50, 'a pass should end')
  return seen
}

const nameOf = ({ slot: { number, kind } }: EnvelopeRow): string => `${number} ${kind}`
const six = ['1 previous', '1 previous', '1 previous', '1 root', '2 pending', '2 pending']

async function needsOf(ledger: Ledger, id: string) {
  return (await ledger.envelopes.keks()).find(kek => kek.id === id)?.needs
}

/** Counts of envelopes per KEK, and the passes through all of them. */
export const envelopeChecks: readonly LedgerCheck[] = [
  {
    title: 'every envelope is counted under its KEK, by what it is, as long as it is there',
    run: async ({ ledger, advance }) => {
      assert.equal(ledger.envelopes.store, ledger.id)
      assert.deepEqual(await ledger.envelopes.keks(), [])
      const before = await ledger.now()
      const { write } = await filled(ledger)
      const [k1, ...others] = await ledger.envelopes.keks()
      assert.deepEqual(others, [])
      assert.deepEqual([k1?.id, k1?.needs], ['k1', { journal: 2, pending: 2, records: 2 }])
      assert(k1?.oldest != null && k1.oldest >= before && k1.oldest <= (await ledger.now()))
      await ledger.secrets.endWrite(write, null)
      const root = await ledger.sealed.get('root')
      await ledger.sealed.put('root', { ...sealed('root'), kekId: 'k2' }, root)
      assert.deepEqual(await needsOf(ledger, 'k1'), { journal: 2, pending: 1, records: 1 })
      assert.deepEqual(await needsOf(ledger, 'k2'), { records: 1 })
      assert.equal((await ledger.envelopes.keks())[1]?.oldest, null)
      await advance(hour)
      const later = await ledger.secrets.ensure(named('c'))
      await writing(ledger, later, 'w', null)
      assert.deepEqual((await ledger.envelopes.keks())[0]?.oldest, k1.oldest)
    },
  },
  {
    title: 'a pass that re-wraps changes every wrap once, no payload, and nothing that is under its KEK',
    run: async ({ ledger }) => {
      const { lease, write } = await filled(ledger)
      await ledger.sealed.put('floor/c', { ...sealed('there'), kekId: 'k2' }, null)
      await ledger.envelopes.begin(rewrap)
      assert.deepEqual(await ledger.envelopes.progress(rewrap.id), { total: 6, done: 0, skipped: 0, failed: 0, over: false })
      const seen = await passThrough(ledger.envelopes, rewrap.id, wrapped)
      assert.deepEqual(seen.map(nameOf).sort(), six)
      assert(seen.every(row => row.sealed.kekId === 'k1' && row.sealed.payload.length === 0))
      assert.deepEqual(await ledger.envelopes.progress(rewrap.id), { total: 6, done: 6, skipped: 0, failed: 0, over: true })
      assert.equal(await ledger.envelopes.step(rewrap.id, { rows: 9, act: () => assert.fail('nothing is left') }), 'over')
      assert.deepEqual(await needsOf(ledger, 'k1'), {})
      assert.deepEqual(await needsOf(ledger, 'k2'), { journal: 2, pending: 2, records: 3 })
      const [pending] = await ledger.journal.versions(lease.rotation.secretId)
      const { secretId } = lease.rotation
      assert.deepEqual(pending?.sealed, { ...sealed('two'), kekId: 'k2', wrap: bytes(`${secretId} 2 pending from k1`) })
      assert.deepEqual((await ledger.sealed.get('root'))?.wrap, bytes('root 1 root from k1'))
      assert.deepEqual((await ledger.sealed.get('floor/b'))?.wrap, bytes('floor/b 1 previous from k1'))
      assert.deepEqual(await ledger.sealed.get('floor/c'), { ...sealed('there'), kekId: 'k2' })
      const again = await writing(ledger, (await ledger.secrets.byName(named('b'))) ?? assert.fail(), 'w', 'v9')
      assert.deepEqual(again.next, { ...write.next, kekId: 'k2', wrap: bytes(`${write.secretId} ${write.number} pending from k1`) })
    },
  },
  {
    title: 'a pass that re-encrypts changes payloads too, a scrub looks at every envelope and changes none',
    run: async ({ ledger }) => {
      await filled(ledger)
      await ledger.envelopes.begin({ id: 'op_2', kind: 'scrub', kekId: null })
      const looked = await passThrough(ledger.envelopes, 'op_2', () => 'kept')
      assert.deepEqual(looked.map(nameOf).sort(), six)
      assert(looked.every(row => row.sealed.payload.length > 0))
      assert.deepEqual(await ledger.sealed.get('root'), sealed('root'))
      assert.deepEqual(await ledger.envelopes.progress('op_2'), { total: 6, done: 6, skipped: 0, failed: 0, over: true })
      await ledger.envelopes.begin({ id: 'op_3', kind: 'reencrypt', kekId: 'k1' })
      const seen = await passThrough(ledger.envelopes, 'op_3', row => ({ ...wrapped(row), kekId: 'k1', payload: bytes('new') }))
      assert.deepEqual(seen.map(nameOf).sort(), six)
      assert.deepEqual(await ledger.sealed.get('root'), { kekId: 'k1', payload: bytes('new'), wrap: bytes('root 1 root from k1') })
      assert.deepEqual(await needsOf(ledger, 'k1'), { journal: 2, pending: 2, records: 2 })
    },
  },
  {
    title: 'a row that changed between look and change is skipped, and counted',
    run: async ({ ledger }) => {
      await filled(ledger)
      await ledger.envelopes.begin(rewrap)
      const act = async (rows: readonly EnvelopeRow[]) => {
        if (rows.some(row => row.slot.kind === 'root')) await ledger.sealed.put('root', sealed('other'), sealed('root'))
        return rows.map(wrapped)
      }
      for (let steps = 0; (await ledger.envelopes.step(rewrap.id, { rows: 9, act })) !== 'over'; steps += 1) assert(steps < 50)
      assert.deepEqual(await ledger.envelopes.progress(rewrap.id), { total: 6, done: 5, skipped: 1, failed: 0, over: true })
      assert.deepEqual(await ledger.sealed.get('root'), sealed('other'))
      assert.deepEqual(await needsOf(ledger, 'k1'), { records: 1 })
    },
  },
  {
    title: 'a row that went away before a pass came to it counts as skipped',
    run: async ({ ledger }) => {
      const { write } = await filled(ledger)
      await ledger.envelopes.begin(rewrap)
      await ledger.secrets.endWrite(write, null)
      assert.equal((await passThrough(ledger.envelopes, rewrap.id, wrapped)).length, 5)
      assert.deepEqual(await ledger.envelopes.progress(rewrap.id), { total: 6, done: 5, skipped: 1, failed: 0, over: true })
    },
  },
  {
    title: 'a row that cannot be opened is counted and named, and stops nothing',
    run: async ({ ledger }) => {
      const { lease } = await filled(ledger)
      const { secretId } = lease.rotation
      await ledger.envelopes.begin(rewrap)
      const failure = { code: 'corrupt', message: 'its tag is wrong' } as const
      const isDamaged = ({ slot }: EnvelopeRow) => slot.kind === 'root' || (slot.secretId === secretId && slot.number === 2)
      await passThrough(ledger.envelopes, rewrap.id, row => (isDamaged(row) ? failure : wrapped(row)), 9)
      assert.deepEqual(await ledger.envelopes.progress(rewrap.id), { total: 6, done: 4, skipped: 0, failed: 2, over: true })
      const named = await ledger.envelopes.failures(rewrap.id, 9)
      assert.deepEqual(named, [
        { slot: { secretId, number: 2, kind: 'pending' }, kekId: 'k1', ...failure },
        { slot: { secretId: 'root', number: 1, kind: 'root' }, kekId: 'k1', ...failure },
      ])
      assert.deepEqual(await ledger.envelopes.failures(rewrap.id, 1), named.slice(0, 1))
      assert.deepEqual(await ledger.sealed.get('root'), sealed('root'))
    },
  },
  {
    title: 'a step that fails changes nothing, and the next one finds the same rows',
    run: async ({ ledger }) => {
      await filled(ledger)
      await ledger.envelopes.begin(rewrap)
      const met: string[][] = []
      const fail = async (rows: readonly EnvelopeRow[]): Promise<never> => {
        met.push(rows.map(nameOf))
        throw new Error('the KEK is gone')
      }
      await assert.rejects(ledger.envelopes.step(rewrap.id, { rows: 9, act: fail }), /the KEK is gone/)
      await assert.rejects(ledger.envelopes.step(rewrap.id, { rows: 9, act: fail }), /the KEK is gone/)
      assert.deepEqual(met[0], met[1])
      await refused('internal', ledger.envelopes.step(rewrap.id, { rows: 9, act: async () => [] }))
      assert.equal((await ledger.envelopes.progress(rewrap.id))?.done, 0)
      assert.equal((await passThrough(ledger.envelopes, rewrap.id, wrapped)).length, 6)
    },
  },
  {
    title: 'many that step one pass at once meet every row once',
    run: async ({ ledger }) => {
      await filled(ledger)
      await Promise.all(Array.from({ length: 4 }, () => ledger.envelopes.begin(rewrap)))
      const seen: string[] = []
      const act = async (rows: readonly EnvelopeRow[]) => {
        seen.push(...rows.map(nameOf))
        await new Promise(done => setImmediate(done))
        return rows.map(wrapped)
      }
      const lane = async (steps = 0): Promise<void> => {
        assert(steps < 1_000, 'a pass should end')
        const stepped = await ledger.envelopes.step(rewrap.id, { rows: 1, act })
        if (stepped === 'busy') await new Promise(done => setTimeout(done, 1))
        if (stepped !== 'over') await lane(steps + 1)
      }
      await Promise.all([lane(), lane(), lane()])
      assert.deepEqual(seen.sort(), six)
      assert.deepEqual(await ledger.envelopes.progress(rewrap.id), { total: 6, done: 6, skipped: 0, failed: 0, over: true })
    },
  },
  {
    title: 'a pass goes by its id: begun twice it is one, elsewhere it does not lead, forgotten it is gone',
    run: async ({ ledger }) => {
      await filled(ledger)
      assert.equal(await ledger.envelopes.progress(rewrap.id), null)
      await refused('not_found', ledger.envelopes.step(rewrap.id, { rows: 1, act: async () => [] }))
      await ledger.envelopes.begin(rewrap)
      await ledger.envelopes.step(rewrap.id, { rows: 1, act: async rows => rows.map(wrapped) })
      await ledger.envelopes.begin(rewrap)
      assert.equal((await ledger.envelopes.progress(rewrap.id))?.done, 1)
      await refused('conflict', ledger.envelopes.begin({ ...rewrap, kekId: 'k3' }))
      await ledger.envelopes.forget(rewrap.id)
      assert.equal(await ledger.envelopes.progress(rewrap.id), null)
      await ledger.envelopes.begin(rewrap)
      assert.deepEqual(await ledger.envelopes.progress(rewrap.id), { total: 5, done: 0, skipped: 0, failed: 0, over: false })
    },
  },
  {
    title: 'a KEK is retired when nothing needs it, and nothing is closed with it from then on',
    run: async ({ ledger }) => {
      const { lease, secret } = await filled(ledger)
      const error = await refused('conflict', ledger.envelopes.retire('k1'))
      assert.deepEqual(error.detail?.needs, { journal: 2, pending: 2, records: 2 })
      await ledger.envelopes.begin(rewrap)
      await passThrough(ledger.envelopes, rewrap.id, wrapped)
      await ledger.envelopes.retire('k1')
      await ledger.envelopes.retire('k1')
      const root = await ledger.sealed.get('root')
      await refused('precondition_failed', ledger.sealed.put('root', sealed('again'), root))
      await refused('precondition_failed', ledger.sealed.put('new', sealed('again'), null))
      const version = { number: 9, sealed: sealed('again'), sealedAs: 'pending' } as const
      await refused('precondition_failed', ledger.journal.record(lease, { versions: [version] }))
      const another = await ledger.secrets.ensure(named('c'))
      await refused('precondition_failed', writing(ledger, another, 'w', null))
      assert.deepEqual(await ledger.sealed.get('root'), root)
      assert.deepEqual(await needsOf(ledger, 'k1'), {})
      assert.equal((await ledger.journal.versions(secret.id)).length, 1)
    },
  },
]
