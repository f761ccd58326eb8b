import { BrokerError } from '@keyturn/core'
import { type KekProvider, Keyring, type ProvidedKeks } from '@keyturn/envelope'
import type { KekRecord, Keks } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { activeOf, unfit } from './promotion.ts'

/** What a register is asked with. */
export interface RegisterParts {
  readonly keks: Pick<Keks, 'all' | 'meet'>
  readonly log: Pick<Logger, 'warn'>
  /** The KEK that closes new values here; null before anything is loaded. */
  readonly inUse: () => string | null
  /** Told at each load which KEKs were given that are destroyed: they are left out. */
  readonly destroyed: (ids: readonly string[]) => void
}

/**
 * A provider whose keys are noted in the register of the deployment before anybody has them. `load` also refuses, with `precondition_failed`: an id
 * that is known for another key, a wanted one that may close nothing any more, an answer without the KEK that is in use, a destroyed one under a new
 * id. A retired KEK is loaded: it may open an old backup. A destroyed one is left out: a copy that was forgotten must not keep a broker from starting.
 */
export function registered(provider: KekProvider, parts: RegisterParts): KekProvider {
  const { watch, make, destroy } = provider
  return {
    kind: provider.kind,
    maxAgeMs: provider.maxAgeMs,
    ...(watch === undefined ? {} : { watch: watch.bind(provider) }),
    ...(make === undefined ? {} : { make: make.bind(provider) }),
    ...(destroy === undefined ? {} : { destroy: destroy.bind(provider) }),
    examine: signal => provider.examine(signal),
    close: () => provider.close(),
    async load(signal) {
      const given = await provider.load(signal)
      const probe = new Keyring(given)
      const before = await parts.keks.all()
      const inUse = parts.inUse()
      if (inUse !== null && !probe.has(inUse)) throw stillInUse(inUse)
      mustFit(before, given.current)
      const gone = before.filter(record => record.state === 'destroyed' && sameKey(record, probe)).map(({ id }) => id)
      parts.destroyed(gone)
      const kept = { ...given, keks: new Map([...given.keks].filter(([id]) => !gone.includes(id))) }
      await meet(parts.keks, provider.kind, kept, probe)
      const retired = before.filter(({ id, state }) => state === 'retired' && kept.keks.has(id)).map(({ id }) => id)
      if (retired.length > 0) parts.log.warn({ keks: retired }, 'retired KEKs are still given; nothing needs them: take them away')
      return kept
    },
  }
}

/** Whether the one that is called current may be that; a KEK that is current anyhow may stay so. */
function mustFit(records: readonly KekRecord[], current: string): void {
  const record = records.find(({ id }) => id === current)
  if (record === undefined || activeOf(records)?.id === current) return
  const why = unfit(record)
  if (why === undefined) return
  throw new BrokerError('precondition_failed', why, { hint: 'name another KEK as the current one', detail: { kekId: current } })
}

async function meet(keks: RegisterParts['keks'], kind: string, given: ProvidedKeks, probe: Keyring): Promise<void> {
  const held = [...given.keks.keys()].map(id => ({ id, fingerprint: probe.fingerprint(id) }))
  try {
    await keks.meet(held)
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'precondition_failed' || kind !== 'file') throw error
    const { message, detail = {} } = error
    throw new BrokerError('precondition_failed', message, { hint: notShared, detail, cause: error })
  }
}

/** Each broker makes a first key where it finds none: two of them on one ledger must have one folder. */
const notShared =
  'brokers of one ledger need the same keys: share one folder of keys between them, or put the right keys into this one; nothing was changed'

function sameKey({ id, fingerprint }: KekRecord, probe: Keyring): boolean {
  return probe.has(id) && probe.fingerprint(id) === fingerprint
}

function stillInUse(id: string): BrokerError {
  return new BrokerError('precondition_failed', `KEK ${id} closes new values here and is not given any more`, {
    hint: `put KEK ${id} back, or promote another one first`,
    detail: { kekId: id },
  })
}
