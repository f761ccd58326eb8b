import assert from 'node:assert/strict'
import type { Instance, KekRecord, Ledger, MetKek, WrappedKek } from '../ledger.ts'
import { holding, type LedgerCheck, minute, refused, sealed } from './subject.ts'

const print = (text: string): string => `fingerprint of ${text}`
const kek = (id: string, more: Partial<MetKek> = {}): MetKek => ({ id, fingerprint: print(id), ...more })
const wrapped = (text: string): WrappedKek => ({ provider: 'vault-transit', key: 'keyturn:1', bytes: Uint8Array.from(Buffer.from(text)) })
const always = () => true

async function found(ledger: Ledger, id: string): Promise<KekRecord> {
  return (await ledger.keks.all()).find(record => record.id === id) ?? assert.fail(`no KEK ${id}`)
}

async function states(ledger: Ledger): Promise<Readonly<Record<string, string>>> {
  return Object.fromEntries((await ledger.keks.all()).map(({ id, state }) => [id, state]))
}

/** `k1` deactivated, `k2` active. */
async function twoKeks(ledger: Ledger): Promise<void> {
  await ledger.keks.meet([kek('k1'), kek('k2')])
  assert(await ledger.keks.promote('k1', { from: null, allows: always }))
  assert(await ledger.keks.promote('k2', { from: 'k1', allows: always }))
}

/** The lives of KEKs. */
export const kekChecks: readonly LedgerCheck[] = [
  {
    title: 'a KEK that is met is pre-active, with its fingerprint, and stays what it is when it is met again',
    run: async ({ ledger, advance }) => {
      assert.deepEqual(await ledger.keks.all(), [])
      await ledger.keks.meet([kek('k1')])
      const metAt = (await found(ledger, 'k1')).metAt
      assert(metAt <= (await ledger.now()))
      await advance(minute)
      await ledger.keks.meet([kek('k0'), kek('k1')])
      const fresh = { state: 'pre-active', currentSince: null, wrapped: null } as const
      const second = await found(ledger, 'k0')
      assert.deepEqual(await ledger.keks.all(), [
        { ...fresh, ...kek('k1'), metAt, stateAt: metAt, changes: [{ state: 'pre-active', at: metAt }] },
        { ...fresh, ...kek('k0'), metAt: second.metAt, stateAt: second.metAt, changes: [{ state: 'pre-active', at: second.metAt }] },
      ])
      assert(second.metAt > metAt)
    },
  },
  {
    title: 'another key under a known id, or a known key under another id, is refused, and nothing of that call is noted',
    run: async ({ ledger }) => {
      await ledger.keks.meet([kek('k1')])
      await refused('precondition_failed', ledger.keks.meet([kek('k2'), kek('k1', { fingerprint: print('another') })]))
      await refused('precondition_failed', ledger.keks.meet([kek('k2'), kek('k3', { fingerprint: print('k1') })]))
      await refused('precondition_failed', ledger.keks.meet([kek('k2'), kek('k3', { fingerprint: print('k2') })]))
      assert.deepEqual(await states(ledger), { k1: 'pre-active' })
    },
  },
  {
    title: 'a KEK keeps the form in which its provider closed it, until it is destroyed',
    run: async ({ ledger }) => {
      const [one, two] = [wrapped('one'), wrapped('two')]
      await ledger.keks.meet([kek('k1', { wrapped: one })])
      await ledger.keks.meet([kek('k1')])
      assert.deepEqual((await found(ledger, 'k1')).wrapped, wrapped('one'))
      one.bytes.fill(0)
      ;(await found(ledger, 'k1')).wrapped?.bytes.fill(0)
      assert.deepEqual((await found(ledger, 'k1')).wrapped, wrapped('one'))
      await ledger.keks.meet([kek('k1', { wrapped: two })])
      assert.deepEqual((await found(ledger, 'k1')).wrapped, two)
      await ledger.keks.move('k1', 'retired')
      assert.deepEqual((await found(ledger, 'k1')).wrapped, two)
      await ledger.keks.move('k1', 'destroyed')
      assert.equal((await found(ledger, 'k1')).wrapped, null)
    },
  },
  {
    title: 'reserved wraps add up, whoever reserves, for KEKs that were met and are not ruled out',
    run: async ({ ledger }) => {
      await refused('not_found', ledger.keks.reserve('k1', 1))
      await twoKeks(ledger)
      await ledger.keks.meet([kek('k3')])
      assert.equal(await ledger.keks.reserve('k2', 5), 5)
      const sums = await Promise.all([1, 2, 3, 4].map(() => ledger.keks.reserve('k2', 10)))
      assert.deepEqual(
        [...sums].sort((a, b) => a - b),
        [15, 25, 35, 45],
      )
      // the record that a promotion closes first, and what a broker closes that has not heard of one
      assert.equal(await ledger.keks.reserve('k3', 1), 1)
      assert.equal(await ledger.keks.reserve('k1', 7), 7)
      await ledger.keks.meet([kek('k2'), kek('k1')])
      assert.equal(await ledger.keks.reserve('k1', 1), 8)
      await ledger.keks.move('k1', 'compromised')
      await refused('conflict', ledger.keks.reserve('k1', 1))
      await ledger.keks.move('k3', 'retired')
      await refused('conflict', ledger.keks.reserve('k3', 1))
    },
  },
  {
    title: 'one KEK is active: a promotion takes the former one down, and only the one that its caller knew',
    run: async ({ ledger, advance }) => {
      await ledger.keks.meet([kek('k1'), kek('k2'), kek('k3')])
      await refused('not_found', ledger.keks.promote('k9', { from: null, allows: always }))
      assert.equal(await ledger.keks.promote('k1', { from: 'k2', allows: always }), false)
      assert.equal(await ledger.keks.promote('k1', { from: null, allows: always }), true)
      assert.equal(await ledger.keks.promote('k1', { from: 'k1', allows: always }), false)
      await advance(minute)
      assert.equal(await ledger.keks.promote('k2', { from: null, allows: always }), false)
      assert.equal(await ledger.keks.promote('k2', { from: 'k3', allows: always }), false)
      assert.deepEqual(await states(ledger), { k1: 'active', k2: 'pre-active', k3: 'pre-active' })
      assert.equal(await ledger.keks.promote('k2', { from: 'k1', allows: always }), true)
      assert.deepEqual(await states(ledger), { k1: 'deactivated', k2: 'active', k3: 'pre-active' })
    },
  },
  {
    title: 'a promotion asks what the live instances say, and does nothing against it',
    run: async ({ ledger, advance }) => {
      await ledger.keks.meet([kek('k1')])
      const told = { wanted: 'k1', using: 'k1', version: '1.0.0', loaded: ['k1'] }
      await ledger.instances.beat({ id: 'gone', ...told })
      await advance(minute)
      await ledger.instances.beat({ id: 'left', ...told })
      await ledger.instances.signOff('left')
      await ledger.instances.beat({ id: 'here', ...told, loaded: ['k1', 'k2'] })
      const asked: (readonly Instance[])[] = []
      const allows = (answer: boolean) => (live: readonly Instance[]) => {
        asked.push(live)
        return answer
      }
      assert.equal(await ledger.keks.promote('k1', { from: null, allows: allows(false) }), false)
      assert.deepEqual(await states(ledger), { k1: 'pre-active' })
      assert.equal(await ledger.keks.promote('k1', { from: null, allows: allows(true) }), true)
      assert.deepEqual(
        asked.map(live => live.map(({ id, loaded }) => [id, loaded])),
        [[['here', ['k1', 'k2']]], [['here', ['k1', 'k2']]]],
      )
    },
  },
  {
    title: 'of many promotions at once one happens',
    run: async ({ ledger }) => {
      const ids = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6']
      await ledger.keks.meet(ids.map(id => kek(id)))
      const done = await Promise.all(ids.map(id => ledger.keks.promote(id, { from: null, allows: always })))
      assert.equal(done.filter(Boolean).length, 1)
      const active = (await ledger.keks.all()).filter(({ state }) => state === 'active')
      assert.deepEqual(
        active.map(({ id }) => id),
        ids.filter((_, index) => done[index]),
      )
    },
  },
  {
    title: 'an earlier KEK may come back, as old as it was; a compromised, retired or destroyed one never',
    run: async ({ ledger, advance }) => {
      await twoKeks(ledger)
      const { currentSince } = await found(ledger, 'k1')
      assert(currentSince !== null)
      await advance(minute)
      assert(await ledger.keks.promote('k1', { from: 'k2', allows: always }))
      assert.deepEqual((await found(ledger, 'k1')).currentSince, currentSince)
      assert.deepEqual(await states(ledger), { k1: 'active', k2: 'deactivated' })
      await ledger.keks.move('k2', 'compromised')
      await refused('conflict', ledger.keks.promote('k2', { from: 'k1', allows: always }))
      await ledger.keks.move('k2', 'destroyed')
      await refused('conflict', ledger.keks.promote('k2', { from: 'k1', allows: always }))
      await ledger.keks.meet([kek('k3')])
      await ledger.keks.move('k3', 'retired')
      await refused('conflict', ledger.keks.promote('k3', { from: 'k1', allows: always }))
      assert.deepEqual(await states(ledger), { k1: 'active', k2: 'destroyed', k3: 'retired' })
    },
  },
  {
    title: 'every change of a KEK has its time, and twice is once',
    run: async ({ ledger, advance }) => {
      await twoKeks(ledger)
      for (const to of ['compromised', 'destroyed'] as const) {
        await advance(minute)
        await ledger.keks.move('k1', to)
        const { changes } = await found(ledger, 'k1')
        await advance(minute)
        await ledger.keks.move('k1', to)
        assert.deepEqual((await found(ledger, 'k1')).changes, changes)
      }
      const { metAt, currentSince, stateAt, changes } = await found(ledger, 'k1')
      const [first, active, , , last] = changes
      assert.deepEqual(
        changes.map(({ state }) => state),
        ['pre-active', 'active', 'deactivated', 'compromised', 'destroyed'],
      )
      assert.deepEqual([first?.at, active?.at, last?.at], [metAt, currentSince, stateAt])
      assert(stateAt > metAt && stateAt < (await ledger.now()))
    },
  },
  {
    title: 'a KEK moves on as its life allows, and no other way',
    run: async ({ ledger }) => {
      await refused('not_found', ledger.keks.move('k1', 'retired'))
      await twoKeks(ledger)
      await ledger.keks.meet([kek('k3')])
      for (const to of ['compromised', 'retired', 'destroyed'] as const) await refused('conflict', ledger.keks.move('k2', to))
      await refused('conflict', ledger.keks.move('k3', 'compromised'))
      await ledger.keks.move('k3', 'retired')
      await refused('conflict', ledger.keks.move('k3', 'compromised'))
      await ledger.keks.move('k1', 'compromised')
      await refused('conflict', ledger.keks.move('k1', 'retired'))
      await ledger.keks.move('k1', 'destroyed')
      for (const to of ['compromised', 'retired'] as const) await refused('conflict', ledger.keks.move('k1', to))
      assert.deepEqual(await states(ledger), { k1: 'destroyed', k2: 'active', k3: 'retired' })
    },
  },
  {
    title: 'whatever closes nothing may be destroyed at once, and closes nothing from then on',
    run: async ({ ledger }) => {
      await twoKeks(ledger)
      await ledger.keks.meet([kek('k3')])
      for (const id of ['k1', 'k3']) {
        await ledger.keks.move(id, 'destroyed')
        await refused('conflict', ledger.keks.reserve(id, 1))
        await refused('conflict', ledger.keks.promote(id, { from: 'k2', allows: always }))
      }
      assert.deepEqual(await states(ledger), { k1: 'destroyed', k2: 'active', k3: 'destroyed' })
    },
  },
  {
    title: 'a retired KEK may still be held; a destroyed one is refused for ever, under any id',
    run: async ({ ledger }) => {
      await twoKeks(ledger)
      await ledger.keks.move('k1', 'retired')
      const before = await found(ledger, 'k1')
      await ledger.keks.meet([kek('k2'), kek('k1', { wrapped: wrapped('again') })])
      assert.deepEqual(await found(ledger, 'k1'), before)
      await ledger.keks.move('k1', 'destroyed')
      await refused('precondition_failed', ledger.keks.meet([kek('k2'), kek('k1')]))
      await refused('precondition_failed', ledger.keks.meet([kek('k9', { fingerprint: print('k1') })]))
      assert.deepEqual(await states(ledger), { k1: 'destroyed', k2: 'active' })
    },
  },
  {
    title: 'a KEK that a sealed value of the ledger needs is not retired, but may be lost on purpose',
    run: async ({ ledger }) => {
      await ledger.keks.meet([kek('k1')])
      await ledger.keks.promote('k1', { from: null, allows: always })
      await ledger.sealed.put('root', sealed('one'), null)
      const { lease } = await holding(ledger)
      await ledger.journal.record(lease, { versions: [{ number: 1, sealed: sealed('two'), sealedAs: 'pending' }] })
      await ledger.keks.meet([kek('k2')])
      await ledger.keks.promote('k2', { from: 'k1', allows: always })
      const error = await refused('conflict', ledger.keks.move('k1', 'retired'))
      assert.deepEqual(error.detail, { kekId: 'k1', needs: { pending: 1, records: 1 } })
      assert.equal((await states(ledger)).k1, 'deactivated')
      await ledger.keks.reserve('k1', 1)
      await ledger.sealed.put('root', { ...sealed('one'), kekId: 'k2' }, sealed('one'))
      await refused('conflict', ledger.keks.move('k1', 'retired'))
      await ledger.keks.move('k1', 'compromised')
      await ledger.keks.move('k1', 'destroyed')
      assert.equal((await states(ledger)).k1, 'destroyed')
    },
  },
  {
    title: 'a KEK that nothing needs any more is retired',
    run: async ({ ledger }) => {
      await twoKeks(ledger)
      await ledger.sealed.put('root', sealed('one'), null)
      await refused('conflict', ledger.keks.move('k1', 'retired'))
      await ledger.sealed.put('root', { ...sealed('one'), kekId: 'k2' }, sealed('one'))
      await ledger.keks.move('k1', 'retired')
      assert.deepEqual(await states(ledger), { k1: 'retired', k2: 'active' })
    },
  },
]
