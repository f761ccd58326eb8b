import { BrokerError } from '@keyturn/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { counting } from '../../test/agreement.ts'
import type { Instance, KekRecord, KekState, Keks } from '../ledger.ts'
import { MemoryLedger } from '../memory/ledger.ts'

const ids = ['k1', 'k2', 'k3', 'k4'] as const
const brokers = ['b1', 'b2', 'b3'] as const
/** The last one is the same key as the first. */
const materials = ['m1', 'm2', 'm3', 'm4', 'm1'] as const

type Step =
  | { readonly do: 'meet'; readonly keks: readonly { readonly id: string; readonly material: string }[] }
  | { readonly do: 'beat'; readonly broker: string; readonly loaded: readonly string[]; readonly wanted: string }
  | { readonly do: 'sign-off'; readonly broker: string }
  | { readonly do: 'promote'; readonly to: string; readonly from: string | null | 'known' }
  | { readonly do: 'close'; readonly broker: string }
  | { readonly do: 'move'; readonly id: string; readonly to: Parameters<Keks['move']>[1] }
  | { readonly do: 'pass'; readonly ms: number }

const id = fc.constantFrom(...ids)
const broker = fc.constantFrom(...brokers)
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('meet' as const),
      keks: fc.array(fc.record({ id, material: fc.constantFrom(...materials) }), { minLength: 1, maxLength: 3 }),
    }),
    // most often in good order, so that sequences come far
    { weight: 3, arbitrary: id.map(known => ({ do: 'meet' as const, keks: [{ id: known, material: `m${known.slice(1)}` }] })) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('beat' as const), broker, loaded: fc.subarray([...ids], { minLength: 2 }), wanted: id }),
    },
    fc.record({ do: fc.constant('sign-off' as const), broker }),
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('promote' as const), to: id, from: fc.constantFrom(null, 'known' as const, ...ids) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('close' as const), broker }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('move' as const), id, to: fc.constantFrom('compromised', 'retired', 'destroyed') }),
    },
    fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1_000, 30_000, 61_000) }),
  ),
  { minLength: 10, maxLength: 60, size: 'max' },
)

/** As the standard draws it (figure 5), written down a second time. */
const transitions: ReadonlySet<`${KekState} ${KekState}`> = new Set([
  'pre-active active',
  'pre-active retired',
  'pre-active destroyed',
  'active deactivated',
  'deactivated active',
  'deactivated compromised',
  'deactivated retired',
  'deactivated destroyed',
  'compromised destroyed',
  'retired destroyed',
] as const)

/** A key that was never current needs every broker to hold it; the way back, every broker to want it. */
const allowed = (to: KekRecord | undefined) => (live: readonly Instance[]) =>
  live.every(({ loaded, wanted }) => (to?.currentSince === null ? loaded.includes(to.id) : wanted === to?.id))

test('whatever several brokers do, every KEK lives as the standard says', async () => {
  const reached = new Set<string>()
  await fc.assert(
    fc.asyncProperty(steps, async sequence => {
      let now = Date.UTC(2026, 0, 1)
      const ledger = new MemoryLedger({ now: () => new Date(now), after: () => () => {} }, counting())
      const using = new Map<string, string>()
      let before: readonly KekRecord[] = []

      const take = async (step: Step): Promise<void> => {
        const active = before.find(({ state }) => state === 'active')?.id ?? null
        if (step.do === 'meet') await ledger.keks.meet(step.keks.map(kek => ({ id: kek.id, fingerprint: kek.material })))
        if (step.do === 'beat') {
          if (active !== null) using.set(step.broker, active)
          await ledger.instances.beat({
            id: step.broker,
            loaded: step.loaded,
            wanted: step.wanted,
            using: active ?? step.wanted,
            version: '1',
          })
        }
        if (step.do === 'sign-off') await ledger.instances.signOff(step.broker)
        if (step.do === 'move') await ledger.keks.move(step.id, step.to)
        if (step.do === 'pass') now += step.ms
        if (step.do === 'close') {
          const kek = before.find(known => known.id === using.get(step.broker))
          if (kek === undefined) return
          await ledger.keks.reserve(kek.id, 1)
          expect(kek.currentSince).not.toBeNull()
          expect(['active', 'deactivated']).toContain(kek.state)
        }
        if (step.do === 'promote') {
          const from = step.from === 'known' ? active : step.from
          const next = before.find(known => known.id === step.to)
          const live = await ledger.instances.live()
          if (!(await ledger.keks.promote(step.to, { from, allows: allowed(next) }))) return
          expect(from).toBe(active)
          expect(['pre-active', 'deactivated']).toContain(next?.state)
          expect(allowed(next)(live)).toBe(true)
        }
      }

      for (const step of sequence) {
        const refusal = await take(step).then(
          () => null,
          error => error,
        )
        if (refusal !== null && !(refusal instanceof BrokerError)) throw refusal
        const after = await ledger.keks.all()
        if (refusal !== null || step.do === 'beat' || step.do === 'pass') expect(after).toEqual(before)
        expect(after.filter(({ state }) => state === 'active').length).toBeLessThanOrEqual(1)
        expect(new Set(after.map(({ fingerprint }) => fingerprint)).size).toBe(after.length)
        for (const kek of after) mustBeSound(kek, now)
        for (const kek of before)
          mustFollow(
            kek,
            after.find(known => known.id === kek.id),
          )
        for (const { state } of after) reached.add(state)
        // there is no way to be without a key to close with, once there was one
        expect(after.some(({ state }) => state === 'active')).toBe(after.some(({ currentSince }) => currentSince !== null))
        before = after
      }
    }),
    { numRuns: 300 },
  )
  expect([...reached].sort()).toEqual(['active', 'compromised', 'deactivated', 'destroyed', 'pre-active', 'retired'])
})

function mustBeSound({ changes, state, stateAt, metAt, currentSince }: KekRecord, now: number): void {
  expect(changes[0]).toEqual({ state: 'pre-active', at: metAt })
  expect(changes.at(-1)).toEqual({ state, at: stateAt })
  expect(currentSince).toEqual(changes.find(change => change.state === 'active')?.at ?? null)
  changes.forEach((change, index) => {
    const former = changes[index - 1]
    if (former === undefined) return
    expect(transitions).toContain(`${former.state} ${change.state}`)
    expect(change.at.getTime()).toBeGreaterThanOrEqual(former.at.getTime())
  })
  expect(stateAt.getTime()).toBeLessThanOrEqual(now)
}

function mustFollow(before: KekRecord, after: KekRecord | undefined): void {
  expect(after?.fingerprint).toBe(before.fingerprint)
  expect(after?.changes.slice(0, before.changes.length)).toEqual(before.changes)
  if (before.state === 'destroyed') expect(after).toEqual(before)
}
