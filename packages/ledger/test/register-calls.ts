import { BrokerError } from '@keyturn/core'
import fc from 'fast-check'
import { sealed } from '../src/contract/subject.ts'
import type { Ledger } from '../src/ledger.ts'

const id = fc.constantFrom('k1', 'k2', 'k3')

/** A call of the registers, in terms that mean the same to every ledger. */
export type RegisterCall = (ledger: Ledger, pass: (ms: number) => Promise<void>) => Promise<unknown>

const call: fc.Arbitrary<RegisterCall> = fc.oneof(
  fc.tuple(fc.array(id, { minLength: 1, maxLength: 2 }), fc.constantFrom('', '', ' of another')).map(([ids, more]): RegisterCall => {
    return ({ keks }) => keks.meet(ids.map(kek => ({ id: kek, fingerprint: `print ${kek}${more}` })))
  }),
  fc.tuple(id, fc.option(id, { nil: null })).map(([to, from]): RegisterCall => {
    return ({ keks }) => keks.promote(to, { from, allows: live => live.every(({ loaded }) => loaded.includes(to)) })
  }),
  fc.tuple(id, fc.constantFrom('compromised' as const, 'retired' as const, 'destroyed' as const)).map(([kek, to]): RegisterCall => {
    return ({ keks }) => keks.move(kek, to)
  }),
  id.map(
    (kek): RegisterCall =>
      ({ keks }) =>
        keks.reserve(kek, 3),
  ),
  id.map(
    (kek): RegisterCall =>
      async ledger =>
        ledger.sealed.put('root', { ...sealed('root'), kekId: kek }, await ledger.sealed.get('root')),
  ),
  fc.tuple(id, fc.subarray(['k1', 'k2', 'k3'], { minLength: 1 })).map(([broker, loaded]): RegisterCall => {
    return ({ instances }) => instances.beat({ id: broker, loaded, wanted: 'k1', using: 'k1', version: '1' })
  }),
  id.map(
    (broker): RegisterCall =>
      ({ instances }) =>
        instances.signOff(broker),
  ),
  fc.tuple(id, fc.constantFrom('waiting' as const, 'running' as const)).map(([kekId, state]): RegisterCall => {
    return ({ campaigns }) => campaigns.open({ kind: 'rewrap', kekId, principal: 'p', reason: 'r', state })
  }),
  fc.constantFrom('waiting' as const, 'running' as const, 'done' as const, 'failed' as const).map((state): RegisterCall => {
    return async ({ campaigns }) => {
      const last = await campaigns.last('rewrap')
      return last && campaigns.move(last.id, { state, note: `now ${state}` })
    }
  }),
  fc.constantFrom(1_000, 59_000, 86_400_000).map(
    (ms): RegisterCall =>
      (_, pass) =>
        pass(ms),
  ),
)

/** Calls in any order: each is answered or refused. */
export const registerCalls: fc.Arbitrary<readonly RegisterCall[]> = fc.array(call, { minLength: 1, maxLength: 30, size: 'max' })

/** What a call answers or how it is refused, and then everything that can be seen. */
export async function callRegisters(ledger: Ledger, taken: RegisterCall, pass: (ms: number) => Promise<void>): Promise<unknown> {
  const answer = await taken(ledger, pass).catch((error: unknown) => {
    if (error instanceof BrokerError) return { refused: error.code }
    throw error
  })
  const seen = [
    ledger.keks.all(),
    ledger.instances.live(),
    ledger.campaigns.unfinished(),
    ledger.campaigns.last('rewrap'),
    ledger.envelopes.keks(),
  ]
  return { answer, seen: await Promise.all(seen as readonly Promise<unknown>[]) }
}
