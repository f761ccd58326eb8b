import { BrokerError, type Lease, type Random, type RevocationPatch, type Rotation, rotationStates, type VersionPatch } from '@keyturn/core'
import fc from 'fast-check'
import { named, request, sealed, versionId, writing } from '../src/contract/subject.ts'
import type { Ledger, WriteIntent } from '../src/ledger.ts'

const names = ['a', 'b'] as const
type Name = (typeof names)[number]

/** One call, in terms that mean the same to every ledger: which secret, and the last lease or write of it. */
export type Step =
  | { readonly do: 'open'; readonly name: Name; readonly compromise: boolean }
  | { readonly do: 'claim'; readonly name: Name | null }
  | {
      readonly do: 'record'
      readonly name: Name
      readonly state: Rotation['state'] | null
      readonly wakeInMs: number | null
      readonly versions: readonly VersionPatch[]
      readonly revocations: readonly RevocationPatch[]
      readonly events: number
      readonly release: boolean
    }
  | { readonly do: 'reserve' | 'approve' | 'retry' | 'abort' | 'rollback' | 'enter' | 'await-person'; readonly name: Name }
  | { readonly do: 'begin-write'; readonly name: Name; readonly before: string | null; readonly key: string }
  | { readonly do: 'end-write'; readonly name: Name; readonly made: string | null; readonly grace: boolean }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'schedule'; readonly name: Name; readonly inMs: number | null }
  | { readonly do: 'deliver'; readonly count: number }

const name = fc.constantFrom(...names)
const number = fc.integer({ min: 1, max: 4 })
const time = fc.integer({ min: 0, max: 5 }).map(minutes => new Date(Date.UTC(2026, 0, 1, 0, minutes)))
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })

const versionPatch: fc.Arbitrary<VersionPatch> = fc.record(
  {
    number,
    label: optional(fc.constantFrom('pending' as const, 'current' as const, 'previous' as const)),
    status: optional(fc.constantFrom('primary' as const, 'active' as const)),
    fate: fc.constantFrom('revoked' as const, 'quarantined' as const),
    version: fc.constantFrom(versionId('v1'), versionId('v2')),
    graceUntil: optional(time),
  },
  { requiredKeys: ['number'] },
)
const revocationPatch: fc.Arbitrary<RevocationPatch> = fc.record(
  { number, dueAt: time, state: fc.constantFrom('pending' as const, 'done' as const, 'proven' as const, 'cancelled' as const) },
  { requiredKeys: ['number'] },
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('open' as const), name, compromise: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('claim' as const), name: optional(name) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('record' as const),
      name,
      state: optional(fc.constantFrom(...rotationStates)),
      wakeInMs: optional(fc.integer({ min: -1_000, max: 60_000 })),
      versions: fc.array(versionPatch, { maxLength: 3 }),
      revocations: fc.array(revocationPatch, { maxLength: 2 }),
      events: fc.integer({ min: 0, max: 2 }),
      release: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('reserve', 'approve', 'retry', 'abort', 'rollback', 'enter', 'await-person'),
      name,
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('begin-write' as const),
      name,
      before: optional(fc.constantFrom('v1', 'v2')),
      key: fc.constantFrom('k1', 'k2'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('end-write' as const), name, made: optional(fc.constantFrom('v1', 'v3')), grace: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 90_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('schedule' as const), name, inMs: optional(fc.integer({ min: -1_000, max: 100_000 })) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deliver' as const), count: fc.integer({ min: 0, max: 5 }) }) },
)

/** Calls in any order: each is answered or refused. */
export const sequences: fc.Arbitrary<readonly Step[]> = fc.array(step, { minLength: 1, maxLength: 40, size: 'max' })

/** Counts up: the same bytes and ids for whoever asks in the same order. */
export function counting(): Random {
  let last = 0
  const next = () => {
    last += 1
    return last
  }
  return {
    bytes: count => Buffer.alloc(count).fill(String(next())),
    uuid: () => `00000000-0000-4000-8000-${String(next()).padStart(12, '0')}`,
  }
}

/** A caller that remembers its leases and writes, so that late and lost ones are tried too. */
export class Caller {
  readonly ledger: Ledger
  readonly #leases = new Map<string, Lease>()
  readonly #writes = new Map<string, WriteIntent>()
  readonly #pass: (ms: number) => Promise<void>

  constructor(ledger: Ledger, pass: (ms: number) => Promise<void>) {
    this.ledger = ledger
    this.#pass = pass
  }

  /** What a call answers or how it is refused, and then everything that can be seen. */
  async take(taken: Step): Promise<unknown> {
    const answer = await this.#call(taken).catch((error: unknown) => {
      if (error instanceof BrokerError) return { refused: error.code, message: error.message, detail: error.detail }
      throw error
    })
    return { answer, seen: await this.#look() }
  }

  async #call(taken: Step): Promise<unknown> {
    const { journal, secrets, outbox } = this.ledger
    if (taken.do === 'pass') return this.#pass(taken.ms)
    if (taken.do === 'deliver') return outbox.delivered((await outbox.pending(taken.count)).map(({ id }) => id))
    if (taken.do === 'claim') return this.#claim(taken.name)
    const secret = await secrets.ensure(named(taken.name))
    const now = (await this.ledger.now()).getTime()
    if (taken.do === 'open') return journal.open(request(secret, { mode: taken.compromise ? 'compromise' : 'normal' }))
    if (taken.do === 'schedule') return secrets.schedule(secret.id, taken.inMs === null ? null : new Date(now + taken.inMs))
    if (taken.do === 'begin-write') {
      const intent = await writing(this.ledger, secret, taken.key, taken.before)
      this.#writes.set(taken.name, intent)
      return intent
    }
    if (taken.do === 'end-write') {
      const intent = this.#writes.get(taken.name)
      const graceUntil = taken.grace ? new Date(now + 60_000) : null
      return (
        intent &&
        secrets.endWrite(intent, taken.made === null ? null : { version: versionId(taken.made), graceUntil, nextRotationAt: null })
      )
    }
    const rotation = secret.rotation
    if (taken.do === 'approve') return rotation && journal.approve(rotation.id)
    if (taken.do === 'retry') return rotation && journal.wish(rotation.id, null)
    if (taken.do === 'abort' || taken.do === 'rollback') return rotation && journal.wish(rotation.id, taken.do)
    if (taken.do === 'enter') return rotation && journal.enter(rotation.id, count => sealed(`entered ${count}`))
    const lease = this.#leases.get(taken.name)
    if (lease === undefined) return undefined
    if (taken.do === 'reserve') return journal.reserve(lease)
    if (taken.do === 'await-person')
      return this.#record(taken.name, lease, { rotation: { state: 'backed-up', hold: { kind: 'waiting', for: 'person' } } })
    if (taken.do !== 'record') return undefined
    const { state, wakeInMs, versions, revocations, events, release } = taken
    const wakeAt = wakeInMs === null ? null : new Date(now + wakeInMs)
    const event = { action: 'x', outcome: 'allowed', version: null, code: null } as const
    return this.#record(taken.name, lease, {
      rotation: { ...(state === null ? {} : { state }), wakeAt, base: { number: 1, version: versionId('v1'), etag: 'e' as never } },
      versions,
      revocations,
      events: Array.from({ length: events }, () => event),
      release,
    })
  }

  async #record(of: string, lease: Lease, change: Parameters<Ledger['journal']['record']>[1]): Promise<Lease> {
    const renewed = await this.ledger.journal.record(lease, change)
    this.#leases.set(of, renewed)
    return renewed
  }

  async #claim(of: Name | null): Promise<Lease | null> {
    const rotation = of === null ? null : (await this.ledger.secrets.byName(named(of)))?.rotation
    const lease = await this.ledger.journal.claim({ holder: 'w', leaseMs: 30_000, ...(rotation == null ? {} : { rotation: rotation.id }) })
    if (lease !== null) this.#leases.set(lease.rotation.secret, lease)
    return lease
  }

  async #look(): Promise<unknown> {
    const { journal, secrets, outbox } = this.ledger
    const rows = await secrets.page({ after: null, limit: 10 })
    const details = rows.map(async row => ({
      row,
      versions: await journal.versions(row.id),
      revocations: row.rotation && (await journal.revocations(row.rotation.id)),
      undelivered: row.rotation && (await journal.undelivered(row.rotation.id)),
    }))
    return {
      secrets: await Promise.all(details),
      due: (await secrets.due(10)).map(({ name: due }) => due),
      next: await this.ledger.nextDeadline(),
      outbox: (await outbox.pending(100)).map(({ id: _, ...event }) => event),
      unfinished: await secrets.unfinishedWrites(),
    }
  }
}
