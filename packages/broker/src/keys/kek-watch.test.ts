import { createSecretKey, randomBytes } from 'node:crypto'
import type { AuditEvent } from '@keyturn/audit'
import type { Envelopes, KekUse } from '@keyturn/core'
import { Keyring, wrapsHard } from '@keyturn/envelope'
import { MemoryLedger } from '@keyturn/ledger'
import { beforeEach, expect, test } from 'vitest'
import { SimulatedClock } from '../../../../test/simulation/clock.ts'
import { pooledRandom } from '../random.ts'
import { KekWatch, type WatchParts } from './kek-watch.ts'

const random = pooledRandom()
const dayMs = 24 * 3_600_000
const turn = () => new Promise(resolve => setTimeout(resolve, 5))

let clock: SimulatedClock
let ledger: MemoryLedger
let keyring: Keyring
let chain: Partial<AuditEvent>[]
let logged: string[]
let uses: Record<string, number>

beforeEach(async () => {
  clock = new SimulatedClock()
  ledger = new MemoryLedger(clock, random)
  keyring = new Keyring({ keks: new Map([['v1', createSecretKey(randomBytes(32))]]), current: 'v1' })
  await ledger.keks.meet([{ id: 'v1', fingerprint: keyring.fingerprint('v1') }])
  await ledger.keks.promote('v1', { from: null, allows: () => true })
  ;[chain, logged, uses] = [[], [], { ledger: 1, 'store sealed': 1 }]
})

/** A watch of a broker whose databases say what `uses` holds. */
function watch(live: readonly { readonly id: string }[] = []): KekWatch {
  const use = (wraps: number): KekUse => ({ id: 'v1', fingerprint: keyring.fingerprint('v1'), wraps, needs: {}, oldest: null })
  const log = (_: object, text: string) => void logged.push(text)
  const parts = {
    ledger,
    clock,
    life: { keyring, provider: {}, records: [], id: 'one', live },
    parts: Object.keys(uses).map(name => ({
      name,
      open: async () => ({ keks: async () => [use(uses[name] ?? 0)] }) as unknown as Envelopes,
    })),
    log: { warn: log, error: log, info: log },
    audit: {
      append: async (event: AuditEvent) => void chain.push(event),
      contains: async (ids: readonly string[]) => new Set(ids.filter(id => chain.some(({ requestId }) => requestId === id))),
    },
    config: { rotation: { kekThresholdMs: 90 * dayMs }, broker: { keys: { provider: 'env', prefix: 'K' } } },
  }
  // the parts that a watch looks at, and no more
  return new KekWatch(parts as unknown as WatchParts)
}

test('a KEK that is due is told once a day, also by a second broker and after a restart', async () => {
  const [one, two] = [watch(), watch()]
  one.beat()
  await turn()
  expect(chain).toEqual([])
  clock.advance(91 * dayMs)
  one.beat()
  await turn()
  two.beat()
  await turn()
  expect(chain.map(({ action, code, field, outcome }) => [action, code, field, outcome])).toEqual([['alert', 'kek_due', 'v1', 'failed']])
  expect(logged).toEqual(['KEK v1 is to be replaced: KEK v1 has closed values for 91 days; the threshold is 90'])
  clock.advance(dayMs)
  for (const each of [one, one, two]) {
    each.beat()
    await turn()
  }
  expect(chain).toHaveLength(2)
})

test('of several brokers the eldest tells', async () => {
  clock.advance(91 * dayMs)
  for (const live of [
    [{ id: 'other' }, { id: 'one' }],
    [{ id: 'one' }, { id: 'other' }],
  ]) {
    expect(chain).toEqual([])
    watch(live).beat()
    await turn()
  }
  expect(chain).toHaveLength(1)
})

test('the limit of use is one for all databases together: at it a KEK opens and closes nothing more', async () => {
  uses = { ledger: 10, 'store a': wrapsHard / 2, 'store b': wrapsHard / 2 - 11 }
  const looking = watch()
  looking.beat()
  await turn()
  keyring.closing('v1')
  uses.ledger = 11
  clock.advance(60_000)
  looking.beat()
  await turn()
  expect(() => keyring.closing('v1')).toThrow('KEK v1 has closed as many values as one key may (2^31)')
  keyring.kek('v1')
})
